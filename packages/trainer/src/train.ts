/**
 * A run: epochs of training and validation, checkpoints between two steps, and everything that a folder of a run holds.
 * It can be killed at any instant; what a checkpoint says and what lies beside it then agree, because the checkpoint is
 * always written last.
 */
import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Net, Recipe } from '@ilsvrc/config';
import { type Manifest, readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import {
  type CacheLimit,
  type Machine,
  Session,
  summarize,
  type TrainReport,
  type World,
} from '@ilsvrc/engine';
import { rate as errorRates } from '@ilsvrc/evaluator';
import { type EpochLengths, imagesIn, stepsBefore, stepsIn } from './epochs.ts';
import type { EndEvent, TrainEvent } from './events.ts';
import { drawFilters } from './filters.ts';
import { advance, finishEpoch, freshState, parseState, type State } from './progress-state.ts';
import { expectSameSettings, RunDirectory, type Settings } from './run-directory.ts';
import { rateOf } from './schedule.ts';

/** What to train, where, and how often to save. */
export interface TrainOptions extends Machine {
  /** Folder of the prepared data set. */
  dataset: string;
  net: Net;
  recipe: Recipe;
  /** @default 0 */
  seed?: number | undefined;
  /**
   * How the images of an epoch are shuffled; part of what decides the numbers.
   * @default 'full'
   */
  shuffle?: Settings['shuffle'] | undefined;
  /** Keeps decoded images in so much memory; changes no number. */
  cache?: CacheLimit | undefined;
  /** Folder of the run. */
  run: string;
  /**
   * Go on from the run's checkpoint.
   * @default false
   */
  resume?: boolean | undefined;
  /**
   * Replace a run that is there.
   * @default false
   */
  force?: boolean | undefined;
  /**
   * Save after this many steps, or this many seconds; at the end of an epoch in any case.
   * @default { seconds: 120 }
   */
  checkpoint?: { steps: number } | { seconds: number } | undefined;
  /**
   * The processes that train this run together, as `joinRanks` gave them. Rank 0 alone writes to the run's folder and tells events;
   * all see the same folder.
   */
  world?: World | undefined;
  /** Saves and stops within a step. */
  signal?: AbortSignal | undefined;
  /** Where it returns a promise, no step is begun after those of one call of the engine before that is fulfilled. */
  onEvent?: ((event: TrainEvent) => void | Promise<void>) | undefined;
}

/** Steps of one call of the engine where checkpoints go by the clock. */
export const stepsPerCall = 8;

/** Trains until all epochs are done. Rejects with E0902 after saving when the signal says stop. */
export async function train(options: TrainOptions): Promise<EndEvent> {
  const manifest = await readManifest(options.dataset);
  const settings: Settings = {
    dataset: options.dataset,
    dataset_hash: createHash('sha256')
      .update(await readFile(join(options.dataset, 'dataset.json')))
      .digest('hex'),
    net: options.net,
    recipe: options.recipe,
    seed: options.seed ?? 0,
    shuffle: options.shuffle ?? 'full',
  };
  expectFits(options.net, manifest, options.dataset);
  const directory = new RunDirectory(options.run);
  if (options.resume) expectSameSettings(options.run, await directory.settings(), settings);
  // Opened before anything is written: a net that does not fit leaves no folder behind.
  const session = await Session.open({
    net: options.net,
    batch: options.recipe.batch,
    seed: settings.seed,
    threads: options.threads,
    places: options.places,
    precision: options.precision,
    use: 'training',
    cache: options.cache && { dataset: options.dataset, limit: options.cache },
  });
  const state = options.resume ? await restore(session, directory, isFirst(options)) : freshState();
  if (!options.resume && isFirst(options)) await directory.create(settings, options.force ?? false);
  return new Run(options, settings, manifest, session, directory, state).finish();
}

/** Whether this process is the one that writes and tells. */
function isFirst({ world }: TrainOptions): boolean {
  return (world?.rank ?? 0) === 0;
}

/** Fails where the images do not have the side that the net takes its crops from. */
export function expectFits(net: Pick<Net, 'name' | 'image'>, { size }: Manifest, dataset: string): void {
  if (size === net.image) return;
  throw new IlsvrcError(
    'E0214',
    `images of ${dataset} are ${size} px a side; ${net.name} needs ${net.image}`,
    {
      hint: `prepare the photos once more: \`ilsvrc prep SOURCE --size ${net.image}\``,
    },
  );
}

/** Weights, velocities and state of the last checkpoint; a fresh start where a run was killed before its first. */
async function restore(session: Session, directory: RunDirectory, writes: boolean): Promise<State> {
  const exists = await access(directory.checkpoint).then(
    () => true,
    () => false,
  );
  const state = exists
    ? parseState((await session.loadCheckpoint(directory.checkpoint)).state, directory.checkpoint)
    : freshState();
  if (writes) await directory.truncate(state.metrics_bytes);
  return state;
}

/** A run under way. */
class Run {
  readonly #options: TrainOptions;
  readonly #settings: Settings;
  readonly #manifest: Manifest;
  readonly #session: Session;
  readonly #directory: RunDirectory;
  readonly #state: State;
  readonly #lengths: EpochLengths;
  #savedAt = performance.now();
  #stepsSinceSaved = 0;

  constructor(
    options: TrainOptions,
    settings: Settings,
    manifest: Manifest,
    session: Session,
    directory: RunDirectory,
    state: State,
  ) {
    this.#options = options;
    this.#settings = settings;
    this.#manifest = manifest;
    this.#session = session;
    this.#directory = directory;
    this.#state = state;
    const { batch, held_out } = options.recipe;
    this.#lengths = { images: imagesOf(manifest, 'train'), batch, held_out };
  }

  /** Steps of the epoch under way. */
  get #stepsPerEpoch(): number {
    return stepsIn(this.#lengths, this.#state.epoch);
  }

  /** Trains the epochs that are left. */
  async finish(): Promise<EndEvent> {
    const state = this.#state;
    await this.#announce();
    while (state.epoch < this.#options.recipe.epochs) await this.#epoch();
    const last = state.validation.at(-1);
    const end: EndEvent = {
      event: 'end',
      epoch: state.epoch,
      step: stepsIn(this.#lengths, state.epoch - 1),
      top1_error: last?.top1_error ?? 1,
      top5_error: last?.top5_error ?? 1,
      seconds: state.seconds.before,
      peak_memory: process.resourceUsage().maxRSS * 1024,
      model: this.#directory.model,
    };
    await this.#tell(end);
    return end;
  }

  async #announce(): Promise<void> {
    const { net, recipe, run, dataset, resume } = this.#options;
    const { places, precision, exchange, notice, among, cache } = this.#session.layout;
    await this.#tell({
      event: 'start',
      version: 1,
      run,
      net: net.name,
      dataset,
      images: this.#lengths.images,
      classes: this.#manifest.classes.length,
      batch: recipe.batch,
      lr: recipe.rate,
      epochs: recipe.epochs,
      steps_per_epoch: Math.ceil(this.#lengths.images / recipe.batch),
      held_out: recipe.held_out ?? null,
      parameters: summarize(net).totals.parameters,
      devices: places,
      precision,
      exchange,
      notice,
      cache,
      ranks: this.#options.world?.hosts ?? null,
      among,
      resumed: resume ? { epoch: this.#state.epoch + 1, step: this.#state.step } : null,
    });
  }

  /** Trains what is left of the epoch under way, validates, and saves. */
  async #epoch(): Promise<void> {
    const state = this.#state;
    const { recipe } = this.#options;
    const lr = rateOf(recipe.schedule, {
      rate: recipe.rate,
      epoch: state.epoch,
      epochs: recipe.epochs,
      errors: state.validation.map(({ top1_error }) => top1_error),
    });
    // Each report says how busy the stages were in the epoch so far.
    let report: TrainReport | undefined;
    while (state.step < this.#stepsPerEpoch) report = await this.#steps(lr);

    const trained = { ...state.sums, seconds: state.seconds.epoch };
    const begin = performance.now();
    const validation = await this.#validate();
    state.seconds.epoch += (performance.now() - begin) / 1000;
    const event: TrainEvent = {
      event: 'epoch',
      epoch: state.epoch + 1,
      step: state.step,
      loss: trained.loss / trained.images,
      train_top1_error: trained.top1_error / trained.images,
      val_loss: validation.log_loss,
      top1_error: validation.top1_error,
      top5_error: validation.top5_error,
      lr,
      images_per_second: trained.images / trained.seconds,
      seconds: state.seconds.epoch,
      limiting_stage: report?.limiting_stage ?? 'train',
      ceiling_images_per_second: report?.ceiling_images_per_second ?? 0,
      stages: report?.stages ?? { read: 0, decode: 0, copy: 0, train: 0 },
      ...(report?.traffic ? { traffic: report.traffic } : {}),
    };
    await this.#append([event]);
    const { top1_error, top5_error, log_loss } = validation;
    const best = state.validation.every((before) => top1_error < before.top1_error);
    finishEpoch(state, { loss: log_loss, top1_error, top5_error });
    if (isFirst(this.#options)) {
      const metadata = this.#metadata();
      if (best) await this.#session.saveModel(this.#directory.bestModel, metadata);
      await this.#session.saveModel(this.#directory.model, metadata);
      await drawFilters(this.#session, this.#options.net, this.#directory.filters);
    }
    await this.#tell(event);
    await this.#save();
  }

  /** One call of the engine, and a checkpoint where one is due. */
  async #steps(lr: number): Promise<TrainReport> {
    const state = this.#state;
    const { recipe, dataset, signal } = this.#options;
    const checkpoint = this.#checkpoint;
    const limit = 'steps' in checkpoint ? checkpoint.steps - this.#stepsSinceSaved : stepsPerCall;
    const lines: TrainEvent[] = [];
    let told = Promise.resolve();
    const report = await this.#session.train(
      {
        dataset,
        split: 'train',
        epoch: state.epoch,
        first_step: state.step,
        steps: Math.min(limit, this.#stepsPerEpoch - state.step),
        rule: { rate: lr, momentum: recipe.momentum, decay: recipe.decay },
        images: imagesIn(this.#lengths, state.epoch),
        steps_before: stepsBefore(this.#lengths, state.epoch),
        shuffle: this.#settings.shuffle,
        mirror: recipe.mirror,
        colour_noise: recipe.colour_noise,
      },
      {
        signal,
        onStep: ({ epoch, step, loss, images_per_second }) => {
          const event: TrainEvent = {
            event: 'step',
            epoch: epoch + 1,
            step: step + 1,
            loss,
            images_per_second,
          };
          lines.push(event);
          const heard = this.#tell(event);
          told = Promise.all([told, heard]).then(() => {});
          // Waited for below, when it may have failed for long.
          told.catch(() => {});
        },
      },
    );
    advance(state, report);
    this.#stepsSinceSaved += report.steps;
    await this.#append(lines);
    await told;
    // What the signal says is this process's affair; the report says what all ranks did.
    if (report.stopped) await this.#stop();
    if (state.step < this.#stepsPerEpoch && this.#isDue()) await this.#save();
    return report;
  }

  /** Saves and ends the run for now. */
  async #stop(): Promise<never> {
    await this.#save();
    const { epoch, step } = this.#state;
    throw new IlsvrcError(
      'E0902',
      `stopped in epoch ${epoch + 1} after step ${step} of ${this.#stepsPerEpoch}`,
      {
        info: `saved ${this.#directory.checkpoint}`,
        hint: 'go on by the same command with --resume',
      },
    );
  }

  get #checkpoint() {
    return this.#options.checkpoint ?? { seconds: 120 };
  }

  #isDue(): boolean {
    const checkpoint = this.#checkpoint;
    return 'steps' in checkpoint
      ? this.#stepsSinceSaved >= checkpoint.steps
      : performance.now() - this.#savedAt >= checkpoint.seconds * 1000;
  }

  async #save(): Promise<void> {
    const path = this.#directory.checkpoint;
    if (isFirst(this.#options)) {
      await this.#session.saveCheckpoint(path, { ...this.#metadata(), state: JSON.stringify(this.#state) });
    }
    this.#savedAt = performance.now();
    this.#stepsSinceSaved = 0;
    await this.#tell({ event: 'checkpoint', epoch: this.#state.epoch + 1, step: this.#state.step, path });
  }

  /** Error rates of the validation images, centre view. */
  async #validate() {
    const { dataset, signal } = this.#options;
    const { probabilities, labels, classes } = await this.#session
      .evaluate({ dataset, split: 'val', views: 1 }, { signal })
      .catch((error: unknown) => (isStop(error) || signal?.aborted ? this.#stop() : Promise.reject(error)));
    return errorRates({ probabilities, labels, classes });
  }

  /** What a model file says of itself. No times: a run that was killed and resumed ends in the same bytes. */
  #metadata(): Record<string, string> {
    const { net, recipe, seed } = this.#settings;
    const { epoch, step, validation } = this.#state;
    return {
      net: JSON.stringify(net),
      classes: JSON.stringify(this.#manifest.classes),
      preprocessing: JSON.stringify(this.#manifest.preprocessing),
      training: JSON.stringify({ dataset: this.#manifest.name, seed, recipe, epoch, step, validation }),
    };
  }

  async #append(events: TrainEvent[]): Promise<void> {
    if (!isFirst(this.#options)) return;
    this.#state.metrics_bytes = await this.#directory.append(events, this.#state.metrics_bytes);
  }

  #tell(event: TrainEvent): void | Promise<void> {
    return isFirst(this.#options) ? this.#options.onEvent?.(event) : undefined;
  }
}

/** Whether a rank was asked to stop; this one or another. */
function isStop(error: unknown): boolean {
  return error instanceof IlsvrcError && error.code === 'E0902';
}

/** Images of a split, of which there must be some. */
export function imagesOf(manifest: Manifest, split: string): number {
  const images = manifest.splits.find(({ name }) => name === split)?.images ?? 0;
  if (images > 0) return images;
  throw new IlsvrcError('E0502', `data set ${manifest.name} has no images in its split ${split}`, {
    hint: 'prepare it anew from a source with photos for it',
  });
}
