/** What a run is made of: flags first, then the config file, then the preset. A resumed run starts from its own settings. */
import { basename, join, resolve } from 'node:path';
import type { Net, Recipe, Schedule } from '@ilsvrc/config';
import { readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Shuffle } from '@ilsvrc/engine';
import { RunDirectory } from '@ilsvrc/trainer';
import { choosePreset, type Defaults, defaultNet, requireDataset } from './defaults.ts';

/** The flags of `train` that decide its numbers. */
export interface TrainFlags {
  net?: string | undefined;
  seed?: number | undefined;
  batch?: number | undefined;
  globalBatch?: number | undefined;
  epochs?: number | undefined;
  lr?: number | undefined;
  schedule?: Schedule['kind'] | undefined;
  shuffle?: Shuffle | undefined;
  run?: string | undefined;
  resume?: true | undefined;
}

/** All that decides a run's numbers, and its name below `runs/`. */
export interface RunChoice {
  dataset: string;
  net: Net;
  recipe: Recipe;
  seed: number;
  shuffle: Shuffle;
  run: string;
}

/** Resolves what to train. */
export async function chooseRun(
  given: string | undefined,
  flags: TrainFlags,
  defaults: Defaults,
): Promise<RunChoice> {
  return flags.resume ? resumed(given, flags, defaults) : begun(given, flags, defaults);
}

async function begun(given: string | undefined, flags: TrainFlags, defaults: Defaults): Promise<RunChoice> {
  const { config } = defaults;
  const dataset = await requireDataset(given, defaults);
  const { classes } = await readManifest(dataset);
  const { net, recipe } = chooseNet(flags, config, classes.length);
  return {
    dataset: resolve(dataset),
    net,
    recipe,
    seed: flags.seed ?? config.seed ?? 0,
    shuffle: flags.shuffle ?? 'full',
    run: flags.run ?? `${net.name}-${basename(resolve(dataset))}`,
  };
}

/** The net for so many classes, and how it is trained. */
export function chooseNet(
  flags: TrainFlags,
  config: Defaults['config'],
  classes: number,
): Pick<RunChoice, 'net' | 'recipe'> {
  const named = flags.net ?? config.net ?? defaultNet;
  const preset = choosePreset(typeof named === 'string' ? named : defaultNet);
  return {
    net: typeof named === 'string' ? preset.net(classes) : named,
    recipe: withFlags({ ...preset.recipe, ...defined(config.recipe ?? {}) }, flags),
  };
}

async function resumed(
  given: string | undefined,
  flags: TrainFlags,
  { newestRun }: Defaults,
): Promise<RunChoice> {
  const run = flags.run ?? (newestRun === undefined ? undefined : basename(newestRun));
  if (run === undefined) {
    throw new IlsvrcError('E0305', 'there is no run to go on with', {
      info: 'runs/ holds none',
      hint: 'start one by `ilsvrc train DATASET`',
    });
  }
  const stored = await new RunDirectory(join('runs', run)).settings();
  const dataset = resolve(given ?? stored.dataset);
  const { classes } = await readManifest(dataset);
  return {
    dataset,
    net: flags.net === undefined ? stored.net : choosePreset(flags.net).net(classes.length),
    recipe: withFlags(stored.recipe, flags),
    seed: flags.seed ?? stored.seed,
    shuffle: flags.shuffle ?? stored.shuffle,
    run,
  };
}

/** A recipe with what the command line says otherwise. */
export function withFlags(recipe: Recipe, flags: TrainFlags): Recipe {
  const { epochs, lr, schedule, globalBatch } = flags;
  if (flags.batch !== undefined && globalBatch !== undefined) {
    throw new IlsvrcError('E0103', '--batch and --global-batch say the same thing', {
      hint: 'give one of them: only --global-batch changes the learning rate with the batch',
    });
  }
  const batch = flags.batch ?? globalBatch;
  // Batches of k times the images make a k-th of the steps, each with k times the rate (Krizhevsky 2014, docs/many-ranks.md).
  const scaled = globalBatch === undefined ? undefined : (recipe.rate * globalBatch) / recipe.batch;
  const changed = { ...recipe, ...defined({ batch, epochs, rate: lr ?? scaled }) };
  return schedule === undefined || schedule === recipe.schedule.kind
    ? changed
    : { ...changed, schedule: usual(schedule, changed) };
}

/** The schedule of a kind, where the recipe has another: the paper's plateau; thirds of the epochs; a fall to 1/400. */
function usual(kind: Schedule['kind'], { epochs, rate }: Recipe): Schedule {
  switch (kind) {
    case 'plateau':
      return { kind, factor: 10, patience: 3, drops: 3 };
    case 'step':
      return { kind, factor: 10, after: [Math.ceil(epochs / 3), Math.ceil((2 * epochs) / 3)] };
    case 'exp':
      return { kind, steps: 4, final: rate / 400 };
  }
}

/** Without members that are not set, so that spreading does not erase what they would replace. */
function defined<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
