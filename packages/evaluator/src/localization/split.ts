/** Localization of a split: the images that have boxes, and what a model says of them. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import {
  gatherRanks,
  type ImageRow,
  imageRows,
  type LocateRequest,
  readJpegs,
  type Session,
  stopTogether,
  type World,
} from '@ilsvrc/engine';
import type { ClassName } from '../model.ts';
import type { Box, Size } from './box.ts';
import { namesOf } from './formats/boxes.ts';
import type { BoxGuess, Located } from './score.ts';

/** An image with boxes. */
export interface SplitImage {
  row: ImageRow;
  /** See {@link namesOf}. */
  name: string;
  /** Of the photo before it was prepared. */
  size: Size;
  /** Its boxes in pixels of that photo. */
  boxes: Box[];
}

/** A data set as far as localization needs it. */
interface BoxedDataset {
  path: string;
  /** Side of its images, px. */
  size: number;
  resize: 'crop' | 'warp';
}

/**
 * The images of a split that have boxes, and how many have none. Fails with E0513 where there is no box at all.
 */
export async function splitImages(
  { path, size, resize }: BoxedDataset,
  split: string,
): Promise<{ images: SplitImage[]; withoutBoxes: number }> {
  const rows = await imageRows({ dataset: path, split, numbers: null });
  const names = namesOf(rows.map((row) => row.path));
  const images = rows.flatMap((row, index): SplitImage[] => {
    if (row.boxes.length === 0 || row.source === null) return [];
    const [width, height] = row.source;
    const boxes = row.boxes.map((box) => inPhoto(box, { width, height }, size, resize));
    return [{ row, name: names[index] ?? row.key, size: { width, height }, boxes }];
  });
  if (images.length > 0) return { images, withoutBoxes: rows.length - images.length };
  throw new IlsvrcError('E0513', `no image of ${path} (${split}) has boxes`, {
    info: "boxes come from PASCAL VOC files beside the photos, or from Kaggle's CSV",
    hint: 'see docs/localize.md, and prepare the photos with their annotations once more',
  });
}

/** From prepared pixels back to those of the photo: the reverse of what `prep` did. */
function inPhoto(box: Box, { width, height }: Size, side: number, resize: 'crop' | 'warp'): Box {
  const short = Math.min(width, height);
  const window =
    resize === 'crop'
      ? { x: (width - short) / 2, y: (height - short) / 2, width: short, height: short }
      : { x: 0, y: 0, width, height };
  const [left, top, right, bottom] = box;
  const column = (x: number) => (x * window.width) / side + window.x;
  const row = (y: number) => (y * window.height) / side + window.y;
  return [column(left), row(top), column(right), row(bottom)];
}

/** What to look at, and with what. */
export interface LocateOptions {
  session: Session;
  dataset: BoxedDataset & { classes: ClassName[] };
  images: readonly SplitImage[];
  /** Those of the model. */
  classes: ClassName[];
  method: LocateRequest['method'];
  views: 1 | 10;
  /** Images that a pass takes. */
  batch: number;
  /** The processes that look together, as `joinRanks` gave them: each at some of the images, and all are told all. */
  world?: World | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/** What a model says of an image: five guesses, and its box for the class that it is known to have. */
type Seen = Pick<Located, 'known'> & { guesses: (BoxGuess & { probability: number })[] };

/** What a model says of each image. */
export async function locateSplit(options: LocateOptions): Promise<Seen[]> {
  const { images, views, batch, world, signal, onProgress } = options;
  const look = looker(options);
  const all: Seen[] = [];
  // A few passes at a time: JPEGs of a large split do not fit into memory together.
  const step = Math.max(1, Math.ceil((4 * batch) / views));
  const { rank, hosts } = world ?? { rank: 0, hosts: [''] };
  for (let first = rank * step; all.length < images.length; first += hosts.length * step) {
    await stopTogether(world, signal);
    const seen = await look(images.slice(first, first + step));
    if (world === undefined) all.push(...seen);
    else {
      const texts = await gatherRanks(world, JSON.stringify(seen));
      all.push(...texts.flatMap((text): Seen[] => JSON.parse(text)));
    }
    onProgress?.({ done: all.length, total: images.length });
  }
  return all;
}

/** Looks at some images. */
function looker({ session, dataset, classes, method, views, world, signal }: LocateOptions) {
  const numbers = new Map(classes.map(({ wnid }, index) => [wnid, index]));
  return async (some: readonly SplitImage[]): Promise<Seen[]> => {
    const files = await readJpegs(
      dataset.path,
      some.map(({ row }) => row),
    );
    const prepared = {
      resize: dataset.resize,
      sources: some.map(({ size }): [number, number] => [size.width, size.height]),
      given: some.map(({ row }) => numbers.get(dataset.classes[row.class]?.wnid ?? '') ?? null),
    };
    // Several ranks stop between two looks, all of them.
    const stop = world === undefined ? { signal } : {};
    const located = await session.locate(files, { method, views, top: 5, prepared }, stop);
    return located.map(({ known, guesses }) => ({
      known,
      guesses: guesses.map(({ class: index, probability, box }) => ({
        class: classes[index]?.wnid ?? String(index),
        probability,
        box,
      })),
    }));
  };
}
