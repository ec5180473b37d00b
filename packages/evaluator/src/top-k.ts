/** Top-k error with fractional ties, as the authors count it. */

/** Scores of `labels.length` images for `classes` classes, image after image. */
export interface Scores {
  probabilities: Float32Array;
  labels: Uint32Array;
  classes: number;
}

/**
 * The share of images whose true class is not among the `k` most likely ones, 0 to 1. Classes with equal scores share
 * the slots that are left: where `n` classes compete for `s` slots each has `s/n` of a hit. So a net that gives every
 * class the same score has an error of exactly `1 - k/classes`.
 */
export function topKError({ probabilities, labels, classes }: Scores, k: number): number {
  let hits = 0;
  for (const [image, label] of labels.entries()) {
    hits += topKHit(probabilities.subarray(image * classes, (image + 1) * classes), label, k);
  }
  return labels.length === 0 ? 0 : Math.max(1 - hits / labels.length, 0);
}

/** How much of a hit one image is, 0 to 1, given its scores. A score that is not a number never hits. */
export function topKHit(scores: Float32Array, label: number, k: number): number {
  const { above, equal } = standing(scores, label);
  if (equal === 0) return 0;
  return Math.min(Math.max((k - above) / equal, 0), 1);
}

/** Place of the true class, from 1, the best of those it shares with equal scores. */
export function rankOfTruth(scores: Float32Array, label: number): number {
  return standing(scores, label).above + 1;
}

/** How many classes score more than the true one, and how many the same, itself included. */
function standing(scores: Float32Array, label: number): { above: number; equal: number } {
  const truth = scores[label] ?? Number.NaN;
  let above = 0;
  let equal = 0;
  for (const score of scores) {
    if (score > truth) above++;
    else if (score === truth) equal++;
  }
  return { above, equal };
}

/** The `k` most likely classes, the most likely first; equal ones in the order of classes. */
export function best(scores: Float32Array, k: number): { class: number; probability: number }[] {
  const found: { class: number; probability: number }[] = [];
  for (let index = 0; index < scores.length; index++) {
    const probability = scores[index] ?? 0;
    if (found.length === k && !(probability > (found[k - 1]?.probability ?? 0))) continue;
    let place = found.length;
    while (place > 0 && probability > (found[place - 1]?.probability ?? 0)) place--;
    found.splice(place, 0, { class: index, probability });
    if (found.length > k) found.pop();
  }
  return found;
}

/** Mean of `-ln p(true class)`, in nats. A probability of 0 counts as the smallest f32, so that one miss is not infinite. */
export function logLoss({ probabilities, labels, classes }: Scores): number {
  const smallest = 2 ** -149;
  let sum = 0;
  for (const [image, label] of labels.entries()) {
    sum -= Math.log(Math.max(probabilities[image * classes + label] ?? 0, smallest));
  }
  return labels.length === 0 ? 0 : sum / labels.length;
}
