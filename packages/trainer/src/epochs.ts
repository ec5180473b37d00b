/** How many images and steps an epoch has: fewer while part of the training images is held out. */
import type { Recipe } from '@ilsvrc/config';

/** What decides the length of epochs. */
export interface EpochLengths {
  /** Training images of the data set. */
  images: number;
  batch: number;
  held_out?: Recipe['held_out'] | null;
}

/** Images of epoch `epoch`, from 0. */
export function imagesIn({ images, held_out }: EpochLengths, epoch: number): number {
  if (held_out == null || epoch >= held_out.epochs) return images;
  return Math.max(1, Math.round(images * (1 - held_out.share)));
}

/** Steps of epoch `epoch`; the last may have a smaller batch. */
export const stepsIn = (lengths: EpochLengths, epoch: number): number =>
  Math.ceil(imagesIn(lengths, epoch) / lengths.batch);

/** Steps of all epochs before `epoch`. */
export function stepsBefore(lengths: EpochLengths, epoch: number): number {
  const first = Math.min(epoch, lengths.held_out?.epochs ?? 0);
  return first * stepsIn(lengths, 0) + (epoch - first) * stepsIn(lengths, epoch);
}
