/** What `retrieve` is asked about: photos on the disk, the clipboard's image, or images of a split; some at a time. */
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { findImages } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { imageRows, readJpegs } from '@ilsvrc/engine';
import { asJpeg } from '@ilsvrc/report';
import { pasteImage } from '@ilsvrc/terminal';

/** A photo to find neighbours of. */
export interface Query {
  /** Its path, `-` or `clipboard`. */
  name: string;
  /** The number of its class in the data set, where it is known. */
  class: number | undefined;
  /** Its file, read when its turn comes. */
  read(): Promise<Uint8Array>;
}

/** The photos that operands stand for. */
export async function queriesOfFiles(operands: string[]): Promise<Query[]> {
  const files = (await Promise.all(operands.map(findImages))).flat();
  return files.map((name) => ({ name, class: undefined, read: async () => asJpeg(await readPhoto(name)) }));
}

/** The image in the clipboard. */
export async function queryOfClipboard(): Promise<Query> {
  const photo = await pasteImage();
  return { name: 'clipboard', class: undefined, read: () => asJpeg(photo) };
}

/** Images of a split, as they were prepared: `count` of them, evenly spread, so of many classes. */
export async function queriesOfSplit(dataset: string, split: string, count: number): Promise<Query[]> {
  const all = await imageRows({ dataset, split, numbers: null });
  const asked = Math.min(count, all.length);
  return Array.from({ length: asked }, (_, query) => all[Math.floor((query * all.length) / asked)]).flatMap(
    (row) => {
      if (row === undefined) return [];
      const read = async () => {
        const [jpeg] = await readJpegs(dataset, [row]);
        if (jpeg === undefined) throw new RangeError(`no image ${row.key}`);
        return jpeg;
      };
      return [{ name: row.path, class: row.class, read }];
    },
  );
}

async function readPhoto(file: string): Promise<Uint8Array> {
  if (file === '-') return buffer(process.stdin);
  return readFile(file).catch((cause: Error) => {
    throw new IlsvrcError('E0201', `cannot read ${file}`, { info: cause.message, cause });
  });
}
