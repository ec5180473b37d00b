/** Runs: schedules, epochs, validation, checkpoints and the folder that holds them. */

export { stepsIn } from './epochs.ts';
export type { EndEvent, EpochEvent, StartEvent, StepEvent, TrainEvent } from './events.ts';
export { type Metrics, readMetrics } from './metrics.ts';
export { RunDirectory, type Settings } from './run-directory.ts';
export { type TrainOptions, train } from './train.ts';
