/**
 * Boxes on the disk. What a path is called says in which form: `.json` COCO's, `.csv` Kaggle's, `.txt` the development kit's; a
 * folder holds a PASCAL VOC file an image.
 */
import { readFile, stat } from 'node:fs/promises';
import { extname, join, relative } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { readVoc } from '@ilsvrc/engine';
import { writeWhole } from '../../write.ts';
import type { BoxGuess } from '../score.ts';
import { type BoxClass, type ImageBoxes, malformed, withoutEnding } from './boxes.ts';
import { fromCoco, toCoco } from './coco.ts';
import { fromDevkit, toDevkit } from './devkit.ts';
import { fromKaggle, toKaggle } from './kaggle.ts';
import { toVoc } from './voc.ts';

/** Five guesses of each of ImageNet's 150,000 images in COCO's form take half of this. */
const mostBytes = 256 * 2 ** 20;

/** A form that is one file. */
type Form = 'coco' | 'kaggle' | 'devkit';

const forms: Record<string, Form> = { '.json': 'coco', '.csv': 'kaggle', '.txt': 'devkit' };

/** Fails with E0103 where the form that the path asks for parts words by blanks and a class has one in its name. */
export function expectForm(path: string, classes: readonly BoxClass[]): void {
  const wide = classes.find(({ wnid }) => /\s/.test(wnid));
  if (wide === undefined || forms[extname(path).toLowerCase()] !== 'kaggle') return;
  throw new IlsvrcError('E0103', `--out ${path} cannot hold the class ${JSON.stringify(wide.wnid)}`, {
    info: "Kaggle's form parts words by blanks",
    hint: 'write COCO (.json) or PASCAL VOC (a folder)',
  });
}

/** Writes boxes in the form that the path asks for: a file whole or not at all, or a folder of such files. */
export async function writeBoxes(
  path: string,
  images: readonly ImageBoxes[],
  classes: readonly BoxClass[],
): Promise<void> {
  switch (forms[extname(path).toLowerCase()]) {
    case 'coco':
      return writeWhole(path, toCoco(images, classes));
    case 'kaggle':
      return writeWhole(path, toKaggle(images));
    case 'devkit':
      return writeWhole(path, toDevkit(images, classes));
    default:
      for (const image of images) await writeWhole(inside(path, `${image.name}.xml`), toVoc(image));
  }
}

/** Reads guesses that somebody made of the images `names`: those of each image, in that order; none where it is not there. */
export async function readBoxes(
  path: string,
  names: readonly string[],
  classes: readonly BoxClass[],
): Promise<BoxGuess[][]> {
  const found = await readAll(path, names, classes);
  const byName = new Map([...found].map(([name, guesses]) => [name, guesses]));
  // Others may name files with their ending, or with the folders that they lie in.
  for (const [name, guesses] of found) {
    const short = withoutEnding(name);
    for (const other of [short, short.split('/').at(-1) ?? short]) {
      if (!byName.has(other)) byName.set(other, guesses);
    }
  }
  const all = names.map((name) => byName.get(name));
  if (all.some((guesses) => guesses !== undefined)) return all.map((guesses) => guesses ?? []);
  throw new IlsvrcError('E0514', `${path} has no boxes of these images`, {
    info: `it has ${found.size} images, none of them called as ${names[0] ?? 'any of these'}`,
    hint: 'check --data and --split: the boxes belong to other images',
  });
}

async function readAll(
  path: string,
  names: readonly string[],
  classes: readonly BoxClass[],
): Promise<Map<string, BoxGuess[]>> {
  const about = await stat(path).catch((cause: Error) => {
    throw unreadable(path, cause);
  });
  if (about.isDirectory()) return readFolder(path, names);
  const form = forms[extname(path).toLowerCase()];
  // A pipe or a device may never end.
  if (form === undefined || !about.isFile())
    throw malformed(path, 'a folder of .xml files, a .json, a .csv or a .txt is read');
  const text = await readText(path);
  switch (form) {
    case 'coco':
      return fromCoco(text, path);
    case 'kaggle':
      return fromKaggle(text, path);
    case 'devkit':
      return fromDevkit(text, path, names, classes);
  }
}

async function readFolder(folder: string, names: readonly string[]): Promise<Map<string, BoxGuess[]>> {
  const found = new Map<string, BoxGuess[]>();
  for (const name of names) {
    const file = inside(folder, `${name}.xml`);
    const isThere = await stat(file).then(
      (about) => about.isFile(),
      () => false,
    );
    if (!isThere) continue;
    const xml = Buffer.from(await readText(file));
    try {
      found.set(
        name,
        readVoc(xml).objects.map((object) => ({ class: object.name, box: object.box })),
      );
    } catch (error) {
      if (!(error instanceof IlsvrcError)) throw error;
      throw malformed(file, error.message);
    }
  }
  return found;
}

async function readText(path: string): Promise<string> {
  const { size } = await stat(path);
  if (size > mostBytes) throw malformed(path, `it has ${size} bytes; at most ${mostBytes} are read`);
  return readFile(path, 'utf8').catch((cause: Error) => {
    throw unreadable(path, cause);
  });
}

function unreadable(path: string, cause: Error): IlsvrcError {
  return new IlsvrcError('E0201', `cannot read ${path}`, { info: cause.message, cause });
}

/** A path below a folder; a name that leads out of it is refused. */
function inside(folder: string, name: string): string {
  const path = join(folder, name);
  const way = relative(folder, path);
  if (way !== '' && !way.startsWith('..') && !name.includes('\0')) return path;
  throw malformed(folder, `the image ${JSON.stringify(name)} leads out of it`);
}
