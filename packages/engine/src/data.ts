/** Sources of photos, prepared data sets, the built-in data set, model files. */
import { availableParallelism } from 'node:os';
import { basename, resolve } from 'node:path';
import { type JobOptions, outcome, run } from './jobs.ts';
import { native } from './native.ts';
import type { Net, Summary } from './net.ts';
import type { Metadata } from './session.ts';

/** What to prepare, and how. */
export interface PrepRequest {
  /** Folders and tar archives; several become one data set. */
  sources: string[];
  /** The folder to write. */
  out: string;
  /**
   * The data set's name.
   * @default the name of `out`
   */
  name?: string | undefined;
  /**
   * Side of the square images, px.
   * @default 256
   */
  size?: number | undefined;
  /**
   * Cut the middle out, or squeeze the whole photo into the square.
   * @default 'crop'
   */
  resize?: 'crop' | 'warp' | undefined;
  /**
   * Turn photos as their EXIF orientation says.
   * @default false
   */
  exif_rotate?: boolean | undefined;
  /**
   * JPEG quality, 1 to 100.
   * @default 85
   */
  quality?: number | undefined;
  /**
   * Threads; the result does not depend on it.
   * @default one a core
   */
  workers?: number | undefined;
  /**
   * Seed of the order, and of what is split off for validation where the layout does not say.
   * @default 0
   */
  seed?: number | undefined;
  /**
   * Images in a shard.
   * @default 1000
   */
  shard_images?: number | undefined;
  /**
   * Share of images that may be undecodable, 0 to 1.
   * @default 0.01
   */
  max_rejected?: number | undefined;
  /**
   * Replace what `out` holds.
   * @default false
   */
  force?: boolean | undefined;
  /** Every `of`-th shard, from `index`; `mergeParts` joins them. */
  part?: { index: number; of: number } | null | undefined;
  /** The layout, where it is not to be recognised. */
  layout?: string | null | undefined;
  /** File with names of classes. */
  names?: string | null | undefined;
  /** The recipe that the result must agree with. */
  recipe?: string | null | undefined;
}

/** What a request means where it does not say. */
export const prepDefaults = {
  size: 256,
  resize: 'crop',
  exif_rotate: false,
  quality: 85,
  seed: 0,
  shard_images: 1000,
  max_rejected: 0.01,
  force: false,
} as const satisfies Partial<PrepRequest>;

/** A request as native code takes it. */
function complete(request: PrepRequest): string {
  const given = Object.entries(request).filter(([, value]) => value !== undefined);
  const usual = { ...prepDefaults, name: basename(resolve(request.out)), workers: availableParallelism() };
  return JSON.stringify({ ...usual, ...Object.fromEntries(given) });
}

/** What sources hold. */
export interface Description {
  /** What the layout is called. */
  layout: string;
  /** How the source numbered its classes; ours are always sorted by WNID. */
  class_order: string;
  classes: number;
  first_classes: { wnid: string; name: string; devkit_id?: number }[];
  splits: { name: string; images: number; bytes: number }[];
  /** Images that have boxes around objects, and the boxes. */
  boxed_images: number;
  boxes: number;
  /** Files that are no image of a split, by reason. */
  ignored: Record<string, number>;
  /** Inputs refused before anything is decoded. */
  rejected: number;
  /** Of all images. */
  source_bytes: number;
}

/** What sources hold, and what preparing them takes. */
export interface Inspection extends Description {
  /** From a few photos that were prepared and thrown away. */
  estimate: { bytes: number; seconds: number };
}

/** How the photos differ from those that the folder's data set was made of. */
export interface Changes {
  added: number;
  removed: number;
  /** Photos of another length or class than before. */
  changed: number;
  /** Shards that hold the same as before and stay. */
  kept_shards: number;
  shards: number;
}

/** How far a preparation is. */
export interface PrepProgress {
  done: number;
  total: number;
  kept: number;
  rejected: number;
}

/** What is told while a preparation runs, in this order. */
export type PrepEvent =
  | { event: 'listing'; files: number }
  | ({ event: 'found' } & Description)
  | ({ event: 'changed' } & Changes)
  | ({ event: 'progress' } & PrepProgress);

/** What a preparation did; `kept + rejected + ignored = seen`. */
export interface PrepSummary {
  seen: number;
  kept: number;
  rejected: number;
  ignored: number;
  bytes: number;
  seconds: number;
  images_per_second: number;
  /** Images kept although the decoder warned. */
  warnings: number;
  /** Photos that carry an EXIF orientation. */
  rotations: number;
  shards: number;
  /** Shards that an earlier run had finished. */
  resumed_shards: number;
}

/** Units done and in all. */
export interface CountProgress {
  done: number;
  total: number;
}

/** What a check found. */
export interface CheckReport {
  shards: number;
  images: number;
  bytes: number;
  damaged: { file: string; reason: string }[];
  /** What was made again. */
  repaired: { shards: number; files: string[] } | null;
}

