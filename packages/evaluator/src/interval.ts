/** How far a measured rate may be from the true one. */

/** Quantile of the normal distribution for 95 %. */
const z = 1.959964;

/** The 95 % Wilson score interval (E. B. Wilson 1927) of a rate, 0 to 1, measured on `n` images. */
export function wilson(rate: number, n: number): [low: number, high: number] {
  if (n === 0) return [0, 1];
  const denominator = 1 + z ** 2 / n;
  const centre = (rate + z ** 2 / (2 * n)) / denominator;
  const half = (z / denominator) * Math.sqrt((rate * (1 - rate)) / n + z ** 2 / (4 * n ** 2));
  return [Math.max(centre - half, 0), Math.min(centre + half, 1)];
}
