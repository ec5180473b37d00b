/** Pictures that other verbs drew, for the page. */
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type PicturePart, pagePicture } from '@ilsvrc/report';

/** Reads the files; each becomes a section under its name. E0201 for one that is missing, E0212 for one that is no picture. */
export async function attach(files: readonly string[]): Promise<PicturePart[]> {
  return Promise.all(files.map(attachOne));
}

async function attachOne(file: string): Promise<PicturePart> {
  const bytes = await readFile(file).catch((cause: Error) => {
    throw new IlsvrcError('E0201', `cannot read ${file}`, { info: cause.message, cause });
  });
  const picture = await pagePicture(bytes).catch((cause: Error) => {
    throw new IlsvrcError('E0212', `${file} is not a picture`, {
      info: cause.message,
      hint: 'attach a PNG, such as `ilsvrc retrieve --panel` draws',
      cause,
    });
  });
  const name = basename(file, extname(file)).replaceAll(/[-_]+/g, ' ');
  return {
    title: name.charAt(0).toUpperCase() + name.slice(1),
    description: `The picture ${basename(file)}.`,
    picture,
  };
}
