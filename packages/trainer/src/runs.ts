/** The runs of a folder: what each is, how far it came, and whether it can go on. Weights are not read. */
import { createHash } from 'node:crypto';
import { access, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { readModelMetadata } from '@ilsvrc/engine';
import { parseState, type State } from './progress-state.ts';
import { RunDirectory, type Settings } from './run-directory.ts';

/** A run as it lies on the disk. */
export interface StoredRun {
  name: string;
  directory: RunDirectory;
  /** All epochs are trained; `--resume` goes on; or neither, for the reason in `problem`. */
  state: 'finished' | 'resumable' | 'broken';
  /** An error that says why it is broken. */
  problem: IlsvrcError | null;
  /** `null` where they cannot be read. */
  settings: Settings | null;
  /** Epochs that are trained and validated, with what validation gave after each. */
  validation: State['validation'];
  /** Steps of the epoch under way that a checkpoint holds. */
  steps: number;
  hasCheckpoint: boolean;
  /** Of the run's own files. */
  bytes: number;
  /** When one of them was last written. */
  written: Date;
}

/** The runs of a folder, those written last first; none where it is not there. Folders that are no runs are passed over. */
export async function readRuns(folder: string): Promise<StoredRun[]> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const runs = await Promise.all(entries.map((name) => readRun(join(folder, name))));
  return runs
    .filter((run) => run !== undefined)
    .sort((a, b) => b.written.getTime() - a.written.getTime() || (a.name < b.name ? -1 : 1));
}

/** The run in a folder; `undefined` where it is none. */
export async function readRun(path: string): Promise<StoredRun | undefined> {
  const directory = new RunDirectory(path);
  // Other programs have a config.json too. Where it cannot be read as ours, what a run writes beside it must be there.
  if (!(await exists(directory.config))) return undefined;
  const settings = await attempt(directory.settings());
  const hasCheckpoint = await exists(directory.checkpoint);
  if (settings instanceof IlsvrcError && !hasCheckpoint && !(await exists(directory.metrics)))
    return undefined;
  const stats = await Promise.all((await directory.files()).map((file) => stat(file)));
  const progress = hasCheckpoint ? await attempt(readState(directory)) : null;
  const { validation, step } = progress === null || progress instanceof IlsvrcError ? none : progress;
  const common = {
    name: basename(directory.path),
    directory,
    settings: settings instanceof IlsvrcError ? null : settings,
    validation,
    steps: step,
    hasCheckpoint,
    bytes: stats.reduce((sum, { size }) => sum + size, 0),
    written: new Date(Math.max(...stats.map(({ mtimeMs }) => mtimeMs))),
  };
  if (settings instanceof IlsvrcError) return { ...common, state: 'broken', problem: settings };
  if (progress instanceof IlsvrcError) return { ...common, state: 'broken', problem: progress };
  const isFinished = validation.length >= settings.recipe.epochs;
  const problem = isFinished ? await lacksModel(directory) : await cannotGoOn(directory, settings);
  if (problem !== undefined) return { ...common, state: 'broken', problem };
  return { ...common, state: isFinished ? 'finished' : 'resumable', problem: null };
}

const none: Pick<State, 'validation' | 'step'> = { validation: [], step: 0 };

/** Where the checkpoint stands. The metrics that belong to it must be there. */
async function readState(directory: RunDirectory): Promise<State> {
  const { checkpoint, metrics } = directory;
  const state = parseState((await readModelMetadata(checkpoint)).state, checkpoint);
  const size = await stat(metrics).then(
    ({ size }) => size,
    () => 0,
  );
  if (size >= state.metrics_bytes) return state;
  throw new IlsvrcError('E0611', `${metrics} is shorter than when ${checkpoint} was saved`, {
    info: `it has ${size} bytes and had ${state.metrics_bytes}`,
    hint: 'take the file from a copy of the run, or train it anew',
  });
}

async function lacksModel({ model }: RunDirectory): Promise<IlsvrcError | undefined> {
  const found = await attempt(readModelMetadata(model));
  return found instanceof IlsvrcError ? found : undefined;
}

/** A run goes on with the images it began with. */
async function cannotGoOn({ path }: RunDirectory, settings: Settings): Promise<IlsvrcError | undefined> {
  const manifest = join(settings.dataset, 'dataset.json');
  const content = await readFile(manifest).catch(() => undefined);
  const hint = 'prepare the photos again as they were, or train another run';
  if (content === undefined) {
    return new IlsvrcError('E0305', `the data set of ${path} is not there`, {
      info: `${manifest} is missing`,
      hint,
    });
  }
  if (createHash('sha256').update(content).digest('hex') === settings.dataset_hash) return undefined;
  return new IlsvrcError('E0304', `the data set of ${path} is another one now`, {
    info: `${manifest} has changed`,
    hint,
  });
}

/** A result, or the error of ours that came instead. */
async function attempt<T>(work: Promise<T>): Promise<T | IlsvrcError> {
  return work.catch((error: unknown) => {
    if (error instanceof IlsvrcError) return error;
    throw error;
  });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
