import { expect, test } from 'vitest';
import { allReduceSeconds, costOf, exposedSeconds, type Link, links, reached, scale } from './scaling.ts';

const link: Link = { bytes_per_second: 1e9, latency_seconds: 1e-3 };
const layers = [
  { parameters: 1e6, connections: 100e6 },
  { parameters: 0, connections: 0 },
  { parameters: 10e6, connections: 10e6 },
];
const request = {
  layers,
  cost: { fixed_seconds: 0.01, image_seconds: 0.001 },
  batch: 120,
  link,
  devices: 1,
};

test('a line through two steps', () => {
  const cost = costOf({ images: 100, seconds: 1.1 }, { images: 50, seconds: 0.6 });
  expect(cost.image_seconds).toBeCloseTo(0.01);
  expect(cost.fixed_seconds).toBeCloseTo(0.1);
  // Noise: neither part is below zero.
  expect(costOf({ images: 100, seconds: 1 }, { images: 50, seconds: 1.1 })).toEqual({
    image_seconds: 0,
    fixed_seconds: 1,
  });
  expect(costOf({ images: 100, seconds: 1 }, { images: 50, seconds: 0.4 }).fixed_seconds).toBe(0);
});

test('a ring sends every byte nearly twice', () => {
  expect(allReduceSeconds(1e9, 1, link)).toBe(0);
  expect(allReduceSeconds(1e9, 2, link)).toBeCloseTo(1 + 0.002);
  expect(allReduceSeconds(1e9, 4, link)).toBeCloseTo(1.5 + 0.006);
});

test('sums wait for gradients and for each other, and count where they outlast the backward pass', () => {
  const sums = [
    { ready: 1, seconds: 4 },
    { ready: 2, seconds: 1 },
  ];
  expect(exposedSeconds(sums, 10)).toBe(0);
  expect(exposedSeconds(sums, 4)).toBe(2);
  expect(exposedSeconds([{ ready: 3, seconds: 1 }], 3)).toBe(1);
});

test('one replica waits for nobody, and the largest part of a batch decides', () => {
  const one = scale({ ...request, replicas: 1 });
  expect(one).toMatchObject({ images: 120, sums_seconds: 0, exposed_seconds: 0 });
  expect(one.step_seconds).toBeCloseTo(0.13);
  expect(scale({ ...request, replicas: 7 }).images).toBe(18);
});

test('what is exposed is what outlasts the backward pass', () => {
  // Two replicas compute 60 ms: forward 110 of 320 parts (the first layer has no gradient of its input), backward 120.
  const { step_seconds, exposed_seconds, sums_seconds } = scale({ ...request, replicas: 2 });
  const part = 0.06 / 230;
  // The dense layer's 40 MB leave after its 20 parts; then come 4 MB of the first layer.
  const dense = 40e6 / 1e9 + 0.002;
  const first = 4e6 / 1e9 + 0.002;
  expect(sums_seconds).toBeCloseTo(dense + first);
  expect(exposed_seconds).toBeCloseTo(Math.max(20 * part + dense, 120 * part) + first - 120 * part);
  expect(step_seconds).toBeCloseTo(0.01 + 0.06 + exposed_seconds);
  // Each of two devices sums its half.
  expect(scale({ ...request, replicas: 2, devices: 2 }).sums_seconds).toBeCloseTo(22e6 / 1e9 + 0.004);
});

/**
 * Krizhevsky, *One weird trick for parallelizing convolutional neural networks* (2014), table 1: hours of 90 epochs of ImageNet on
 * K20s with 128 images each. There, GPUs are replicas up to the last pool and share out the dense layers, so gradients of the
 * convolutions are summed, and maps and gradients of the dense layers go from each to all others. Taken as given: the hours of one
 * GPU, and PCI Express 2.0 of 16 lanes (8 GB/s) that all GPUs share. Nothing is fitted.
 */
test("the table of Krizhevsky's second paper", () => {
  const [hours, images, epochs] = [98.05, 1_281_167, 90];
  const steps = (replicas: number) => (images * epochs) / (128 * replicas);
  const convolutions = [
    [64, 11 * 11 * 3, 55],
    [192, 5 * 5 * 64, 27],
    [384, 3 * 3 * 192, 13],
    [256, 3 * 3 * 384, 13],
    [256, 3 * 3 * 256, 13],
  ].map(([maps = 0, window = 0, side = 0]) => ({
    parameters: maps * (window + 1),
    connections: maps * window * side ** 2,
  }));
  const dense = [9216 * 4096, 4096 * 4096, 4096 * 1000].map((connections) => ({
    parameters: 0,
    connections,
  }));
  const predicted = [1, 2, 4, 8].map((replicas) => {
    const bus = reached * 8e9;
    const { step_seconds } = scale({
      layers: [...convolutions, ...dense],
      cost: { fixed_seconds: 0, image_seconds: (3600 * hours) / (images * epochs) },
      batch: 128 * replicas,
      replicas,
      link: { bytes_per_second: bus / replicas, latency_seconds: links.pcie.latency_seconds },
      devices: 1,
    });
    // Of each GPU to each other: its images' maps of the last pool, and its share of two dense layers for all images; and back.
    const exchanged = replicas * (replicas - 1) * 2 * 4 * 128 * (9216 + 2 * 4096);
    return (steps(replicas) * (step_seconds + exchanged / bus)) / 3600;
  });
  expect(predicted.map((value) => value.toFixed(1))).toEqual(['98.0', '49.9', '26.8', '17.4']);
  const table = [98.05, 50.2, 26.2, 15.7];
  const percent = table.map((paper, index) => Math.round(100 * ((predicted[index] ?? 0) / paper - 1)));
  expect(percent).toEqual([0, -1, 2, 11]);
});
