/** Kaggle's CSV: `ImageId,PredictionString`, then a row an image, `wnid x1 y1 x2 y2` repeated, the likeliest first. */
import { csvLine, formula } from '../../csv.ts';
import type { BoxGuess } from '../score.ts';
import { at, BadBox, type ImageBoxes, malformed, rounded, shown, toBox } from './boxes.ts';

const header = 'ImageId,PredictionString';

/** The text of images. */
export function toKaggle(images: readonly ImageBoxes[]): string {
  const row = ({ name, guesses }: ImageBoxes) => {
    const objects = guesses.map((guess) => [guess.class, ...guess.box.map(rounded)].join(' '));
    return csvLine([name, objects.join(' ')]);
  };
  return `${[header, ...images.map(row)].join('\n')}\n`;
}

/** Guesses by name. */
export function fromKaggle(text: string, file: string): Map<string, BoxGuess[]> {
  const found = new Map<string, BoxGuess[]>();
  const [first = '', ...lines] = text.replace(/^\ufeff/, '').split(/\r?\n/);
  if (first.trim() !== header) throw malformed(file, `its first line is ${shown(first)}, not ${header}`);
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue;
    at(`${file}, line ${index + 2},`, () => {
      const [name, objects] = cells(line);
      if (found.has(name)) throw new BadBox(`${shown(name)} was there before`);
      found.set(name, guessesOf(objects));
    });
  }
  return found;
}

function guessesOf(text: string): BoxGuess[] {
  const words = text.split(/\s+/).filter((word) => word !== '');
  if (words.length % 5 !== 0) throw new BadBox(`${words.length} words; a guess has 5: wnid x1 y1 x2 y2`);
  const guesses: BoxGuess[] = [];
  for (let first = 0; first < Math.min(words.length, 25); first += 5) {
    guesses.push({ class: words[first] ?? '', box: toBox(words.slice(first + 1, first + 5)) });
  }
  return guesses;
}

/** The two cells of a row, with what {@link csvLine} adds taken off. */
function cells(line: string): [name: string, objects: string] {
  const match = /^(?:"((?:[^"]|"")*)"|([^",]*)),(?:"((?:[^"]|"")*)"|([^",]*))$/.exec(line);
  if (match === null) throw new BadBox(`${shown(line)} is not two cells with a comma between`);
  const [, quoted, plain, quotedObjects, plainObjects] = match;
  const name = (quoted?.replaceAll('""', '"') ?? plain ?? '').trim();
  const objects = quotedObjects?.replaceAll('""', '"') ?? plainObjects ?? '';
  return [unescaped(name), unescaped(objects)];
}

function unescaped(text: string): string {
  return text.startsWith("'") && formula.test(text.slice(1)) ? text.slice(1) : text;
}
