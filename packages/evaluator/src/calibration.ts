/** How far confidence and accuracy agree: reliability bins and the expected calibration error. */
import { type Scores, topKHit } from './top-k.ts';

/** Images whose highest probability lies in `[low, high)`; the last bin holds 1 too. */
export interface ReliabilityBin {
  low: number;
  high: number;
  images: number;
  /** Mean of the highest probabilities; 0 in an empty bin. */
  confidence: number;
  /** Share of images whose likeliest class is the true one; 0 in an empty bin. */
  accuracy: number;
}

/** A reliability diagram in numbers. */
export interface Calibration {
  /** Expected calibration error: mean of |accuracy - confidence| over images (Naeini, Cooper and Hauskrecht 2015). */
  ece: number;
  /** Mean confidence less accuracy over all images: above 0 where the model is too sure. */
  overconfidence: number;
  bins: ReliabilityBin[];
}

/** Bins of equal width; 15 is what the literature compares with (Guo et al. 2017). */
export function calibration(scores: Scores, bins = 15): Calibration {
  const { probabilities, labels, classes } = scores;
  const images = new Float64Array(bins);
  const confidence = new Float64Array(bins);
  const hits = new Float64Array(bins);
  for (const [image, label] of labels.entries()) {
    const row = probabilities.subarray(image * classes, (image + 1) * classes);
    let highest = 0;
    for (const probability of row) if (probability > highest) highest = probability;
    const bin = Math.min(Math.floor(highest * bins), bins - 1);
    images[bin] = (images[bin] ?? 0) + 1;
    confidence[bin] = (confidence[bin] ?? 0) + highest;
    hits[bin] = (hits[bin] ?? 0) + topKHit(row, label, 1);
  }
  const mean = (sums: Float64Array, bin: number) => (sums[bin] ?? 0) / Math.max(images[bin] ?? 0, 1);
  const gap = (bin: number) => (confidence[bin] ?? 0) - (hits[bin] ?? 0);
  const over = (value: (bin: number) => number) =>
    Array.from(images.keys(), value).reduce((sum, x) => sum + x, 0) / Math.max(labels.length, 1);
  return {
    ece: over((bin) => Math.abs(gap(bin))),
    overconfidence: over(gap),
    bins: Array.from(images, (count, bin) => ({
      low: bin / bins,
      high: (bin + 1) / bins,
      images: count,
      confidence: mean(confidence, bin),
      accuracy: mean(hits, bin),
    })),
  };
}
