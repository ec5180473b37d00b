/** Error rates of models and of their mean. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { average, normalise } from './average.ts';
import { type Calibration, calibration } from './calibration.ts';
import { fitWeights, halves } from './fit-weights.ts';
import { wilson } from './interval.ts';
import { type McNemar, mcnemar } from './mcnemar.ts';
import { type Member, type Outputs, type Subject, scoresOf, select } from './outputs.ts';
import { logLoss, type Scores, topKError } from './top-k.ts';

/** Error rates as fractions, with the 95 % interval of each. */
export interface Rates {
  images: number;
  classes: number;
  top1_error: number;
  top1_interval: [low: number, high: number];
  /** With five classes or fewer 0: the truth is always among them. */
  top5_error: number;
  top5_interval: [low: number, high: number];
  /** Mean cross-entropy in nats. */
  log_loss: number;
}

/** How models are averaged. */
export interface JudgeOptions {
  /** One a model; all the same where absent. */
  weights?: readonly number[] | undefined;
  /** Find the weights on one half of the images instead and judge on the other; the seed draws the halves. */
  fit?: { seed: number } | undefined;
}

/** A model alone. */
export interface JudgedMember extends Member, Rates {
  /** Its share of the mean; the weights sum up to 1. */
  weight: number;
  calibration: Calibration;
}

/** Two of the models, or one and their mean, on the same images. */
export interface Comparison extends McNemar {
  a: number | 'mean';
  b: number | 'mean';
}

/** How weights were fitted. What else is said of an evaluation with fitted weights is of the other half. */
export interface Fit {
  seed: number;
  /** Images that the weights were found on; the rates are of the others. */
  fitted_images: number;
  /** The mean with equal weights on the same images as the rates. */
  equal_weights: Rates;
}

/** What an evaluation found. */
export interface Evaluation extends Rates {
  subject: Subject;
  members: JudgedMember[];
  /** What each member says, like `scores`. */
  probabilities: Float32Array[];
  /** The mean. */
  scores: Scores;
  calibration: Calibration;
  comparisons: Comparison[];
  fit: Fit | null;
  /** Images that went through the nets. */
  seen: number;
  /** Images a second through all models, the reading included; `null` where no net ran. */
  images_per_second: number | null;
  seconds: number | null;
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

/** Fails with E0504 where so many models cannot be averaged in this way. */
export function expectWeights({ weights, fit }: JudgeOptions, models: number): void {
  normalise(weights, models);
  if (fit === undefined || models > 1) return;
  throw new IlsvrcError('E0504', 'there are no weights to fit', {
    info: 'there is one model',
    hint: 'give two models or more: `ilsvrc eval a.safetensors b.safetensors --fit-weights`',
  });
}

/** Averages what models say and rates it. E0504 for weights that cannot be used. */
export function judge(all: Outputs, options: JudgeOptions = {}): Evaluation {
  expectWeights(options, all.members.length);
  const { outputs, weights, fitted } =
    options.fit === undefined
      ? { outputs: all, weights: normalise(options.weights, all.members.length), fitted: 0 }
      : fit(all, options.fit.seed);
  const mean = (shares: readonly number[]): Scores => ({
    ...scoresOf(outputs, 0),
    probabilities: average(outputs.probabilities, shares),
  });
  const scores = mean(weights);
  const { subject, probabilities, seconds } = outputs;
  const seen = all.subject.labels.length;
  return {
    ...rate(scores),
    subject,
    members: outputs.members.map((member, index) => {
      const alone = scoresOf(outputs, index);
      return { ...member, ...rate(alone), weight: weights[index] ?? 0, calibration: calibration(alone) };
    }),
    probabilities,
    scores,
    calibration: calibration(scores),
    comparisons: compare(outputs, scores),
    fit:
      options.fit === undefined
        ? null
        : {
            seed: options.fit.seed,
            fitted_images: fitted,
            equal_weights: rate(mean(normalise(undefined, weights.length))),
          },
    seen,
    images_per_second: seconds === null ? null : seen / seconds,
    seconds,
  };
}

/** Finds weights on one half of the images; what is left to judge is the other. */
function fit(all: Outputs, seed: number): { outputs: Outputs; weights: number[]; fitted: number } {
  const { labels, classes } = all.subject;
  if (labels.length < 2) {
    throw new IlsvrcError('E0504', 'one image cannot be parted into halves', {
      info: 'weights are found on one half of the images and judged on the other',
      hint: 'evaluate more images, or leave --fit-weights out',
    });
  }
  const { fitted, held } = halves(labels.length, seed);
  const truths = all.probabilities.map((rows) =>
    Float64Array.from(fitted, (image) => rows[image * classes.length + (labels[image] ?? 0)] ?? 0),
  );
  return { outputs: select(all, held), weights: fitWeights(truths), fitted: fitted.length };
}

/** Every pair of models, and each with the mean, by their top-1 errors and, where it says something, top-5 errors. */
function compare(outputs: Outputs, mean: Scores): Comparison[] {
  const models = outputs.members.map((_, index) => ({
    name: index as number | 'mean',
    scores: scoresOf(outputs, index),
  }));
  if (models.length < 2) return [];
  const all = [...models, { name: 'mean' as const, scores: mean }];
  const ks = mean.classes > 5 ? [1, 5] : [1];
  return all.flatMap((a, index) =>
    all
      .slice(index + 1)
      .flatMap((b) => ks.map((k) => ({ a: a.name, b: b.name, ...mcnemar(a.scores, b.scores, k) }))),
  );
}
