/**
 * The layouts of photos that `prep` knows, recognised by content. To add one, write a `Layout` and put it into the
 * table, the more particular ones first.
 */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Entry, Listing } from './listing.ts';
import { belongsToValidation } from './split.ts';

/** An image of a split, with the folder that names its class. */
export interface Labelled {
  entry: Entry;
  wnid: string;
}

/** Which image goes where. */
export interface Assignment {
  train: Labelled[];
  val: Labelled[];
  /** Images that belong to neither. */
  ignored: number;
}

/** A way of arranging photos. */
export interface Layout {
  /** What the user is told. */
  name: string;
  /** Whether the listing looks like this one. */
  recognise(listing: Listing): boolean;
  /** Assigns every image. `seed` decides where the layout itself does not say what is for validation. */
  assign(listing: Listing, seed: number): Assignment;
}

/** Names of the folder of validation images, the preferred one first. */
const validationFolders = ['val', 'valid', 'validation', 'test'] as const;

/** `train/<class>/…` with `val/<class>/…` (or `test/`). Without the latter, a tenth of `train` is for validation. */
const splitFolders: Layout = {
  name: 'image folder: train/<class>/, val/<class>/',
  recognise: (listing) => rooted(listing).some(({ parts }) => parts[0] === 'train' && parts.length >= 3),
  assign(listing, seed) {
    const all = rooted(listing);
    const validation = validationFolders.find((name) =>
      all.some(({ parts }) => parts[0] === name && parts.length >= 3),
    );
    const assignment: Assignment = { train: [], val: [], ignored: 0 };
    for (const { entry, parts } of all) {
      const [split, wnid, file] = parts;
      if (wnid === undefined || file === undefined) assignment.ignored++;
      else if (validation !== undefined && split === validation) assignment.val.push({ entry, wnid });
      else if (split !== 'train') assignment.ignored++;
      else if (validation === undefined && belongsToValidation(fileName(parts), seed))
        assignment.val.push({ entry, wnid });
      else assignment.train.push({ entry, wnid });
    }
    return assignment;
  },
};

/** `<class>/*.jpg`: a tenth of the images, chosen by their names, is for validation. */
const classFolders: Layout = {
  name: 'class folders: <class>/, a tenth split off for validation',
  recognise: (listing) => rooted(listing).some(({ parts }) => parts.length >= 2),
  assign(listing, seed) {
    const assignment: Assignment = { train: [], val: [], ignored: 0 };
    for (const { entry, parts } of rooted(listing)) {
      const [wnid, file] = parts;
      if (wnid === undefined || file === undefined) assignment.ignored++;
      else assignment[belongsToValidation(fileName(parts), seed) ? 'val' : 'train'].push({ entry, wnid });
    }
    return assignment;
  },
};

/** The table, tried from the first to the last. */
const layouts: readonly Layout[] = [splitFolders, classFolders];

/** The layout of a listing. */
export function recognise(listing: Listing): Layout {
  const layout = layouts.find((candidate) => candidate.recognise(listing));
  if (layout) return layout;
  throw new IlsvrcError('E0209', `cannot tell the classes of the images in ${listing.source}`, {
    info: `its ${listing.images.length} images are in no folder that could name a class; the first is ${listing.images[0]?.path}`,
    hint: 'sort them into a folder a class (cats/1.jpg, dogs/2.jpg), or into train/<class>/ and val/<class>/',
  });
}

function fileName(parts: string[]): string {
  return parts.at(-1) ?? '';
}

/**
 * The paths of a listing in parts, without folders that only wrap everything (as `imagenette/train/…`). A wrapper is the
 * only folder of its level, has folders below it that could be classes, and is not itself `train`.
 */
function rooted(listing: Listing): { entry: Entry; parts: string[] }[] {
  let all = listing.images.map((entry) => ({ entry, parts: entry.path.split('/') }));
  for (;;) {
    const nested = all.filter(({ parts }) => parts.length >= 2);
    const top = nested[0]?.parts[0];
    const wraps =
      top !== undefined &&
      top !== 'train' &&
      nested.every(({ parts }) => parts[0] === top) &&
      nested.every(({ parts }) => parts.length >= 3);
    if (!wraps) return all;
    all = all.map(({ entry, parts }) => ({ entry, parts: parts[0] === top ? parts.slice(1) : parts }));
  }
}
