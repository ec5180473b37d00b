/** The documentation that comes with the program. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** An installed package has it beside its code, a clone in `docs`. */
const shipped = fileURLToPath(new URL('../docs', import.meta.url));

/** Where the page of an error code is: a file of the clone, or of the installed package seen from the working directory. */
export function errorPage(code: string): string {
  const page = join('errors', `${code}.md`);
  if (!existsSync(shipped)) return join('docs', page);
  const near = relative(process.cwd(), join(shipped, page));
  return near.startsWith('..') ? join(shipped, page) : near;
}
