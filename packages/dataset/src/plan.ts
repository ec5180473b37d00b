/** From sources to a plan of preparation: what the engine is to decode, in which split and class. */
import { resolve } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { PrepPlan } from '@ilsvrc/engine';
import { type Assignment, type Labelled, type Layout, recognise } from './layouts.ts';
import { type Listing, list } from './listing.ts';
import { findNames, type Names } from './names.ts';

/** How photos are to be prepared. */
export interface PlanOptions {
  /** Folders and tar archives; several become one data set. */
  sources: string[];
  /** The folder to write. */
  out: string;
  /** The data set's name. */
  name: string;
  /** Side of the square images, px. */
  size: number;
  /** Cut the middle out, or squeeze the whole image into the square. */
  resize: 'crop' | 'warp';
  /** Of the JPEG files written, 1 to 100. */
  quality: number;
  /** Threads; the result does not depend on it. */
  workers: number;
  /** Shuffles, and chooses images for validation where the layout does not. */
  seed: number;
  /** Images a shard holds. */
  shardImages: number;
  /** Share of images that may be undecodable, 0 to 1. */
  maxRejected: number;
  /** Replace an output folder that was prepared with other settings. */
  force: boolean;
  /** File with names of classes. */
  names?: string | undefined;
}

/** A source, looked through. */
interface Part {
  listing: Listing;
  layout: Layout;
  assignment: Assignment;
  names: Names;
}

/** Lists and recognises the sources. Reads no image. */
export async function buildPlan(options: PlanOptions): Promise<PrepPlan> {
  const parts: Part[] = [];
  for (const source of options.sources) {
    const listing = await list(source);
    const layout = recognise(listing);
    parts.push({
      listing,
      layout,
      assignment: layout.assign(listing, options.seed),
      names: await findNames(listing, options.names),
    });
  }
  const assignments = parts.map(({ assignment }) => assignment);
  const wnids = classesOf(assignments, options.sources);
  const index = new Map(wnids.map((wnid, number) => [wnid, number]));
  const name = (wnid: string) => parts.find(({ names }) => names.has(wnid))?.names.get(wnid) ?? wnid;
  const items = (split: 'train' | 'val') =>
    parts.flatMap(({ assignment }, source) =>
      assignment[split].map((labelled) => item(labelled, source, index)),
    );

  return {
    out: resolve(options.out),
    name: options.name,
    size: options.size,
    resize: options.resize,
    quality: options.quality,
    workers: options.workers,
    seed: options.seed,
    shard_images: options.shardImages,
    max_rejected: options.maxRejected,
    force: options.force,
    layout: [...new Set(parts.map(({ layout }) => layout.name))].join('; '),
    sources: parts.map(({ listing }) => ({ path: resolve(listing.source), kind: listing.kind })),
    classes: wnids.map((wnid) => ({ wnid, name: name(wnid) })),
    splits: [
      { name: 'train', items: items('train') },
      { name: 'val', items: items('val') },
    ],
    ignored: parts.reduce((sum, { listing, assignment }) => sum + listing.ignored + assignment.ignored, 0),
  };
}

function item({ entry, wnid }: Labelled, source: number, classes: Map<string, number>) {
  const label = classes.get(wnid);
  if (label === undefined) throw new IlsvrcError('E0901', `class ${wnid} is not in the list of classes`);
  return { source, path: entry.path, ...entry.member, class: label };
}

/** The folder names of all classes, sorted: for WNIDs the order of Caffe, torchvision and Kaggle. */
function classesOf(assignments: Assignment[], sources: string[]): string[] {
  const where = sources.join(', ');
  const distinct = (split: 'train' | 'val') =>
    new Set(assignments.flatMap((assignment) => assignment[split].map(({ wnid }) => wnid)));
  const train = distinct('train');
  const val = distinct('val');
  const unlearnt = [...val].filter((wnid) => !train.has(wnid));
  if (unlearnt.length > 0) {
    throw new IlsvrcError(
      'E0209',
      `${where} has classes without images to learn from: ${unlearnt.slice(0, 5).join(', ')}`,
      {
        info: `${val.size} classes for validation, ${train.size} for training`,
        hint: 'add images of them under train/, or take their folders away from the others',
      },
    );
  }
  if (train.size < 2) {
    throw new IlsvrcError('E0208', `${where} holds one class: ${[...train].join('')}`, {
      info: 'a network learns to tell classes apart; it needs at least two',
      hint: 'add a folder with photos of something else beside it',
    });
  }
  if (val.size === 0) {
    throw new IlsvrcError('E0209', `${where} has too few images to split a tenth off for validation`, {
      info: `${assignments.reduce((sum, { train: images }) => sum + images.length, 0)} images in all`,
      hint: 'add images, or sort them into train/<class>/ and val/<class>/ yourself',
    });
  }
  return [...train].sort();
}
