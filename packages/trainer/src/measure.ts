/** What the parts of a run take on this machine, by doing a little of each: the calls are those of a run, on the same data. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Recipe } from '@ilsvrc/config';
import { readManifest } from '@ilsvrc/dataset';
import { type Layout, type Machine, type Net, peakMemory, Session, watchOthers } from '@ilsvrc/engine';
import { drawFilters } from './filters.ts';
import type { Settings } from './run-directory.ts';
import { expectFits, imagesOf, stepsPerCall } from './train.ts';

/** What to measure, and where files may be written for it. */
export interface MeasureOptions extends Machine {
  /** Folder of the prepared data set. */
  dataset: string;
  net: Net;
  recipe: Recipe;
  shuffle: Settings['shuffle'];
  /** A folder of its own is made in this one, and removed. */
  folder: string;
  signal?: AbortSignal | undefined;
  /** Hears what is being measured. */
  onPart?: ((part: string) => void) | undefined;
}

/** Work that was done, and the time that it took. */
export interface Work {
  /** Images, or bytes. */
  amount: number;
  seconds: number;
}

/** What was measured. */
export interface Measured {
  /** Where it was measured. */
  layout: Layout;
  /** Until the net is ready. */
  open_seconds: number;
  steps: number;
  training: Work;
  validation: Work;
  checkpoint: Work;
  model: Work;
  /** The picture of the first layer. */
  filters: Work;
  /** Length of a line of metrics. */
  line_bytes: number;
  /** The most memory that this process has had by then, the program and decoded photos included. */
  peak_memory_bytes: number;
  /** Cores that other programs kept busy meanwhile, in the mean: without them all of it is faster. */
  others: number;
}

/** Steps that are made before the time counts: memory is touched, caches fill. */
const warmUp = 2;
/** Training and validation are measured for so long, and longer only where a few steps take longer. */
const seconds = { training: 8, validation: 3 };
const fewestSteps = 4;

/** Measures. What is written is removed, whatever happens. */
export async function measure(options: MeasureOptions): Promise<Measured> {
  const { net, dataset, signal, onPart } = options;
  const manifest = await readManifest(dataset);
  expectFits(net, manifest, dataset);
  const others = watchOthers();
  onPart?.('opening the net');
  let begin = performance.now();
  const since = () => (performance.now() - begin) / 1000;
  const session = await open(options);
  const open_seconds = since();
  onPart?.('training some steps');
  const trained = await trainSome(session, options, imagesOf(manifest, 'train'));
  onPart?.('validating some images');
  const validation = await validateSome(session, dataset, signal);
  onPart?.('writing a checkpoint and a model');
  const folder = await mkdtemp(join(options.folder, '.ilsvrc-estimate-'));
  try {
    const written = async (name: string, write: (path: string) => Promise<unknown>): Promise<Work> => {
      signal?.throwIfAborted();
      const path = join(folder, name);
      begin = performance.now();
      await write(path);
      const seconds = since();
      // Nets whose first layer is no convolution have no picture.
      const amount = await stat(path).then(
        ({ size }) => size,
        () => 0,
      );
      return { amount, seconds };
    };
    // As large as those of a run, but for the classes' names.
    const metadata = { net: JSON.stringify(net), classes: JSON.stringify(manifest.classes) };
    return {
      layout: session.layout,
      open_seconds,
      ...trained,
      validation,
      checkpoint: await written('checkpoint', (path) => session.saveCheckpoint(path, metadata)),
      model: await written('model', (path) => session.saveModel(path, metadata)),
      filters: await written('filters.png', (path) => drawFilters(session, net, path)),
      peak_memory_bytes: peakMemory(),
      others: others(),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The session of a run that has not begun. */
function open({ net, recipe, threads, places, precision }: MeasureOptions): Promise<Session> {
  return Session.open({
    ...{ net, batch: recipe.batch, seed: 0, threads, places, precision, use: 'training' },
  });
}

/** A step of the recipe's batch, and the seconds that it takes in the mean of some. */
export async function measureStep(options: MeasureOptions): Promise<{ images: number; seconds: number }> {
  const { recipe, dataset, onPart } = options;
  const manifest = await readManifest(dataset);
  expectFits(options.net, manifest, dataset);
  onPart?.(`training some steps of ${recipe.batch} images`);
  const session = await open(options);
  const { training } = await trainSome(session, options, imagesOf(manifest, 'train'));
  return { images: recipe.batch, seconds: (recipe.batch * training.seconds) / training.amount };
}

/** Steps of successive epochs, in calls as a run makes them. */
async function trainSome(
  session: Session,
  { dataset, recipe, shuffle, signal }: MeasureOptions,
  images: number,
): Promise<Pick<Measured, 'steps' | 'training' | 'line_bytes'>> {
  const stepsPerEpoch = Math.ceil(images / recipe.batch);
  let [epoch, step, line_bytes] = [0, 0, 0];
  const call = async (most: number) => {
    signal?.throwIfAborted();
    const begin = performance.now();
    const report = await session.train(
      {
        ...{ dataset, split: 'train', epoch, first_step: step, steps: Math.min(most, stepsPerEpoch - step) },
        // No step of the measurement may diverge, and what is learned is thrown away.
        rule: { rate: 1e-9, momentum: recipe.momentum, decay: recipe.decay },
        ...{ shuffle, mirror: recipe.mirror, colour_noise: recipe.colour_noise },
      },
      {
        signal,
        onStep: ({ loss, images_per_second }) => {
          const line = { event: 'step', epoch: recipe.epochs, step: stepsPerEpoch, loss, images_per_second };
          line_bytes = JSON.stringify(line).length + 1;
        },
      },
    );
    signal?.throwIfAborted();
    step += report.steps;
    if (step === stepsPerEpoch) [epoch, step] = [epoch + 1, 0];
    return { ...report, seconds: (performance.now() - begin) / 1000 };
  };
  let last = await call(warmUp);
  // Where steps are long, a call makes few of them, so that the measurement ends in time.
  const perCall = Math.min(stepsPerCall, Math.max(1, Math.round((2 * last.steps) / last.seconds)));
  const sum = { steps: 0, images: 0, seconds: 0 };
  while (sum.steps < fewestSteps || sum.seconds < seconds.training) {
    last = await call(perCall);
    sum.steps += last.steps;
    sum.images += last.images;
    sum.seconds += last.seconds;
  }
  return { steps: sum.steps, training: { amount: sum.images, seconds: sum.seconds }, line_bytes };
}

/** The validation images, as far as one comes in a few seconds. */
async function validateSome(
  session: Session,
  dataset: string,
  signal: AbortSignal | undefined,
): Promise<Work> {
  const enough = new AbortController();
  const begin = performance.now();
  const since = () => (performance.now() - begin) / 1000;
  let reached: Work | undefined;
  const stop = signal === undefined ? enough.signal : AbortSignal.any([signal, enough.signal]);
  try {
    const { images } = await session.evaluate(
      { dataset, split: 'val', views: 1 },
      {
        signal: stop,
        onProgress: ({ done }) => {
          reached = { amount: done, seconds: since() };
          if (reached.seconds > seconds.validation) enough.abort();
        },
      },
    );
    return { amount: images, seconds: since() };
  } catch (error) {
    if (reached === undefined || !enough.signal.aborted || signal?.aborted) throw error;
    return reached;
  }
}
