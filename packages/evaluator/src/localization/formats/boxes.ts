/** What all forms of boxes share: what is written of an image, and how a number or a line is refused. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Box, Size } from '../box.ts';
import type { BoxGuess } from '../score.ts';

/** An image with boxes of it, to be written. */
export interface ImageBoxes {
  /** What it is called in all forms, as {@link namesOf} says. */
  name: string;
  /** Ending of the photo's file with its dot, as `.jpg`. */
  ending: string;
  size: Size;
  /** The likeliest first. */
  guesses: (BoxGuess & { probability?: number | undefined })[];
}

/** A class, with its number in the development kit where it has one. */
export interface BoxClass {
  wnid: string;
  devkit_id?: number | null | undefined;
}

/**
 * Short names of images by their paths in the source: the file's name without its ending, as ImageNet's are, or where two are
 * alike, the whole path without it.
 */
export function namesOf(paths: readonly string[]): string[] {
  const stems = paths.map((path) => withoutEnding(path).split('/').at(-1) ?? path);
  return new Set(stems).size === stems.length ? stems : paths.map(withoutEnding);
}

/** The path without the ending of its file. */
export function withoutEnding(path: string): string {
  return path.replace(/\.[^./]+$/, '');
}

/** No photo has a coordinate beyond this. */
const farthest = 1e6;

/** A coordinate, or the reason why the value is none. */
export function coordinate(value: unknown): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number === 'number' && Math.abs(number) <= farthest) return number;
  throw new BadBox(`${shown(value)} is not a coordinate (a number of pixels)`);
}

/** Four coordinates. */
export function toBox(values: readonly unknown[]): Box {
  const [left, top, right, bottom] = values.map(coordinate);
  if (left === undefined || top === undefined || right === undefined || bottom === undefined)
    throw new BadBox(`a box of ${values.length} numbers; it has 4: x1 y1 x2 y2`);
  return [left, top, right, bottom];
}

/** Two decimals: a hundredth of a pixel. */
export function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

/** What is wrong with a line or an entry; whoever knows its place makes an error of it. */
export class BadBox extends Error {}

/** Runs `read`; what is wrong becomes an E0221 that names the place. */
export function at<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof BadBox) throw malformed(place, error.message);
    throw error;
  }
}

/** The error of a file that is not what its format asks for. */
export function malformed(place: string, info: string): IlsvrcError {
  return new IlsvrcError('E0221', `${place} is not a valid file of boxes`, {
    info,
    hint: 'docs/localize.md shows each form',
  });
}

/** A value as messages show it. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
