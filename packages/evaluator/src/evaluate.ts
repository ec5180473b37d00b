/** Evaluates models on a split, one after the other, and averages what they say. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type Layout, type Machine, Session } from '@ilsvrc/engine';
import { average } from './average.ts';
import { wilson } from './interval.ts';
import { type ClassName, expectSameClasses, type ModelInfo, readModel } from './model.ts';
import { logLoss, type Scores, topKError } from './top-k.ts';

/** What to evaluate, and how. */
export interface EvaluateOptions extends Machine {
  /** Model files; the probabilities of several are averaged. */
  models: string[];
  dataset: { path: string; classes: ClassName[] };
  split: string;
  views: 1 | 10;
  /** Views in a pass. */
  batch: number;
  signal?: AbortSignal | undefined;
  /** Hears where each model's towers live, before its first pass. */
  onOpen?: ((layout: Layout, model: number) => void) | undefined;
  /** `done` and `total` count images of one model. */
  onProgress?: ((progress: { model: number; done: number; total: number }) => void) | undefined;
}

/** Error rates as fractions, with the 95 % interval of each. */
export interface Rates {
  images: number;
  classes: number;
  top1_error: number;
  top1_interval: [low: number, high: number];
  /** With fewer than five classes, the error of all of them: 0. */
  top5_error: number;
  top5_interval: [low: number, high: number];
  /** Mean cross-entropy in nats. */
  log_loss: number;
}

/** What an evaluation found. */
export interface Evaluation extends Rates {
  /** Images a second through all models, the reading included. */
  images_per_second: number;
  seconds: number;
  models: ModelInfo[];
  scores: Scores;
}

/** Error rates of scores. */
export function rate(scores: Scores): Rates {
  const images = scores.labels.length;
  const top1 = topKError(scores, 1);
  const top5 = topKError(scores, 5);
  return {
    images,
    classes: scores.classes,
    top1_error: top1,
    top1_interval: wilson(top1, images),
    top5_error: top5,
    top5_interval: wilson(top5, images),
    log_loss: logLoss(scores),
  };
}

/** Runs every model over the split. Files and classes are checked before the first pass. */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const models = await Promise.all(options.models.map(readModel));
  for (const model of models) expectSameClasses(model, options.dataset);
  const { signal, onOpen, onProgress } = options;
  const all: Float32Array[] = [];
  let labels: Uint32Array | undefined;
  let seconds = 0;
  for (const [number, { path, net }] of models.entries()) {
    const session = await Session.open({
      net,
      batch: options.batch,
      seed: 0,
      threads: options.threads,
      places: options.places,
      precision: options.precision,
      use: 'inference',
    });
    onOpen?.(session.layout, number);
    await session.loadModel(path);
    const report = await session.evaluate(
      { dataset: options.dataset.path, split: options.split, views: options.views },
      { signal, onProgress: (progress) => onProgress?.({ model: number, ...progress }) },
    );
    all.push(report.probabilities);
    labels ??= report.labels;
    seconds += report.seconds;
  }
  if (labels === undefined) throw new IlsvrcError('E0104', 'no model to evaluate');
  const scores = { probabilities: average(all), labels, classes: options.dataset.classes.length };
  return { ...rate(scores), images_per_second: labels.length / seconds, seconds, models, scores };
}
