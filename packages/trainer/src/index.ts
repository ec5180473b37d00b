/** Runs: schedules, epochs, validation, checkpoints and the folder that holds them. */

export { stepsIn } from './epochs.ts';
export type { EndEvent, EpochEvent, StartEvent, StepEvent, TrainEvent } from './events.ts';
export { type Forecast, forecast, type RunSize } from './forecast.ts';
export { type Measured, type MeasureOptions, measure, measureStep, type Work } from './measure.ts';
export { type Metrics, readMetrics } from './metrics.ts';
export { RunDirectory, type Settings } from './run-directory.ts';
export { readRun, readRuns, type StoredRun } from './runs.ts';
export {
  costOf,
  type Link,
  links,
  type Scaled,
  type ScaleRequest,
  type StepCost,
  scale,
} from './scaling.ts';
export { type TrainOptions, train } from './train.ts';
