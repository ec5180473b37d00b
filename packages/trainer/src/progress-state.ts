/** Where a run stands: what a checkpoint's metadata holds beside the weights. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { TrainReport } from '@ilsvrc/engine';
import * as v from 'valibot';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const stateSchema = v.object({
  /** The epoch under way, from 0; equal to the number of epochs when all are done. */
  epoch: count,
  /** Steps of it that are done. */
  step: count,
  /** Bytes of `metrics.jsonl`. */
  metrics_bytes: count,
  /** Validation after each finished epoch. */
  validation: v.array(
    v.object({ loss: v.nullable(v.number()), top1_error: v.number(), top5_error: v.number() }),
  ),
  /** Sums over the images of the epoch under way. */
  sums: v.object({ images: count, loss: v.number(), top1_error: v.number() }),
  /** Wall time of the epoch under way, and of all before. */
  seconds: v.object({ epoch: v.number(), before: v.number() }),
});

/** Where a run stands. */
export type State = v.InferOutput<typeof stateSchema>;

/** Before the first step. */
export function freshState(): State {
  return {
    epoch: 0,
    step: 0,
    metrics_bytes: 0,
    validation: [],
    sums: { images: 0, loss: 0, top1_error: 0 },
    seconds: { epoch: 0, before: 0 },
  };
}

/** The state in a checkpoint's metadata. */
export function parseState(text: string | undefined, path: string): State {
  try {
    return v.parse(stateSchema, JSON.parse(text ?? ''));
  } catch (cause) {
    throw new IlsvrcError('E0302', `${path} does not say where its run stands`, {
      info: String(cause),
      hint: 'start the run anew without --resume',
      cause,
    });
  }
}

/** Adds what a call of the engine has trained. */
export function advance(state: State, report: TrainReport): void {
  state.step += report.steps;
  state.sums.images += report.images;
  state.sums.loss += report.loss * report.images;
  state.sums.top1_error += report.top1_error * report.images;
  state.seconds.epoch += report.seconds;
}

/** Closes an epoch. */
export function finishEpoch(state: State, validation: State['validation'][number]): void {
  state.validation.push(validation);
  state.epoch++;
  state.step = 0;
  state.sums = { images: 0, loss: 0, top1_error: 0 };
  state.seconds = { epoch: 0, before: state.seconds.before + state.seconds.epoch };
}
