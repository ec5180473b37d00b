/** Hand-made cases of the devkit's rule. */
import { expect, test } from 'vitest';
import { type Box, bestOverlap, clip, middle, overlap } from './box.ts';
import { type Located, localizationRates } from './score.ts';

const size = { width: 100, height: 100 };
/** Ten by ten pixels, the last ones included. */
const square: Box = [0, 0, 9, 9];

const image = (image: Partial<Located>): Located => ({
  class: 'cat',
  boxes: [square],
  size,
  guesses: [],
  known: undefined,
  isBlacklisted: false,
  ...image,
});
const errors = (...images: Located[]) => localizationRates(images).errors;

test('corners belong to the box, as in compute_overlap.m', () => {
  expect(overlap(square, square)).toBe(1);
  // One pixel in common: 1 of 100 + 100 - 1. Without the +1 they would only touch.
  expect(overlap(square, [9, 9, 18, 18])).toBe(1 / 199);
  expect(overlap(square, [10, 0, 19, 9])).toBe(0);
  expect(overlap([5, 5, 5, 5], [5, 5, 5, 5])).toBe(1);
  // 10 x 5 of 10 x 10: exactly one half, where plain edges would make it 4 of 9.
  expect(overlap(square, [0, 0, 9, 4])).toBe(0.5);
  expect(overlap(square, [Number.NaN, 0, 9, 9])).toBe(0);
});

test('an overlap of exactly one half is right, a little less is not', () => {
  expect(errors(image({ guesses: [{ class: 'cat', box: [0, 0, 9, 4] }] }))[0]).toBe(0);
  expect(errors(image({ guesses: [{ class: 'cat', box: [0, 0, 9, 3.99] }] }))[0]).toBe(1);
});

test('any instance will do', () => {
  const boxes: Box[] = [
    [50, 50, 90, 90],
    [20, 20, 29, 29],
    [0, 0, 4, 4],
  ];
  expect(bestOverlap([20, 20, 29, 29], boxes)).toBe(1);
  expect(bestOverlap(square, [])).toBe(0);
  expect(errors(image({ boxes, guesses: [{ class: 'cat', box: [20, 20, 29, 28] }] }))[0]).toBe(0);
});

test('class and box must be right in the same guess', () => {
  const guesses = [
    { class: 'dog', box: square },
    { class: 'cat', box: [60, 60, 80, 80] as Box },
  ];
  expect(errors(image({ guesses }))).toEqual([1, 1, 1, 1, 1]);
  guesses.push({ class: 'cat', box: square });
  expect(errors(image({ guesses }))).toEqual([1, 1, 0, 0, 0]);
});

test('fewer than five guesses are allowed, a sixth does not count', () => {
  const dog = { class: 'dog', box: square };
  const cat = { class: 'cat', box: square };
  expect(errors(image({ guesses: [] }), image({ guesses: [cat] }))).toEqual([0.5, 0.5, 0.5, 0.5, 0.5]);
  expect(errors(image({ guesses: [dog, dog, dog, dog, dog, cat] }))).toEqual([1, 1, 1, 1, 1]);
  expect(errors(image({ guesses: [dog, dog, dog, dog, cat] }))).toEqual([1, 1, 1, 1, 0]);
});

test('blacklisted images and images without boxes do not count', () => {
  const guesses = [{ class: 'cat', box: square }];
  const rates = localizationRates([
    image({ guesses, known: square }),
    image({ isBlacklisted: true }),
    image({ boxes: [] }),
    image({ boxes: [], isBlacklisted: true }),
  ]);
  expect(rates).toMatchObject({ images: 1, without_boxes: 2, blacklisted: 1, known_error: 0, mean_iou: 1 });
  expect(rates.errors).toEqual([0, 0, 0, 0, 0]);
});

test('with the class given, a missing box is a miss', () => {
  const rates = localizationRates([
    image({ known: square }),
    image({ known: [0, 0, 9, 4] }),
    image({ known: [0, 0, 9, 2] }),
    image({}),
  ]);
  expect(rates.known_error).toBe(0.5);
  expect(rates.mean_iou).toBeCloseTo((1 + 0.5 + 0.3) / 4);
  expect(rates.known_interval[0]).toBeLessThan(0.5);
  expect(rates.known_interval[1]).toBeGreaterThan(0.5);
});

test('baselines keep the classes and know nothing of the boxes', () => {
  const boxes: Box[] = [middle(size, 0.7)];
  expect(boxes[0]?.map(Math.round)).toEqual([15, 15, 85, 85]);
  const { baselines } = localizationRates([
    image({ boxes, guesses: [{ class: 'dog', box: square }] }),
    image({ boxes, guesses: [{ class: 'cat', box: square }] }),
  ]);
  expect(baselines.centre).toMatchObject({ known_error: 0, mean_iou: 1, errors: [0.5, 0.5, 0.5, 0.5, 0.5] });
  // 71 x 71 of 101 x 101 is a little less than one half.
  expect(baselines.whole).toMatchObject({ known_error: 1, errors: [1, 1, 1, 1, 1] });
  expect(baselines.whole.mean_iou).toBeCloseTo(71 ** 2 / 101 ** 2);
});

test('no images at all', () => {
  const rates = localizationRates([]);
  expect(rates).toMatchObject({ images: 0, known_error: 1, mean_iou: 0 });
  expect(rates.known_interval).toEqual([0, 1]);
});

test('boxes end at the photo', () => {
  expect(clip([-5, 3, 120, 50], size)).toEqual([0, 3, 100, 50]);
  expect(clip([130, 0, 140, 10], size)).toEqual([100, 0, 100, 10]);
});
