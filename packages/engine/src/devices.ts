/** What there is to compute with on this machine, and how much memory a net needs of it. */
import { outcome } from './jobs.ts';
import { native } from './native.ts';
import type { Net } from './net.ts';
import type { Precision, SessionOptions } from './session.ts';

/** Why something cannot be used: an error of the table that nobody has thrown. */
export interface Problem {
  code: string;
  message: string;
  info: string | null;
  hint: string | null;
}

/** The devices of this machine, and what the addon has for them. */
export interface Devices {
  cpu: {
    instruction_set: string;
    /** What the processor has, as `avx2`; not all of it is used. */
    features: string[];
    threads: number;
    /** What programs could still take, within the limit of a container; `null` outside of Linux. */
    available_bytes: number | null;
  };
  driver: {
    /** The newest CUDA that the driver supports, as `13.0`; `null` where none could be loaded. */
    version: string | null;
    problem: Problem | null;
  };
  gpus: Gpu[];
  /** What sums over the GPUs of several processes, as `2.27.3`, or why it is not used; `null` where there is no GPU. */
  nccl: {
    version: string | null;
    problem: Problem | null;
  } | null;
  /** Kernels as machine code inside the addon. */
  cubins: {
    /** As `sm_80`. */
    arch: string;
    bytes: number;
  }[];
  /** The compiler of kernels: the version that made the cubins, and the one that is installed here. */
  nvrtc: {
    build: string | null;
    runtime: string | null;
  };
  /** What decodes photos, and how: parts with semicolons between them, JPEG first. */
  decoder: string;
}

/** A GPU. */
export interface Gpu {
  /** Its number, as `--devices` takes it. */
  ordinal: number;
  name: string;
  /** As `9.0`. */
  compute_capability: string;
  memory_bytes: number;
  /** `null` where the GPU cannot be opened. */
  free_bytes: number | null;
  usable: boolean;
  /** Why it is not usable. */
  problem: Problem | null;
  /** Where its kernels come from, as `embedded sm_90a`, `compiled at run time by NVRTC 12.9` or `none`. */
  kernels: string;
  /** Numbers of the GPUs whose memory it reaches directly. */
  peers: number[];
}

/** What the memory is wanted for. */
export interface EstimateRequest {
  net: Net;
  /** As a session takes them, GPUs that are not there included. */
  places: string[];
  precision: Precision;
  /** Images in a pass. */
  batch: number;
  use: SessionOptions['use'];
}

/** The memory that a session would take. */
export interface Estimate {
  places: PlaceEstimate[];
  /** The most images a pass may have; `null` where the free memory of a place is not known. */
  largest_batch: number | null;
}

/** The memory in one place, in bytes. */
export interface PlaceEstimate {
  /** `cpu` or the number of a GPU. */
  name: string;
  /** `null` for a GPU that is not there. */
  device: string | null;
  parameters_bytes: number;
  activations_bytes: number;
  workspace_bytes: number;
  input_bytes: number;
  exchange_bytes: number;
  total_bytes: number;
  free_bytes: number | null;
}

/** Looks at this machine; a device that cannot be used is part of the answer, not an error. */
export function devices(): Devices {
  return outcome<Devices>(native.devices()).payload;
}

/** Adds up the memory of a session without opening it, also for GPUs that this machine does not have. */
export function estimate(request: EstimateRequest): Estimate {
  return outcome<Estimate>(native.estimate(JSON.stringify(request))).payload;
}
