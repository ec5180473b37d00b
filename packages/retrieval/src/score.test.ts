import { expect, test } from 'vitest';
import { averagePrecision, duplicates, score } from './score.ts';

/** Three queries with `k` neighbours each; rows of the store are of class `row % 2`. */
const nearest = {
  images: 3,
  k: 5,
  rows: Uint32Array.of(0, 2, 1, 4, 3, 1, 0, 3, 2, 5, 1, 3, 5, 0, 2),
  distances: Float32Array.of(9, 10, 11, 12, 13, 0, 8, 9, 9, 9, 7, 8, 9, 9, 9),
  seconds: 1,
};
const scored = { nearest, queries: [0, 0, 1], rows: [0, 1, 0, 1, 0, 1] };

test('precision and mean average precision, by hand', () => {
  const { all, byClass } = score(scored, 3);
  // Right ones: query 0 at 1, 2, 4; query 1 at 2, 4; query 2 at 1, 2, 3.
  expect(all.precision[1]).toBeCloseTo(2 / 3);
  expect(all.precision[5]).toBeCloseTo((3 + 2 + 3) / 15);
  expect(all.precision[10]).toBeNull();
  expect(all.map).toBeCloseTo(((1 + 1 + 3 / 4) / 3 + (1 / 2 + 2 / 4) / 2 + 1) / 3);
  expect(byClass[0]).toMatchObject({ queries: 2, precision: { 1: 0.5, 5: 0.5 } });
  expect(byClass[1]).toMatchObject({ queries: 1, map: 1 });
  expect(byClass[2]).toMatchObject({ queries: 0, precision: { 1: null, 5: null }, map: null });
});

test('average precision of none, and of all', () => {
  expect(averagePrecision([])).toBe(0);
  expect(averagePrecision([false, false])).toBe(0);
  expect(averagePrecision([true, true])).toBe(1);
});

test('pairs at next to no distance are near-duplicates', () => {
  expect(duplicates(nearest)).toEqual([{ query: 1, row: 1, distance: 0 }]);
  expect(duplicates({ ...nearest, images: 0 })).toEqual([]);
});

test('near-duplicates are found where every query has one', () => {
  const all = { images: 2, k: 2, rows: Uint32Array.of(4, 1, 5, 0), seconds: 1 };
  const found = duplicates({ ...all, distances: Float32Array.of(0.1, 30, 0.1, 40) });
  expect(found.map(({ query, row }) => [query, row])).toEqual([
    [0, 4],
    [1, 5],
  ]);
});
