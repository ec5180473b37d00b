/** The version of the program. */
import { readFileSync } from 'node:fs';

/** As `0.1.0`. */
export function version(): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  );
  return manifest.version;
}
