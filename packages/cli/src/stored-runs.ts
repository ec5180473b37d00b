/** Runs below `runs/` for the verbs about them: by name, by error, in words. */
import { basename, join } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { readRun, readRuns, type StoredRun } from '@ilsvrc/trainer';
import { nearest } from './suggest.ts';

/** Where runs lie. */
export const runsFolder = 'runs';

/** By what runs are ranked, and the words of it. */
export const figures = { top1: 'top-1 error', top5: 'top-5 error', loss: 'validation loss' } as const;
/** A figure of validation. */
export type Figure = keyof typeof figures;

/** The lowest value of a figure, and the epoch after which it was reached, from 1; the first of equal ones. */
export function lowest(run: StoredRun, figure: Figure): { value: number; epoch: number } | undefined {
  const values = run.validation.map(({ loss, top1_error, top5_error }) =>
    figure === 'loss' ? loss : figure === 'top1' ? top1_error : top5_error,
  );
  return values.reduce<{ value: number; epoch: number } | undefined>(
    (best, value, index) =>
      value === null || (best !== undefined && best.value <= value) ? best : { value, epoch: index + 1 },
    undefined,
  );
}

/** Epochs that are done, and all there are to be: more than the run began with where it went on for longer. */
export function epochsOf({ settings, validation }: StoredRun): { done: number; all: number } {
  return { done: validation.length, all: Math.max(settings?.recipe.epochs ?? 0, validation.length) };
}

/** What can be done with it. */
export function stateOf({ state, problem, hasCheckpoint }: StoredRun): string {
  if (state === 'finished') return 'finished';
  if (state === 'resumable') return hasCheckpoint ? 'can be resumed' : 'can be resumed, from its beginning';
  return `broken: ${problem?.message ?? ''}`;
}

/** A day and a time of day here, as `2026-01-31 09:05`. */
export function formatTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** A run in `--json`. */
export function describeRun(run: StoredRun) {
  const { done, all } = epochsOf(run);
  const { name, directory, state, problem, settings, steps, hasCheckpoint, bytes, written } = run;
  return {
    name,
    path: directory.path,
    state,
    problem:
      problem === null ? null : { code: problem.code, message: problem.message, info: problem.info ?? null },
    net: settings?.net.name ?? null,
    dataset: settings?.dataset ?? null,
    epochs_done: done,
    epochs: all,
    steps_of_epoch: steps,
    best_top1_error: lowest(run, 'top1')?.value ?? null,
    best_top5_error: lowest(run, 'top5')?.value ?? null,
    best_val_loss: lowest(run, 'loss')?.value ?? null,
    checkpoint: hasCheckpoint,
    bytes,
    written: written.toISOString(),
  };
}

/** The runs of these names, or of these folders below `runs/`. Fails where one is none. */
export async function findRuns(names: readonly string[]): Promise<StoredRun[]> {
  const distinct = [...new Set(names.map((name) => name.replace(/^(\.\/)?runs\//, '').replace(/\/$/, '')))];
  return Promise.all(
    distinct.map(async (name) => {
      const isName = name !== '' && name !== '..' && name !== '.' && basename(name) === name;
      const run = isName ? await readRun(join(runsFolder, name)) : undefined;
      if (run !== undefined) return run;
      const known = (await readRuns(runsFolder)).map((other) => other.name);
      const suggestion = nearest(name, known);
      throw new IlsvrcError('E0108', `there is no run \`${name}\` below ${runsFolder}/`, {
        info: known.length === 0 ? 'there is none at all' : `there are: ${known.join(', ')}`,
        hint: suggestion === undefined ? '`ilsvrc runs` lists them' : `did you mean \`${suggestion}\`?`,
      });
    }),
  );
}
