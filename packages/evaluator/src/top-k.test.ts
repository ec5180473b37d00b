import { expect, test } from 'vitest';
import { wilson } from './interval.ts';
import { best, logLoss, rankOfTruth, topKError } from './top-k.ts';

function scores(rows: number[][], labels: number[]) {
  return {
    probabilities: Float32Array.from(rows.flat()),
    labels: Uint32Array.from(labels),
    classes: rows[0]?.length ?? 0,
  };
}

test('a hit is being among the k most likely', () => {
  const two = scores([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], [0, 2]); // biome-ignore format: a row an image
  expect(topKError(two, 1)).toBe(0.5);
  expect(topKError(two, 2)).toBe(0.5);
  expect(topKError(two, 3)).toBe(0);
});

test('equal scores share the slots that are left', () => {
  const even = scores([Array(1000).fill(0.001)], [7]);
  expect(topKError(even, 1)).toBeCloseTo(0.999, 12);
  expect(topKError(even, 5)).toBeCloseTo(0.995, 12);
  // One class is ahead, three share the slot that is left of two.
  expect(topKError(scores([[0.4, 0.2, 0.2, 0.2]], [3]), 2)).toBeCloseTo(2 / 3, 12);
  expect(topKError(scores([[0.4, 0.2, 0.2, 0.2]], [3]), 1)).toBe(1);
});

test('fewer classes than k, no images, and scores that are no numbers', () => {
  expect(topKError(scores([[0.9, 0.1]], [1]), 5)).toBe(0);
  expect(topKError(scores([], []), 5)).toBe(0);
  expect(topKError(scores([[Number.NaN, Number.NaN]], [0]), 1)).toBe(1);
});

test('rank and order of the best', () => {
  const row = Float32Array.from([0.1, 0.6, 0.3]);
  expect(rankOfTruth(row, 2)).toBe(2);
  expect(best(row, 2).map((entry) => entry.class)).toEqual([1, 2]);
  expect(best(row, 5).map((entry) => entry.class)).toEqual([1, 2, 0]);
  expect(best(Float32Array.from([0.2, 0.2, 0.4, 0.2]), 3).map((entry) => entry.class)).toEqual([2, 0, 1]);
});

test('log loss', () => {
  expect(logLoss(scores([[0.5, 0.5], [0.25, 0.75]], [0, 0]))).toBeCloseTo((Math.LN2 + Math.log(4)) / 2, 6); // biome-ignore format: a row an image
  expect(logLoss(scores([[1, 0]], [1]))).toBeCloseTo(149 * Math.LN2, 6);
});

test('Wilson interval', () => {
  // The usual worked example: 10 of 100.
  const [low, high] = wilson(0.1, 100);
  expect(low).toBeCloseTo(0.0552, 4);
  expect(high).toBeCloseTo(0.1744, 4);
  expect(wilson(0, 10)[0]).toBe(0);
  expect(wilson(0.5, 0)).toEqual([0, 1]);
});
