/** Photos named on a command line. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { list } from './listing.ts';

/** The photos that an operand stands for: those of a folder and of the folders in it, or the file itself; `-` stays. */
export async function findImages(operand: string): Promise<string[]> {
  const isFolder = operand !== '-' && (await stat(operand).catch(() => undefined))?.isDirectory();
  return isFolder ? (await list(operand)).images.map(({ path }) => join(operand, path)) : [operand];
}
