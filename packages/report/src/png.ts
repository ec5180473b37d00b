/** Writing pictures. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { writeFailed } from '@ilsvrc/diagnostics';
import type { Sharp } from 'sharp';

/** Writes a PNG whole or not at all. */
export async function writePng(picture: Sharp, path: string): Promise<void> {
  const png = await picture.png().toBuffer();
  // The ending is the engine's for files that are not finished: `prep` removes what a killed one left.
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.ilsvrc-tmp`);
  try {
    await writeFile(temporary, png, { flush: true });
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw writeFailed(path, cause);
  }
}
