import { expect, test } from 'vitest';
import { calibration } from './calibration.ts';
import { confusionMatrix, worstConfusions } from './confusion.ts';
import { mcnemar } from './mcnemar.ts';
import { perClass } from './per-class.ts';

function scores(rows: number[][], labels: number[]) {
  return {
    probabilities: Float32Array.from(rows.flat()),
    labels: Uint32Array.from(labels),
    classes: rows[0]?.length ?? 0,
  };
}

const cat = [0.75, 0.25, 0];
const dog = [0.25, 0.75, 0];

test('calibration: 0.75 sure and right half the time is 0.25 too sure', () => {
  const { ece, overconfidence, bins } = calibration(scores([cat, cat, dog, dog], [0, 1, 1, 0]), 10);
  expect(ece).toBeCloseTo(0.25, 12);
  expect(overconfidence).toBeCloseTo(0.25, 12);
  expect(bins).toHaveLength(10);
  expect(bins[7]).toEqual({ low: 0.7, high: 0.8, images: 4, confidence: 0.75, accuracy: 0.5 });
});

test('calibration: a probability of 1 is in the last bin; nothing at all is calibrated', () => {
  const sure = calibration(scores([[0, 1]], [1]));
  expect(sure.bins.at(-1)?.images).toBe(1);
  expect(sure.ece).toBe(0);
  expect(calibration(scores([], []), 2)).toMatchObject({ ece: 0, overconfidence: 0 });
});

test('gaps of opposite sign do not cancel in the ECE, and do in the overconfidence', () => {
  const { ece, overconfidence } = calibration(scores([[0.6, 0.4], [0.9, 0.1]], [0, 1]), 10); // biome-ignore format: a row an image
  expect(ece).toBeCloseTo((0.4 + 0.9) / 2, 6);
  expect(overconfidence).toBeCloseTo((-0.4 + 0.9) / 2, 6);
});

test('confusion matrix: rows are true classes', () => {
  const matrix = confusionMatrix(scores([cat, cat, cat, dog, dog], [0, 1, 1, 1, 2]));
  expect([...matrix.counts]).toEqual([1, 0, 0, 2, 1, 0, 0, 1, 0]);
  expect(worstConfusions(matrix, 5)).toEqual([
    { truth: 1, predicted: 0, images: 2, share: 2 / 3 },
    { truth: 2, predicted: 1, images: 1, share: 1 },
  ]);
  expect(worstConfusions(matrix, 1)).toHaveLength(1);
});

test('rates of each class; one without images has none', () => {
  const rates = perClass(scores([cat, cat, cat], [0, 1, 1]));
  expect(rates[0]).toEqual({ class: 0, images: 1, top1_error: 0, top5_error: 0, confused_with: null });
  expect(rates[1]).toMatchObject({ images: 2, top1_error: 1, confused_with: { class: 0, images: 2 } });
  expect(rates[2]).toMatchObject({ images: 0, top1_error: null, confused_with: null });
});

/** Two models that differ on `onlyA + onlyB` images and are both right on ten more. */
function pair(onlyA: number, onlyB: number) {
  const rows = (right: (image: number) => boolean) =>
    scores(
      Array.from({ length: onlyA + onlyB + 10 }, (_, image) => (right(image) ? cat : dog)),
      Array(onlyA + onlyB + 10).fill(0),
    );
  return [rows((image) => image < onlyA || image >= onlyA + onlyB), rows((image) => image >= onlyA)] as const;
}

// scipy.stats: binomtest(2, 12).pvalue, binomtest(0, 6).pvalue; chi2.sf((abs(b - c) - 1) ** 2 / (b + c), 1).
test.each([
  [10, 2, 'exact binomial', 0.03857421875],
  [0, 6, 'exact binomial', 0.03125],
  [3, 3, 'exact binomial', 1],
  [0, 0, 'exact binomial', 1],
  [30, 10, 'chi-square', 0.002663119259138554],
  [200, 60, 'chi-square', 6.6712440434930846e-18],
  [20, 20, 'chi-square', 1],
] as const)('McNemar %i : %i', (a, b, method, p) => {
  const found = mcnemar(...pair(a, b), 1);
  expect(found).toMatchObject({ k: 1, only_a: a, only_b: b, method });
  expect(found.p_value / p).toBeCloseTo(1, 9);
});
