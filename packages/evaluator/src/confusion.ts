/** What is taken for what. */
import type { Scores } from './top-k.ts';

/** Counts of images, `classes x classes`: a row for each true class, a column for each predicted one. */
export interface ConfusionMatrix {
  classes: number;
  counts: Uint32Array;
}

/** Images of one class that were taken for another. */
export interface Confusion {
  truth: number;
  predicted: number;
  images: number;
  /** Share of the true class's images. */
  share: number;
}

/** Counts the likeliest classes; of equal ones the first. */
export function confusionMatrix({ probabilities, labels, classes }: Scores): ConfusionMatrix {
  const counts = new Uint32Array(classes * classes);
  for (const [image, label] of labels.entries()) {
    const row = probabilities.subarray(image * classes, (image + 1) * classes);
    let predicted = 0;
    for (let index = 1; index < classes; index++) {
      if ((row[index] ?? 0) > (row[predicted] ?? 0)) predicted = index;
    }
    const cell = label * classes + predicted;
    counts[cell] = (counts[cell] ?? 0) + 1;
  }
  return { classes, counts };
}

/** The pairs of different classes with the most images, at most `limit` of them, the most first. */
export function worstConfusions({ classes, counts }: ConfusionMatrix, limit: number): Confusion[] {
  const pairs: Confusion[] = [];
  for (let truth = 0; truth < classes; truth++) {
    const row = counts.subarray(truth * classes, (truth + 1) * classes);
    const total = row.reduce((sum, count) => sum + count, 0);
    for (const [predicted, images] of row.entries()) {
      if (images > 0 && predicted !== truth) pairs.push({ truth, predicted, images, share: images / total });
    }
  }
  return pairs.sort((a, b) => b.images - a.images || b.share - a.share).slice(0, limit);
}
