/** Paths in files that are passed on. */
import { basename, isAbsolute, relative } from 'node:path';

/** The way from the working folder where it does not lead out of it, else the last name: what lies above is nobody's business. */
export function pathFromHere(path: string): string {
  const way = relative(process.cwd(), path);
  return way === '' || way.startsWith('..') || isAbsolute(way) ? basename(path) : way;
}
