/** What a training run will take: its parts measured here, on the data set or on drawn pictures, and multiplied. */
import { existsSync, globSync } from 'node:fs';
import { link, mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPreset, type Recipe } from '@ilsvrc/config';
import { readManifest } from '@ilsvrc/dataset';
import { generateBuiltin, type Machine, type Net, prep } from '@ilsvrc/engine';
import { readModel } from '@ilsvrc/evaluator';
import { formatBytes, formatCount, formatDuration } from '@ilsvrc/terminal';
import { type Forecast, forecast, type Measured, type MeasureOptions, measure } from '@ilsvrc/trainer';
import { checkpointSeconds, loadDefaults } from './defaults.ts';
import { describeLayout } from './layout.ts';
import type { Output } from './output.ts';
import { chooseNet, type TrainFlags } from './run-choice.ts';
import {
  expectWork,
  formatStep,
  type Scaling,
  type ScalingFlags,
  scaleRun,
  showScaling,
} from './run-scaling.ts';

/** What is asked for. */
interface PlanFlags extends TrainFlags, ScalingFlags {
  data?: string | undefined;
  images?: number | undefined;
  classes?: number | undefined;
}

/** A run that has not begun. */
export interface Plan {
  net: Net;
  recipe: Recipe;
  images: number;
  validation_images: number;
  /** Its `open_seconds` count from the program's start. */
  measured: Measured;
  forecast: Forecast;
  /** With more replicas, where that is asked. */
  scaling: Scaling | undefined;
  /** Of the disk of the working folder. */
  free_bytes: number;
  /** For `--json`. */
  json: object;
}