/** A file among the sources, compared with the archive that was published under its name. */
export interface VerifiedArchive {
  file: string;
  /** The MD5 that was published and that of its bytes, which agree; null where none is known. */
  expected: string | null;
  found: string | null;
  /** Whether a recipe has a file of that name. */
  known: boolean;
}

/** A layout that can be asked for by name. */
export interface LayoutName {
  name: string;
  description: string;
}

/** A public data set: where it comes from and what preparing it gives. */
export interface DataRecipe {
  name: string;
  title: string;
}

/** What to draw. */
export interface BuiltinOptions {
  out: string;
  /** Images in both splits together. */
  images: number;
  seed: number;
  /** Threads; the result does not depend on it. */
  workers: number;
}

/** What was drawn. */
export interface BuiltinSummary {
  images: number;
  classes: number;
  bytes: number;
}

/** Recognises sources and estimates what preparing them takes; writes nothing. */
export async function inspectSources(
  request: PrepRequest,
  options?: JobOptions<PrepEvent>,
): Promise<Inspection> {
  const start = (emit: Parameters<typeof native.inspect>[1]) => native.inspect(complete(request), emit);
  return (await run<Inspection, PrepEvent>(start, options)).payload;
}

/** Prepares a data set. When it was stopped the same request goes on where it was. */
export async function prep(request: PrepRequest, options?: JobOptions<PrepEvent>): Promise<PrepSummary> {
  const start = (emit: Parameters<typeof native.prep>[1]) => native.prep(complete(request), emit);
  return (await run<PrepSummary, PrepEvent>(start, options)).payload;
}

/**
 * Makes WebDataset shards of another program a data set where they lie: every image is decoded once, then manifest, mean
 * and indexes are written beside the shards.
 */
export async function adoptShards(
  shards: { folder: string; workers: number },
  options?: JobOptions<CountProgress>,
): Promise<{ images: number; classes: number; size: number }> {
  const start = (emit: Parameters<typeof native.adoptShards>[1]) =>
    native.adoptShards(JSON.stringify(shards), emit);
  return (await run<{ images: number; classes: number; size: number }, CountProgress>(start, options))
    .payload;
}

/** Joins the parts that several `prep` wrote into one folder. */
export async function mergeParts(folder: string): Promise<PrepSummary> {
  return (await run<PrepSummary>((emit) => native.mergeParts(folder, emit))).payload;
}

/**
 * Compares every byte of a prepared data set with its manifest; progress is in bytes. What is damaged is an error, or is
 * made again from the sources: progress is then in images.
 */
export async function checkDataset(
  check: { folder: string; repair: boolean; workers: number },
  options?: JobOptions<CountProgress>,
): Promise<CheckReport> {
  const start = (emit: Parameters<typeof native.checkDataset>[1]) =>
    native.checkDataset(JSON.stringify(check), emit);
  return (await run<CheckReport, CountProgress>(start, options)).payload;
}

/** Compares the MD5 of published archives among the sources; progress is in bytes. */
export async function verifyArchives(
  sources: string[],
  options?: JobOptions<CountProgress>,
): Promise<VerifiedArchive[]> {
  const start = (emit: Parameters<typeof native.verifyArchives>[1]) =>
    native.verifyArchives(JSON.stringify(sources), emit);
  return (await run<VerifiedArchive[], CountProgress>(start, options)).payload;
}

/** The layouts and data sets that can be asked for by name. */
export function knownData(): { layouts: LayoutName[]; recipes: DataRecipe[] } {
  return outcome<{ layouts: LayoutName[]; recipes: DataRecipe[] }>(native.knownData()).payload;
}

/** Draws the built-in data set as a folder of labelled JPEG files; progress is in images. */
export async function generateBuiltin(
  builtin: BuiltinOptions,
  options?: JobOptions<CountProgress>,
): Promise<BuiltinSummary> {
  const start = (emit: Parameters<typeof native.generateBuiltin>[1]) =>
    native.generateBuiltin(JSON.stringify(builtin), emit);
  return (await run<BuiltinSummary, CountProgress>(start, options)).payload;
}

/** The metadata of a model file; its weights stay on the disk and unverified. */
export async function readModelMetadata(path: string): Promise<Metadata> {
  return (await run<Metadata>((emit) => native.readModelMetadata(path, emit))).payload;
}

/** Counts neurons, parameters and connections, and the memory of passes of `batch` images. */
export function summarize(net: Net, batch = 128): Summary {
  return outcome<Summary>(native.summarize(JSON.stringify(net), batch)).payload;
}

/** What a PASCAL VOC file says; a box is left, top, right, bottom. @throws IlsvrcError E0218 */
export function readVoc(xml: Uint8Array): {
  filename: string;
  objects: { name: string; box: [left: number, top: number, right: number, bottom: number] }[];
} {
  return outcome<ReturnType<typeof readVoc>>(native.readVoc(xml)).payload;
}
