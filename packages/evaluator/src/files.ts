/** Files of an evaluation: `result.json` holds every number, `predictions.jsonl` a line an image. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFailed } from '@ilsvrc/diagnostics';
import type { Evaluation } from './evaluate.ts';
import type { ClassName } from './model.ts';
import { best, rankOfTruth } from './top-k.ts';

/** `result.json`, also what `eval --json` prints. */
export interface Result {
  version: 1;
  images: number;
  classes: number;
  views: number;
  split: string;
  data: string;
  models: string[];
  top1_error: number;
  top1_interval: [low: number, high: number];
  top5_error: number;
  top5_interval: [low: number, high: number];
  log_loss: number;
  images_per_second: number;
  seconds: number;
  /** How the images of each model were prepared. */
  preprocessing: unknown[];
}

/** An evaluation as it is printed and stored. */
export function toResult(
  evaluation: Evaluation,
  { views, split, data }: { views: number; split: string; data: string },
): Result {
  const { models, scores: _, ...numbers } = evaluation;
  return {
    version: 1,
    ...numbers,
    views,
    split,
    data,
    models: models.map(({ path }) => path),
    preprocessing: models.map(({ preprocessing }) => preprocessing),
  };
}

/** Writes both files into a folder, each whole or not at all. */
export async function writeResult(
  folder: string,
  result: Result,
  evaluation: Evaluation,
  classes: ClassName[],
): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await writeWhole(join(folder, 'predictions.jsonl'), predictions(evaluation, classes));
    await writeWhole(join(folder, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
  } catch (cause) {
    throw writeFailed(folder, cause);
  }
}

/** A line an image, in the split's order: its place in the split, its class, the rank of that, and the top five. */
function predictions(
  { scores: { probabilities, labels, classes: count } }: Evaluation,
  classes: ClassName[],
): string {
  const wnid = (index: number) => classes[index]?.wnid;
  const lines = Array.from(labels, (label, image) => {
    const scores = probabilities.subarray(image * count, (image + 1) * count);
    const top5 = best(scores, 5).map(({ class: index, probability }) => ({ wnid: wnid(index), probability }));
    return JSON.stringify({ image, wnid: wnid(label), rank: rankOfTruth(scores, label), top5 });
  });
  return `${lines.join('\n')}\n`;
}

async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, text, { flush: true });
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw cause;
  }
}
