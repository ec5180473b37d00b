/** Names of classes: `n01440764 tench, Tinca tinca`, one a line, as in ImageNet's and Tiny ImageNet's files. */
import { readFile } from 'node:fs/promises';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type Listing, readText } from './listing.ts';

/** Files that hold such lines, the preferred one first. */
const wellKnown = ['LOC_synset_mapping.txt', 'synset_words.txt', 'words.txt'];

/** Folder name to class name. */
export type Names = ReadonlyMap<string, string>;

/** Names from the file that the user gave, else from a well-known one in the source, else none. */
export async function findNames(listing: Listing, file: string | undefined): Promise<Names> {
  if (file !== undefined) {
    const text = await readFile(file, 'utf8').catch((cause: Error) => {
      throw new IlsvrcError('E0201', `cannot read the class names in ${file}`, {
        info: cause.message,
        cause,
      });
    });
    return parseNames(text);
  }
  for (const name of wellKnown) {
    // At the root or in a folder that wraps everything.
    const entry = listing.texts.find(
      ({ path }) => path === name || (path.endsWith(`/${name}`) && path.split('/').length === 2),
    );
    if (entry) return parseNames(await readText(listing, entry));
  }
  return new Map();
}

/** The first synonym of each line; lines without a name are passed over. */
function parseNames(text: string): Names {
  const names = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const [, wnid, words] = /^(\S+)\s+(.+)$/.exec(line) ?? [];
    const first = words?.split(',')[0]?.trim();
    if (wnid !== undefined && first) names.set(wnid, first);
  }
  return names;
}
