/** Which images are for validation where the layout does not say. */
import { createHash } from 'node:crypto';

/** One image in this many. */
const every = 10;

/**
 * Whether the image of that file name is for validation. It depends on the name and the seed alone, so an image stays
 * on its side when others are added, and copies of one file under the same name never face each other.
 */
export function belongsToValidation(fileName: string, seed: number): boolean {
  return createHash('sha256').update(`${seed}/${fileName}`).digest().readUInt32LE(0) % every === 0;
}
