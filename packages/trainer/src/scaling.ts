/** How a run scales to more replicas: a step of each on its part of the batch, and what of their sums nothing hides. */
import type { LayerSummary } from '@ilsvrc/engine';

/** What joins replicas. */
export interface Link {
  /** That each can send while it receives as much. */
  bytes_per_second: number;
  /** Of a message. */
  latency_seconds: number;
}

/** Messages of megabytes reach about so much of a link's nominal rate. */
export const reached = 0.8;

/** Links by name: the fourth NVLink (18 links of 25 GB/s), PCI Express 4.0 of 16 lanes, Ethernet or InfiniBand of 100 Gbit/s. */
export const links = {
  nvlink: { bytes_per_second: reached * 450e9, latency_seconds: 5e-6 },
  pcie: { bytes_per_second: reached * 31.5e9, latency_seconds: 10e-6 },
  '100g': { bytes_per_second: reached * 12.5e9, latency_seconds: 20e-6 },
} satisfies Record<string, Link>;

/** Gradients that travel together have at least so many bytes, as in the engine (`crates/network/src/replica.rs`). */
const leastBytes = 4 * 2 ** 20;

/** What a step of one replica takes: a part that does not depend on its images, as updates, and a part for each of them. */
export interface StepCost {
  fixed_seconds: number;
  image_seconds: number;
}

/** The cost by which steps of two sizes take as long as they did. */
export function costOf(large: { images: number; seconds: number }, small: typeof large): StepCost {
  const slope = (large.seconds - small.seconds) / (large.images - small.images);
  // Where steps are so short that the clock's noise tells, a line through both may cross the axis on the wrong side.
  const image_seconds = Math.min(Math.max(slope, 0), large.seconds / large.images);
  return { image_seconds, fixed_seconds: large.seconds - large.images * image_seconds };
}

/** What is asked of a number of replicas. */
export interface ScaleRequest {
  layers: Pick<LayerSummary, 'parameters' | 'connections'>[];
  cost: StepCost;
  /** Images of a step over all replicas. */
  batch: number;
  replicas: number;
  link: Link;
  /** Devices of a replica that share out its parameters: each sums its own over a link of its own. */
  devices: number;
}

/** A step of so many replicas. */
export interface Scaled {
  replicas: number;
  /** Of the replica that has most. */
  images: number;
  step_seconds: number;
  /** That sums are under way, and that nothing is computed meanwhile. */
  sums_seconds: number;
  exposed_seconds: number;
  images_per_second: number;
}

/** A step when all replicas sum their gradients: `step_seconds` are those of computing and the part of the sums that outlasts it. */
export function scale({ layers, cost, batch, replicas, link, devices }: ScaleRequest): Scaled {
  const images = Math.ceil(batch / replicas);
  const computing = cost.image_seconds * images;
  const { buckets, backward } = gradients(layers, computing);
  const sums = buckets.map(({ bytes, ready }) => ({
    ready,
    seconds: allReduceSeconds(bytes / devices, replicas, link),
  }));
  const exposed_seconds = exposedSeconds(sums, backward);
  const step_seconds = cost.fixed_seconds + computing + exposed_seconds;
  return {
    replicas,
    images,
    step_seconds,
    sums_seconds: sums.reduce((sum, { seconds }) => sum + seconds, 0),
    exposed_seconds,
    images_per_second: batch / step_seconds,
  };
}

/**
 * Seconds in which `replicas` sum that many bytes in a ring: each sends every byte `2 (n - 1) / n` times, in `2 (n - 1)` messages
 * (Patarasuk and Yuan, 2009).
 */
export function allReduceSeconds(bytes: number, replicas: number, link: Link): number {
  const messages = 2 * (replicas - 1);
  return (messages / replicas) * (bytes / link.bytes_per_second) + messages * link.latency_seconds;
}

/** Of sums made one after the other, each when it is ready, the seconds after the end of a backward pass of so many. */
export function exposedSeconds(sums: { ready: number; seconds: number }[], backward: number): number {
  const end = sums.reduce((free, { ready, seconds }) => Math.max(free, ready) + seconds, 0);
  return Math.max(0, end - backward);
}

/** Gradients in the order of the backward pass of a step that computes for so many seconds, and the seconds of that pass. */
function gradients(
  layers: ScaleRequest['layers'],
  computing: number,
): { buckets: { bytes: number; ready: number }[]; backward: number } {
  // Layers that multiply take nearly all of the time.
  const multiplying = layers.filter(({ connections }) => connections > 0).toReversed();
  const forward = multiplying.reduce((sum, { connections }) => sum + connections, 0);
  // The gradient of weights is as much work as the layer, that of the input once more; nobody needs that of the images.
  const work = (index: number, connections: number) =>
    index === multiplying.length - 1 ? connections : 2 * connections;
  const back = multiplying.reduce((sum, { connections }, index) => sum + work(index, connections), 0);
  const second = computing / (forward + back);
  const buckets: { bytes: number; ready: number }[] = [];
  let now = 0;
  let isOpen = false;
  for (const [index, { parameters, connections }] of multiplying.entries()) {
    now += second * work(index, connections);
    const bytes = 4 * parameters;
    const last = buckets.at(-1);
    if (isOpen && last !== undefined) Object.assign(last, { bytes: last.bytes + bytes, ready: now });
    else buckets.push({ bytes, ready: now });
    isOpen = (buckets.at(-1)?.bytes ?? 0) < leastBytes;
  }
  return { buckets, backward: now };
}
