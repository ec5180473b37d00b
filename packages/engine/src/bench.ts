/** What this machine reaches: native benchmarks with their samples, the photos they work on, and the machine line. */
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import type { BuiltinOptions, CountProgress } from './data.ts';
import { type JobOptions, run } from './jobs.ts';
import { native } from './native.ts';
import type { Net } from './net.ts';
import { watchOthers } from './others.ts';

/** The benchmarks there are, and what each is about. */
export const benches = {
  gemm: 'products of dense layers',
  conv: 'convolutions, forward and their gradients',
  lrn: 'normalisation, with the pooling behind it',
  step: 'training steps',
  forward: 'forward passes',
  latency: 'one image through the net',
  prep: 'photos to shards, and its stages alone',
  load: 'crops for training from shards, and decoding alone',
  search: 'nearest neighbours among vectors on the disk',
} as const;

/** A name in the table. */
export type BenchName = keyof typeof benches;

/** What to measure. */
export interface BenchRequest {
  names: BenchName[];
  /** Only cases whose name contains this text; what no such case needs is not done. */
  filter?: string | undefined;
  /** Names the cases and measures nothing. */
  list?: boolean | undefined;
  /** A fraction of the work, for a first look. */
  quick: boolean;
  /** Nets for `step` and `forward`; the first one's ops are also measured alone, and its latency. */
  nets?: { name: string; net: Net; batch: number }[] | undefined;
  /** Where the time of a step goes, of the first case of `step` that is asked for. */
  breakdown?: boolean | undefined;
  /** A prepared data set for `load` to read instead of one made for the purpose. */
  from?: string | undefined;
}

/** Where a benchmark is. */
export interface BenchProgress extends CountProgress {
  /** What is being done. */
  step: string;
}

/** A figure with all its samples. */
export interface Measurement {
  /** `area/case/variant`. */
  name: string;
  /** As `images/s` or `ms`. */
  unit: string;
  /** Which figures are good ones: large rates, small times. */
  better: 'more' | 'less';
  samples: number[];
  /** What the hardware allows, in the same unit. */
  limit: { name: string; value: number } | null;
  /** How fast the hardware was just before and just after; more is faster. By it figures of two runs are divided. */
  yardstick: { name: string; unit: string; before: number; after: number } | null;
}

/** What a data set on a disk can feed. */
export interface Feed {
  images_per_second: number;
  /** Images in a step. */
  batch: number;
  steps_per_second: number;
  limited_by: 'disk' | 'cores';
  /** The shards came from the disk, not from memory. */
  cold: boolean;
}

/** Where the time of a step goes: means over some steps, so that the parts and the rest add up to the whole. */
export interface Breakdown {
  /** The case that it explains. */
  name: string;
  steps: number;
  /** Images in a step. */
  batch: number;
  seconds: number;
  /** Seconds that no part covers. */
  rest: number;
  /** GFLOP/s of multiply-adds in registers, and GB/s of reading memory. */
  fma_peak: number;
  memory: number;
  /** In the order of the step; both towers' together. */
  parts: PartTime[];
}

/** A part of a step. */
export interface PartTime {
  /** `conv`, `dense`, `norm+pool`, `update`, … */
  kind: string;
  /** The layer it belongs to, or the one before it that has a name; empty where it belongs to none. */
  layer: string;
  pass: '' | 'forward' | 'gradient' | 'input-gradient' | 'weight-gradient';
  seconds: number;
  /** Floating-point operations, convolutions counted as direct ones. */
  flops: number;
  /** Bytes of operands and results, each once. */
  bytes: number;
}

/** What was measured. */
export interface BenchReport {
  machine: {
    threads: number;
    /** GFLOP/s of multiply-adds in registers, before and after the benchmarks. */
    fma_peak: { one_thread: number; all_threads: number }[];
    /** Cores of the whole machine that other programs kept busy meanwhile, in the mean. */
    others: number;
  };
  /** The photos that were drawn, where any were. */
  photos: { count: number; size: [number, number]; mean_bytes: number } | null;
  /** All cases of the benchmarks that were named. */
  cases: string[];
  measurements: Measurement[];
  breakdown: Breakdown | null;
  feed: Feed | null;
}

/** Photos that were drawn, in the order of their numbers. */
export interface GeneratedPhotos {
  /** Paths below the folder, `<class>/<number>.jpg`. */
  paths: string[];
  /** The length of each. */
  bytes: number[];
}

/** Runs benchmarks. */
export async function bench(
  request: BenchRequest,
  options?: JobOptions<BenchProgress>,
): Promise<BenchReport> {
  const start = (emit: Parameters<typeof native.bench>[1]) => native.bench(JSON.stringify(request), emit);
  const others = watchOthers();
  const { payload } = await run<BenchReport, BenchProgress>(start, options);
  return { ...payload, machine: { ...payload.machine, others: others() } };
}

/** How a disk took a file and gave it back. */
export interface DiskSpeed {
  /** Length of the file. */
  bytes: number;
  /** With flushing it to the disk. */
  write_bytes_per_second: number;
  read_bytes_per_second: number;
  /** It was read from the disk and not from memory. */
  cold: boolean;
}

/** Writes a file without a name into a folder, of at most 128 MB and for at most two seconds, and reads it back. E0211 where it cannot. */
export async function diskSpeed(folder: string, options?: JobOptions): Promise<DiskSpeed> {
  return (await run<DiskSpeed>((emit) => native.diskSpeed(folder, emit), options)).payload;
}

/** Draws photos with natural statistics, 500 x 375 pixels and 110 kB each in the mean; progress is in photos. */
export async function generatePhotos(
  photos: BuiltinOptions,
  options?: JobOptions<CountProgress>,
): Promise<GeneratedPhotos> {
  const start = (emit: Parameters<typeof native.generatePhotos>[1]) =>
    native.generatePhotos(JSON.stringify(photos), emit);
  return (await run<GeneratedPhotos, CountProgress>(start, options)).payload;
}

/** What a figure was measured on: the line that every result carries. */
export const machine = () => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memory_gib: Math.round(totalmem() / 2 ** 30),
  system: `${type()} ${release()}`,
  node: process.version,
});