/** Measures, for seconds to a minute, and multiplies. */
export async function planRun(
  given: string | undefined,
  flags: PlanFlags,
  { machine, output, signal }: { machine: Machine; output: Output; signal: AbortSignal },
): Promise<Plan> {
  // Since the process began: that of a run takes as long.
  const start_seconds = performance.now() / 1000;
  const { data } = flags;
  const temporary = data === undefined ? await mkdtemp(join(tmpdir(), 'ilsvrc-estimate-')) : undefined;
  try {
    const classes = data === undefined ? (flags.classes ?? 1000) : (await readManifest(data)).classes.length;
    const choice = await chooseNetAndRecipe(given, flags, classes);
    expectWork(flags, choice, machine);
    const sizes = await sizesOf(flags, data);
    if (temporary !== undefined) output.say('drawing pictures to train on');
    const dataset = data ?? (await draw(temporary ?? '', choice.net, choice.recipe, classes, signal));
    const work: MeasureOptions = {
      ...{ ...choice, ...machine, dataset, shuffle: 'full', folder: '.' },
      signal,
      onPart: (part) => output.say(part),
    };
    const parts = await measure(work);
    const measured = { ...parts, open_seconds: start_seconds + parts.open_seconds };
    const found = forecast(measured, {
      ...sizes,
      recipe: choice.recipe,
      checkpoint_seconds: checkpointSeconds,
    });
    const scaling = await scaleRun(flags, work, { measured, forecast: found });
    const { bavail, bsize } = await statfs('.');
    const plan = { ...choice, ...sizes, measured, forecast: found, scaling, free_bytes: bavail * bsize };
    return { ...plan, json: describe(plan) };
  } finally {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
}

/** What `train` would take; a model file stands for its net. */
async function chooseNetAndRecipe(
  given: string | undefined,
  flags: PlanFlags,
  classes: number,
): Promise<{ net: Net; recipe: Recipe }> {
  const { config } = await loadDefaults();
  if (given === undefined || isPreset(given) || !existsSync(given)) {
    return chooseNet({ ...flags, net: given }, config, classes);
  }
  const { net } = await readModel(given);
  const { recipe } = chooseNet({ ...flags, net: isPreset(net.name) ? net.name : undefined }, config, classes);
  return { net, recipe };
}

/** Pictures that are drawn; each stands for several photos. */
const drawn = 60;

/** A data set of so many classes for some steps of a net. */
async function draw(
  folder: string,
  { image }: Net,
  { batch }: Recipe,
  classes: number,
  signal: AbortSignal,
): Promise<string> {
  const workers = availableParallelism();
  const [pictures, photos, data] = [join(folder, 'pictures'), join(folder, 'photos'), join(folder, 'data')];
  await generateBuiltin({ out: pictures, images: drawn, seed: 0, workers }, { signal });
  const files = globSync('**/*.jpg', { cwd: pictures });
  // Every class has a photo, and both splits some batches.
  for (const [split, images] of [
    ['train', Math.max(classes, 4 * batch)],
    ['val', 4 * batch],
  ] as const) {
    for (let number = 0; number < images; number += 1) {
      const place = join(photos, split, `class-${number % classes}`);
      await mkdir(place, { recursive: true });
      await link(join(pictures, files[number % files.length] ?? ''), join(place, `${number}.jpg`));
    }
  }
  await prep(
    {
      ...{
        sources: [photos],
        out: data,
        name: 'drawn',
        size: image,
        resize: 'crop',
        exif_rotate: false,
        quality: 85,
      },
      ...{ workers, seed: 0, shard_images: 1000, max_rejected: 0, force: false, part: null },
      ...{ layout: null, names: null, recipe: null },
    },
    { signal },
  );
  return data;
}

/** Images of both splits; of photos that are not here `prep` would take a tenth for validation. */
async function sizesOf({ images = 0 }: PlanFlags, dataset: string | undefined): Promise<Sizes> {
  if (dataset === undefined) {
    const validation_images = Math.round(images / 10);
    return { images: images - validation_images, validation_images };
  }
  const { splits } = await readManifest(dataset);
  const of = (split: string) => splits.find(({ name }) => name === split)?.images ?? 0;
  return { images: of('train'), validation_images: of('val') };
}

interface Sizes {
  images: number;
  validation_images: number;
}

function describe({
  recipe,
  images,
  validation_images,
  measured,
  forecast,
  scaling,
  free_bytes,
}: Omit<Plan, 'json'>): object {
  const { training, validation, steps, open_seconds } = measured;
  const { disk, ...times } = forecast;
  return {
    ...{ images, validation_images, batch: recipe.batch, epochs: recipe.epochs },
    ...times,
    measured: {
      ...{ open_seconds, steps, training_images: training.amount, training_seconds: training.seconds },
      ...{ validation_images: validation.amount, validation_seconds: validation.seconds },
      others: measured.others,
      saving_seconds: measured.checkpoint.seconds + measured.model.seconds + measured.filters.seconds,
    },
    disk: { ...disk, free_bytes },
    scaling: scaling ?? null,
  };
}

/** Others on more than this part of a core make an estimate doubtful. */
const quiet = 0.2;

/** Time, memory and disk as people read them. */
export function showPlan(plan: Plan, output: Output): void {
  const { recipe, images, validation_images, measured, forecast, free_bytes } = plan;
  const { epoch, disk } = forecast;
  const { epochs, batch } = recipe;
  output.data('');
  output.table(
    ['time', 'an epoch', epochs === 1 ? 'the run' : `${formatCount(epochs)} epochs`],
    [
      ...(['training', 'validation', 'saving'] as const).map((part) => [
        part,
        formatDuration(epoch[part]),
        formatDuration(epochs * epoch[part]),
      ]),
      ['total', formatDuration(epoch.total), formatDuration(forecast.total_seconds)],
    ],
  );
  output.data(
    `${formatCount(images)} training and ${formatCount(validation_images)} validation images, ` +
      `${formatCount(forecast.steps_per_epoch)} steps an epoch of ${formatStep(forecast.seconds_per_step)} at batch ${batch}`,
  );
  const { training, validation, steps, layout } = measured;
  output.data(
    `measured on ${describeLayout(layout)}: ${formatCount(steps)} steps in ${formatDuration(training.seconds)}, ` +
      `${formatCount(validation.amount)} validation images in ${formatDuration(validation.seconds)}, and one saving`,
  );
  if (plan.scaling !== undefined) showScaling(plan.scaling, output);
  if (measured.others > quiet) {
    output.warn(
      `other programs kept ${measured.others.toFixed(1)} cores busy meanwhile: the times hold as long as they do`,
    );
  }
  output.data(
    `memory of this machine: at most ${formatBytes(forecast.peak_memory_bytes)}, the program and decoded photos included`,
  );
  const verdict = disk.peak_bytes <= free_bytes ? 'fits' : 'does not fit';
  output.data(
    `disk: checkpoint ${formatBytes(disk.checkpoint_bytes)}, two models of ${formatBytes(disk.model_bytes)}, metrics ` +
      `${formatBytes(disk.metrics_bytes)}; at most ${formatBytes(disk.peak_bytes)} at a time, ${formatBytes(free_bytes)} free: ${verdict}`,
  );
}
