/** `metrics.jsonl` read again: its epochs, and the loss of its steps in few enough points to be drawn. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import * as v from 'valibot';
import type { EpochEvent } from './events.ts';
import type { RunDirectory } from './run-directory.ts';

/** What a run has measured. */
export interface Metrics {
  epochs: EpochEvent[];
  /** Mean losses of equally many steps each; `at` is in epochs, as 1.5 in the middle of the second. */
  steps: { at: number; loss: number }[];
}

const stepSchema = v.object({ epoch: v.number(), step: v.number(), loss: v.number() });
const epochSchema = v.object({
  event: v.literal('epoch'),
  epoch: v.number(),
  step: v.number(),
  loss: v.number(),
  train_top1_error: v.number(),
  val_loss: v.number(),
  top1_error: v.number(),
  top5_error: v.number(),
  lr: v.number(),
  images_per_second: v.number(),
  seconds: v.number(),
  limiting_stage: v.picklist(['train', 'decode', 'read']),
  ceiling_images_per_second: v.number(),
  stages: v.object({ read: v.number(), decode: v.number(), copy: v.number(), train: v.number() }),
});

/** Points that the steps are averaged into. */
const points = 1000;

/** Reads the metrics of a run; none where it has not begun. A last line that a kill has cut is left out. */
export async function readMetrics(run: RunDirectory): Promise<Metrics> {
  const epochs: EpochEvent[] = [];
  const steps: v.InferOutput<typeof stepSchema>[] = [];
  let broken: { line: number; cause: unknown } | undefined;
  let line = 0;
  const lines = createInterface({ input: createReadStream(run.metrics, 'utf8') });
  try {
    for await (const text of lines) {
      line += 1;
      if (broken !== undefined) break;
      try {
        const content: unknown = JSON.parse(text);
        const kind = (content as { event?: unknown } | null)?.event;
        if (kind === 'epoch') epochs.push(v.parse(epochSchema, content));
        else if (kind === 'step') steps.push(v.parse(stepSchema, content));
      } catch (cause) {
        broken = { line, cause };
      }
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { epochs: [], steps: [] };
    throw cause;
  }
  if (broken !== undefined && broken.line < line) {
    throw new IlsvrcError('E0611', `line ${broken.line} of ${run.metrics} is not what a run writes`, {
      info: broken.cause instanceof Error ? broken.cause.message.split('\n')[0] : String(broken.cause),
      hint: 'take the file from a copy of the run, or train it anew',
      cause: broken.cause,
    });
  }
  return { epochs, steps: average(steps) };
}

/** Groups of successive steps as one point each. */
function average(steps: readonly { epoch: number; step: number; loss: number }[]): Metrics['steps'] {
  const perEpoch = steps.reduce((most, { step }) => Math.max(most, step), 1);
  const size = Math.max(Math.ceil(steps.length / points), 1);
  return Array.from({ length: Math.ceil(steps.length / size) }, (_, index) => {
    const group = steps.slice(index * size, (index + 1) * size);
    const mean = (value: (step: (typeof group)[number]) => number) =>
      group.reduce((sum, step) => sum + value(step), 0) / group.length;
    return { at: mean(({ epoch, step }) => epoch - 1 + step / perEpoch), loss: mean(({ loss }) => loss) };
  });
}
