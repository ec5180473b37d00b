/** Photos named on a command line. */
import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';

/** Names of files that are photos. */
export const imageName = /\.(jpe?g|png|bmp|gif|webp)$/i;

/** The photos that an operand stands for: those of a folder and of the folders in it, or the file itself; `-` stays. */
export async function findImages(operand: string): Promise<string[]> {
  const isFolder = operand !== '-' && (await stat(operand).catch(() => undefined))?.isDirectory();
  if (!isFolder) return [operand];
  const files = await readdir(operand, { withFileTypes: true, recursive: true }).catch((cause: Error) => {
    throw new IlsvrcError('E0201', `cannot read ${operand}`, { info: cause.message, cause });
  });
  const isHidden = (path: string) =>
    relative(operand, path)
      .split('/')
      .some((part) => part.startsWith('.'));
  const images = files
    .filter((file) => !file.isDirectory() && imageName.test(file.name))
    .map((file) => join(file.parentPath, file.name))
    .filter((path) => !isHidden(path))
    .sort();
  if (images.length > 0) return images;
  throw new IlsvrcError('E0202', `${operand} holds no images`, {
    info: 'looked for .jpg .jpeg .png .bmp .gif .webp',
  });
}
