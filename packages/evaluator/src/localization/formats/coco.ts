/** COCO's JSON: lists of images, categories and annotations, whose boxes are `[x, y, width, height]`; `score` sorts guesses. */
import type { BoxGuess } from '../score.ts';
import {
  at,
  BadBox,
  type BoxClass,
  coordinate,
  type ImageBoxes,
  malformed,
  rounded,
  shown,
} from './boxes.ts';

/** The text of images. Numbers of images and categories are their places, from 1. */
export function toCoco(images: readonly ImageBoxes[], classes: readonly BoxClass[]): string {
  const ids = new Map(classes.map(({ wnid }, index) => [wnid, index + 1]));
  const annotations = images.flatMap(({ guesses }, image) =>
    guesses.map(({ class: wnid, box: [left, top, right, bottom], probability }, rank) => {
      const [width, height] = [rounded(right - left), rounded(bottom - top)];
      return {
        image_id: image + 1,
        category_id: ids.get(wnid) ?? 0,
        bbox: [rounded(left), rounded(top), width, height],
        area: rounded(width * height),
        iscrowd: 0,
        // Where nobody says how likely they are, their order does.
        score: probability ?? 1 / (rank + 1),
      };
    }),
  );
  return `${JSON.stringify({
    images: images.map(({ name, ending, size }, index) => ({
      id: index + 1,
      file_name: `${name}${ending}`,
      ...size,
    })),
    categories: classes.map(({ wnid }, index) => ({ id: index + 1, name: wnid })),
    annotations: annotations.map((annotation, index) => ({ id: index + 1, ...annotation })),
  })}\n`;
}

/** Guesses by the names of files, the best score first. */
export function fromCoco(text: string, file: string): Map<string, BoxGuess[]> {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw malformed(file, `not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const list = (key: string): unknown[] => {
    const value = member(content, key);
    if (Array.isArray(value)) return value;
    throw malformed(file, `it has no list \`${key}\`: images, categories and annotations are needed`);
  };
  const names = new Map(entries(file, 'images', list('images'), 'file_name'));
  const classes = new Map(entries(file, 'categories', list('categories'), 'name'));
  const found = new Map<string, (BoxGuess & { score: number })[]>(
    [...names.values()].map((name) => [name, []]),
  );
  for (const [index, entry] of list('annotations').entries()) {
    at(`${file}, annotation ${index + 1},`, () => {
      const [image, wnid] = [names.get(id(entry, 'image_id')), classes.get(id(entry, 'category_id'))];
      if (image === undefined) throw new BadBox(`image_id ${shown(member(entry, 'image_id'))} is no image`);
      if (wnid === undefined)
        throw new BadBox(`category_id ${shown(member(entry, 'category_id'))} is no category`);
      const bbox = member(entry, 'bbox');
      const [x, y, width, height] = Array.isArray(bbox) && bbox.length === 4 ? bbox.map(coordinate) : [];
      if (x === undefined || y === undefined || width === undefined || height === undefined)
        throw new BadBox(`bbox is ${shown(bbox)}; it is [x, y, width, height]`);
      if (width < 0 || height < 0) throw new BadBox(`a box of ${width} x ${height}`);
      const score = member(entry, 'score') ?? 1;
      if (typeof score !== 'number') throw new BadBox(`score is ${shown(score)}; it is a number`);
      found.get(image)?.push({ class: wnid, box: [x, y, x + width, y + height], score });
    });
  }
  return new Map(
    [...found].map(([name, guesses]) => [
      name,
      guesses.sort((a, b) => b.score - a.score).map(({ class: wnid, box }) => ({ class: wnid, box })),
    ]),
  );
}

/** Pairs of `id` and the text `key` of each entry. */
function entries(file: string, list: string, values: unknown[], key: string): [number, string][] {
  return values.map((value, index) =>
    at(`${file}, entry ${index + 1} of ${list},`, () => {
      const text = member(value, key);
      if (typeof text === 'string' && text !== '') return [id(value, 'id'), text];
      throw new BadBox(`${key} is ${shown(text)}`);
    }),
  );
}

function id(value: unknown, key: string): number {
  const number = member(value, key);
  if (Number.isSafeInteger(number)) return number as number;
  throw new BadBox(`${key} is ${shown(number)}; it is a whole number`);
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}
