/**
 * The development kit's: a line an image, in the order of file names, `class x1 y1 x2 y2` up to five times, the likeliest
 * first. Classes are its numbers from 1, those of ILSVRC2012 where the data set knows them, else places in the list of classes.
 */
import type { BoxGuess } from '../score.ts';
import { at, BadBox, type BoxClass, type ImageBoxes, malformed, rounded, shown, toBox } from './boxes.ts';

/** The text of images, which are put in order. */
export function toDevkit(images: readonly ImageBoxes[], classes: readonly BoxClass[]): string {
  const ids = new Map(classes.map(({ wnid }, index) => [wnid, idOf(classes, index)]));
  const line = ({ guesses }: ImageBoxes) =>
    guesses
      .slice(0, 5)
      .map((guess) => [ids.get(guess.class) ?? 0, ...guess.box.map(rounded)].join(' '))
      .join(' ');
  return `${inOrder(images).map(line).join('\n')}\n`;
}

/** Guesses by name; `names` are those of all images, in any order. */
export function fromDevkit(
  text: string,
  file: string,
  names: readonly string[],
  classes: readonly BoxClass[],
): Map<string, BoxGuess[]> {
  const wnids = new Map(classes.map(({ wnid }, index) => [idOf(classes, index), wnid]));
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  if (lines.length !== names.length) {
    throw malformed(file, `${lines.length} lines for ${names.length} images; there is one for each`);
  }
  const ordered = inOrder(names.map((name) => ({ name })));
  return new Map(
    lines.map((line, index) => [
      ordered[index]?.name ?? '',
      at(`${file}, line ${index + 1},`, () => guessesOf(line, wnids)),
    ]),
  );
}

function guessesOf(line: string, wnids: ReadonlyMap<number, string>): BoxGuess[] {
  const words = line.split(/\s+/).filter((word) => word !== '');
  if (words.length % 5 !== 0) throw new BadBox(`${words.length} numbers; a guess has 5: class x1 y1 x2 y2`);
  const guesses: BoxGuess[] = [];
  for (let first = 0; first < Math.min(words.length, 25); first += 5) {
    const [id, ...corners] = words.slice(first, first + 5);
    const wnid = wnids.get(Number(id));
    // Shorter lines of a table are filled with zeros.
    if (wnid === undefined && Number(id) === 0) continue;
    if (wnid === undefined) throw new BadBox(`${shown(id)} is no class; there are ${wnids.size}`);
    guesses.push({ class: wnid, box: toBox(corners) });
  }
  return guesses;
}

function idOf(classes: readonly BoxClass[], index: number): number {
  return classes[index]?.devkit_id ?? index + 1;
}

/** As a file system sorts ASCII names. */
function inOrder<T extends { name: string }>(images: readonly T[]): T[] {
  return [...images].sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}
