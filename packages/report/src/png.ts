/** Writing pictures. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { writeFailed } from '@ilsvrc/diagnostics';
import type { Sharp } from 'sharp';

/** Writes a PNG whole or not at all. */
export async function writePng(picture: Sharp, path: string): Promise<void> {
  const png = await picture.png().toBuffer();
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, png, { flush: true });
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw writeFailed(path, cause);
  }
}
