/** Whether two models differ by more than chance on the same images (McNemar 1947). */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type Scores, topKHit } from './top-k.ts';

/** The images on which two models do not agree, and how likely such a split is where neither is better. */
export interface McNemar {
  k: number;
  /** Images that only the first has among its top k, and that only the second has. */
  only_a: number;
  only_b: number;
  /** Two-sided. */
  p_value: number;
  /** Exact where fewer than 25 images differ; else the chi-square of one degree of freedom, continuity corrected (Edwards 1948). */
  method: 'exact binomial' | 'chi-square';
}

/** Images that differ from which on the chi-square is good enough. */
const many = 25;

/** Compares two models' scores of the same images. Where scores are equal, a hit counts from one half on. */
export function mcnemar(a: Scores, b: Scores, k: number): McNemar {
  if (a.labels.length !== b.labels.length || a.classes !== b.classes) {
    throw new IlsvrcError('E0901', 'two models can be compared on the same images only');
  }
  let only_a = 0;
  let only_b = 0;
  for (const [image, label] of a.labels.entries()) {
    const hit = ({ probabilities, classes }: Scores) =>
      topKHit(probabilities.subarray(image * classes, (image + 1) * classes), label, k) >= 0.5;
    const [first, second] = [hit(a), hit(b)];
    if (first && !second) only_a++;
    if (second && !first) only_b++;
  }
  const pairs = only_a + only_b;
  if (pairs < many) {
    const p_value = binomial(Math.min(only_a, only_b), pairs);
    return { k, only_a, only_b, p_value, method: 'exact binomial' };
  }
  const chiSquare = Math.max(Math.abs(only_a - only_b) - 1, 0) ** 2 / pairs;
  return { k, only_a, only_b, p_value: erfc(Math.sqrt(chiSquare / 2)), method: 'chi-square' };
}

/** Twice the probability of `few` or fewer of `pairs` fair coins. */
function binomial(few: number, pairs: number): number {
  let term = 0.5 ** pairs;
  let sum = 0;
  for (let i = 0; i <= few; i++) {
    sum += term;
    term *= (pairs - i) / (i + 1);
  }
  return Math.min(2 * sum, 1);
}

/**
 * The complementary error function for `x >= 0`, to 12 digits: `1 - erf` by its power series below 2.5, the continued
 * fraction above (Abramowitz and Stegun 7.1.6, 7.1.14).
 */
function erfc(x: number): number {
  const scale = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 60; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - 2 * scale * sum;
  }
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return scale / fraction;
}
