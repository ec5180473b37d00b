/** What a run will take: its parts as they were measured, as often as it does them. */
import type { Recipe } from '@ilsvrc/config';
import type { Measured, Work } from './measure.ts';

/** How large a run is. */
export interface RunSize {
  /** Training images of an epoch. */
  images: number;
  validation_images: number;
  recipe: Recipe;
  /** A checkpoint is also saved after so many seconds of an epoch. */
  checkpoint_seconds: number;
}

/** The forecast of a run. */
export interface Forecast {
  steps_per_epoch: number;
  seconds_per_step: number;
  /** Seconds of an epoch. */
  epoch: { training: number; validation: number; saving: number; total: number };
  /** Of all epochs, and of opening the net. */
  total_seconds: number;
  /** Of this machine, the whole process of a run: it does what was measured. */
  peak_memory_bytes: number;
  disk: {
    checkpoint_bytes: number;
    model_bytes: number;
    metrics_bytes: number;
    /** The run's folder at its end. */
    total_bytes: number;
    /** While a checkpoint is saved the old one is still there. */
    peak_bytes: number;
  };
}

/** Multiplies. An epoch is counted as if it had the lowest error so far, so that its model is saved twice. */
export function forecast(
  measured: Measured,
  { images, validation_images, recipe, checkpoint_seconds }: RunSize,
): Forecast {
  const { checkpoint, model, filters, line_bytes } = measured;
  const steps_per_epoch = Math.ceil(images / recipe.batch);
  const training = images * rate(measured.training);
  const validation = validation_images * rate(measured.validation);
  const saves = 1 + Math.floor(training / checkpoint_seconds);
  const saving = saves * checkpoint.seconds + 2 * model.seconds + filters.seconds;
  const total = training + validation + saving;
  const metrics_bytes = recipe.epochs * (steps_per_epoch + 4) * line_bytes;
  const total_bytes = checkpoint.amount + 2 * model.amount + filters.amount + metrics_bytes;
  return {
    steps_per_epoch,
    seconds_per_step: recipe.batch * rate(measured.training),
    epoch: { training, validation, saving, total },
    total_seconds: measured.open_seconds + recipe.epochs * total,
    peak_memory_bytes: measured.peak_memory_bytes,
    disk: {
      checkpoint_bytes: checkpoint.amount,
      model_bytes: model.amount,
      metrics_bytes,
      total_bytes,
      peak_bytes: total_bytes + checkpoint.amount,
    },
  };
}

/** Seconds an image. */
const rate = ({ amount, seconds }: Work): number => seconds / amount;
