/** Error rates of each class. */
import { confusionMatrix } from './confusion.ts';
import { type Scores, topKHit } from './top-k.ts';

/** What became of the images of one class. */
export interface ClassRates {
  class: number;
  images: number;
  /** `null` where the split has no image of the class. */
  top1_error: number | null;
  top5_error: number | null;
  /** The wrong class that most of them were taken for, and how many were; `null` where none was. */
  confused_with: { class: number; images: number } | null;
}

/** A row for each class, in the order of classes. */
export function perClass(scores: Scores): ClassRates[] {
  const { probabilities, labels, classes } = scores;
  const images = new Uint32Array(classes);
  const top1 = new Float64Array(classes);
  const top5 = new Float64Array(classes);
  for (const [image, label] of labels.entries()) {
    const row = probabilities.subarray(image * classes, (image + 1) * classes);
    images[label] = (images[label] ?? 0) + 1;
    top1[label] = (top1[label] ?? 0) + topKHit(row, label, 1);
    top5[label] = (top5[label] ?? 0) + topKHit(row, label, 5);
  }
  const { counts } = confusionMatrix(scores);
  return Array.from(images, (count, index) => {
    const error = (hits: Float64Array) => (count === 0 ? null : 1 - (hits[index] ?? 0) / count);
    let confused: ClassRates['confused_with'] = null;
    for (const [other, mistaken] of counts.subarray(index * classes, (index + 1) * classes).entries()) {
      if (other !== index && mistaken > (confused?.images ?? 0)) {
        confused = { class: other, images: mistaken };
      }
    }
    return {
      class: index,
      images: count,
      top1_error: error(top1),
      top5_error: error(top5),
      confused_with: confused,
    };
  });
}
