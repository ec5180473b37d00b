/** Learning rates over the epochs. A rate is a function of what is known before its epoch, so a resumed run finds the same. */
import type { Schedule } from '@ilsvrc/config';

/** What a rate depends on. */
export interface ScheduleInput {
  /** The rate of the first epoch. */
  rate: number;
  /** From 0. */
  epoch: number;
  /** Epochs in all. */
  epochs: number;
  /** Validation error after each epoch before this one, the first first. */
  errors: readonly number[];
}

/** The learning rate of an epoch. */
export function rateOf(schedule: Schedule, { rate, epoch, epochs, errors }: ScheduleInput): number {
  switch (schedule.kind) {
    case 'plateau':
      return (
        rate /
        schedule.factor ** Math.min(plateaus(errors.slice(0, epoch), schedule.patience), schedule.drops)
      );
    case 'step':
      return rate / schedule.factor ** schedule.after.filter((boundary) => epoch >= boundary).length;
    case 'exp': {
      // Equal ratios from `rate` to `final`, in as many equal parts of the epochs as there are steps and one more.
      const part = Math.min(Math.floor((epoch * (schedule.steps + 1)) / epochs), schedule.steps);
      return rate * (schedule.final / rate) ** (part / schedule.steps);
    }
  }
}

/** How often the error has stopped improving: no new lowest in `patience` epochs, counted anew after each time. */
function plateaus(errors: readonly number[], patience: number): number {
  let lowest = Number.POSITIVE_INFINITY;
  let waited = 0;
  let count = 0;
  for (const error of errors) {
    if (error < lowest) {
      lowest = error;
      waited = 0;
    } else if (++waited === patience) {
      count++;
      waited = 0;
    }
  }
  return count;
}
