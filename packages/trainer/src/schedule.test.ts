import { expect, test } from 'vitest';
import { rateOf } from './schedule.ts';

const rates = (schedule: Parameters<typeof rateOf>[0], epochs: number, errors: number[] = []) =>
  Array.from({ length: epochs }, (_, epoch) => rateOf(schedule, { rate: 0.01, epoch, epochs, errors }));

test('plateau: a tenth when the error has stopped improving, as often as allowed', () => {
  const plateau = { kind: 'plateau', factor: 10, patience: 2, drops: 2 } as const;
  //               epoch 0    1    2    3    4    5    6    7    8
  const errors = [0.9, 0.8, 0.8, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7];
  expect(rates(plateau, 10, errors)).toEqual([
    ...Array(4).fill(0.01),
    ...Array(3).fill(0.001),
    ...Array(3).fill(0.0001),
  ]);
});

test('plateau: what comes after an epoch does not change its rate', () => {
  const plateau = { kind: 'plateau', factor: 10, patience: 1, drops: 3 } as const;
  const errors = [0.5, 0.5, 0.5];
  expect(rateOf(plateau, { rate: 1, epoch: 1, epochs: 9, errors })).toBe(1);
  expect(rateOf(plateau, { rate: 1, epoch: 1, epochs: 9, errors: errors.slice(0, 1) })).toBe(1);
});

test('step: the rate falls after the epochs named', () => {
  const after8 = rates({ kind: 'step', factor: 10, after: [8] }, 10);
  expect(after8).toEqual([...Array(8).fill(0.01), 0.001, 0.001]);
});

test('exp: equal ratios from the first rate to the last, in equal parts of the epochs', () => {
  const fall = rates({ kind: 'exp', steps: 4, final: 0.0001 }, 10);
  expect(fall[0]).toBe(0.01);
  expect(fall[1]).toBe(0.01);
  expect(fall[9]).toBeCloseTo(0.0001, 12);
  const levels = [...new Set(fall)];
  expect(levels).toHaveLength(5);
  for (let i = 1; i < levels.length; i++) {
    expect((levels[i] ?? 0) / (levels[i - 1] ?? 1)).toBeCloseTo(0.01 ** (1 / 4), 9);
  }
});
