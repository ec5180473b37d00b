import { expect, test } from 'vitest';
import { average, normalise } from './average.ts';
import { fitWeights, halves } from './fit-weights.ts';
import { judge } from './judge.ts';
import { madeOutputs } from './samples.ts';

test('averages are of probabilities', () => {
  const models = [Float32Array.from([0.5, 0.5]), Float32Array.from([1, 0])];
  expect([...average(models, normalise(undefined, 2))]).toEqual([0.75, 0.25]);
  expect([...average(models, normalise([3, 1], 2))]).toEqual([0.625, 0.375]);
  expect([...average(models, normalise([0, 7], 2))]).toEqual([1, 0]);
});

test.each([
  [[1], 'the number of weights is 1, that of models 2'],
  [[1, -1], 'a weight is not a number from 0'],
  [[1, Number.NaN], 'a weight is not a number from 0'],
  [[0, 0], 'all weights are 0'],
  [[1e308, 1e308], 'the weights are too large to be added up'],
])('weights %j are refused', (weights, message) => {
  expect(() => normalise(weights, 2)).toThrow(expect.objectContaining({ code: 'E0504', message }));
});

test('halves are disjoint, cover all images, and follow the seed', () => {
  const { fitted, held } = halves(101, 0);
  expect(fitted).toHaveLength(51);
  expect([...fitted, ...held].sort((a, b) => a - b)).toEqual([...Array(101).keys()]);
  expect(halves(101, 0)).toEqual({ fitted, held });
  expect(halves(101, 1).fitted).not.toEqual(fitted);
});

test('weights are not fitted on one image and judged on none', () => {
  const outputs = madeOutputs([[[0.9, 0.1]], [[0.2, 0.8]]], [0]);
  expect(() => judge(outputs, { fit: { seed: 0 } })).toThrow(expect.objectContaining({ code: 'E0504' }));
});

test('fitted weights: the optimum of two models is where calculus puts it', () => {
  // -[3 ln(.9 w + .2 (1-w)) + 1 ln(.1 w + .8 (1-w))]: 3 * .7 / (.2 + .7 w) = .7 / (.8 - .7 w) at w = 11/14.
  const models = [Float64Array.of(0.9, 0.9, 0.9, 0.1), Float64Array.of(0.2, 0.2, 0.2, 0.8)];
  const [first = 0, second = 0] = fitWeights(models);
  expect(first).toBeCloseTo(11 / 14, 4);
  expect(first + second).toBeCloseTo(1, 12);
});

test('fitted weights: a model that knows nothing gets none, the same twice share anyhow', () => {
  const good = Float64Array.of(0.9, 0.8, 0.95);
  const [zero] = fitWeights([Float64Array.of(0.1, 0.1, 0.1), good, good]);
  expect(zero).toBe(0);
  expect(fitWeights([good])).toEqual([1]);
});

test('what fitted weights are judged on, they were not fitted on', () => {
  const knows = (image: number) => (image % 4 === 0 ? [0.1, 0.9] : [0.9, 0.1]);
  const labels = Array(40).fill(0);
  const outputs = madeOutputs([labels.map((_, image) => knows(image)), labels.map(() => [0.5, 0.5])], labels);
  const evaluation = judge(outputs, { fit: { seed: 0 } });
  const { held } = halves(40, 0);
  expect([...evaluation.subject.numbers]).toEqual(held);
  expect(evaluation).toMatchObject({ images: 20, seen: 40, fit: { seed: 0, fitted_images: 20 } });
  expect(evaluation.top1_error).toBeCloseTo(held.filter((image) => image % 4 === 0).length / 20, 12);
  expect(evaluation.fit?.equal_weights).toMatchObject({ images: 20 });
  expect(evaluation.members[0]?.weight).toBeGreaterThan(evaluation.members[1]?.weight ?? 1);
});

test('one model has no weights to fit', () => {
  expect(() => judge(madeOutputs([[[1, 0]]], [0]), { fit: { seed: 0 } })).toThrow(
    expect.objectContaining({ code: 'E0504' }),
  );
});
