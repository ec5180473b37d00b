/** Archives, prepared data sets, the built-in data set, model files. */
import { type JobOptions, outcome, run } from './jobs.ts';
import { native } from './native.ts';
import type { Net, Summary } from './net.ts';
import type { Metadata } from './session.ts';

/** A file of a tar archive. */
export interface TarMember {
  name: string;
  /** Where its bytes start in the archive. */
  offset: number;
  size: number;
}

/** What to prepare. */
export interface PrepPlan {
  /** Folder to write. */
  out: string;
  /** The data set's name. */
  name: string;
  /** Side of the square images, px. */
  size: number;
  /** Cut the middle out, or squeeze the whole photo into the square. */
  resize: 'crop' | 'warp';
  /** JPEG quality, 1 to 100. */
  quality: number;
  /** Threads; the result does not depend on it. */
  workers: number;
  /** Seed of the order. */
  seed: number;
  /** Images in a shard. */
  shard_images: number;
  /** Share of images that may be undecodable, 0 to 1. */
  max_rejected: number;
  /** Replace what `out` holds. */
  force: boolean;
  /** The layout recognised, for the record. */
  layout: string;
  sources: { path: string; kind: 'folder' | 'tar' }[];
  classes: { wnid: string; name: string }[];
  splits: { name: string; items: PrepItem[] }[];
  /** Files that are no images, for the record. */
  ignored: number;
}

/** An image of a source. */
export interface PrepItem {
  /** Number of its source. */
  source: number;
  /** Path in the folder, or name of the member. */
  path: string;
  /** Where it starts in the archive. */
  offset?: number | undefined;
  /** Its length in the archive. */
  size?: number | undefined;
  /** Number of its class. */
  class: number;
}

/** How far a preparation is. */
export interface PrepProgress {
  done: number;
  total: number;
  kept: number;
  rejected: number;
}

/** What a preparation did. */
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
  /** Shards that an earlier run had finished. */
  resumed_shards: number;
}

/** Units done and in all. */
export interface CountProgress {
  done: number;
  total: number;
}

/** What a data set that is whole holds. */
export interface CheckReport {
  shards: number;
  images: number;
  bytes: number;
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

/** The files of a tar archive, in its order. */
export async function scanTar(path: string): Promise<TarMember[]> {
  return (await run<TarMember[]>((emit) => native.scanTar(path, emit))).payload;
}

/** Prepares a data set. When it was stopped the same plan goes on where it was. */
export async function prep(plan: PrepPlan, options?: JobOptions<PrepProgress>): Promise<PrepSummary> {
  const start = (emit: Parameters<typeof native.prep>[1]) => native.prep(JSON.stringify(plan), emit);
  return (await run<PrepSummary, PrepProgress>(start, options)).payload;
}

/** Compares every byte of a prepared data set with its manifest; progress is in bytes. */
export async function checkDataset(
  folder: string,
  options?: JobOptions<CountProgress>,
): Promise<CheckReport> {
  const start = (emit: Parameters<typeof native.checkDataset>[1]) => native.checkDataset(folder, emit);
  return (await run<CheckReport, CountProgress>(start, options)).payload;
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
