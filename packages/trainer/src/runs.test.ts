import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { presets } from '@ilsvrc/config';
import { Session } from '@ilsvrc/engine';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { freshState, type State } from './progress-state.ts';
import { RunDirectory, type Settings } from './run-directory.ts';
import { readRun, readRuns } from './runs.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-runs-'));
const folder = join(place, 'runs');
const dataset = join(place, 'data');
const manifest = '{"name":"small"}';
const { net, recipe } = presets['cifar-80sec'];
const settings: Settings = {
  dataset,
  dataset_hash: createHash('sha256').update(manifest).digest('hex'),
  net: net(10),
  recipe: { ...recipe, epochs: 2 },
  seed: 0,
  shuffle: 'full',
};
let session: Session;

beforeAll(async () => {
  const machine = { places: ['cpu'], precision: 'f32', threads: 1 } as const;
  session = await Session.open({
    net: settings.net,
    batch: 1,
    seed: 0,
    use: 'training',
    ...machine,
    places: ['cpu'],
  });
});
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dataset, { recursive: true });
  writeFileSync(join(dataset, 'dataset.json'), manifest);
});
afterAll(() => rmSync(place, { recursive: true }));

const epochs = [
  { loss: 2, top1_error: 0.5, top5_error: 0.2 },
  { loss: 1, top1_error: 0.4, top5_error: 0.3 },
];

/** A run that has validated so many epochs. */
async function begin(name: string, done?: number, state: Partial<State> = {}): Promise<RunDirectory> {
  const run = new RunDirectory(join(folder, name));
  await run.create(settings, false);
  if (done === undefined) return run;
  const metrics_bytes = await run.append([{ event: 'step', epoch: 1, step: 1, loss: 1 }], 0);
  const where = { ...freshState(), epoch: done, validation: epochs.slice(0, done), metrics_bytes, ...state };
  await session.saveModel(run.model, {});
  await session.saveCheckpoint(run.checkpoint, { state: JSON.stringify(where) });
  return run;
}

test('runs say how far they came; what is no run is passed over', async () => {
  expect(await readRuns(folder)).toEqual([]);
  await begin('begun');
  await begin('stopped', 1, { step: 3 });
  await begin('done', 2);
  mkdirSync(join(folder, 'notes'));
  mkdirSync(join(folder, 'other'));
  writeFileSync(join(folder, 'other', 'config.json'), '{"model_type":"bert"}');
  writeFileSync(join(folder, 'a-file'), '');
  const runs = await readRuns(folder);
  const byName = Object.fromEntries(runs.map((run) => [run.name, run]));
  expect(Object.keys(byName).sort()).toEqual(['begun', 'done', 'stopped']);
  expect(byName.begun).toMatchObject({ state: 'resumable', hasCheckpoint: false, validation: [] });
  expect(byName.stopped).toMatchObject({ state: 'resumable', hasCheckpoint: true, steps: 3, problem: null });
  expect(byName.done).toMatchObject({ state: 'finished', validation: epochs, settings });
  expect(byName.done?.bytes).toBeGreaterThan(100_000);
  expect(Date.now() - (byName.done?.written.getTime() ?? 0)).toBeLessThan(60_000);
});

test('a run is broken when its settings, checkpoint, metrics, model or data set are gone or damaged', async () => {
  const problemOf = async (name: string) => {
    const run = await readRun(join(folder, name));
    expect(run?.state).toBe('broken');
    return run?.problem?.code;
  };
  writeFileSync((await begin('settings', 1)).config, '{"version":1}');
  expect(await problemOf('settings')).toBe('E0304');
  truncateSync((await begin('checkpoint', 1)).checkpoint, 1000);
  expect(await problemOf('checkpoint')).toBe('E0302');
  truncateSync((await begin('metrics', 1)).metrics, 3);
  expect(await problemOf('metrics')).toBe('E0611');
  rmSync((await begin('model', 2)).model);
  expect(await problemOf('model')).toBe('E0301');
  await begin('data', 1);
  appendFileSync(join(dataset, 'dataset.json'), ' ');
  expect(await problemOf('data')).toBe('E0304');
  rmSync(join(dataset, 'dataset.json'));
  expect(await problemOf('data')).toBe('E0305');
});

test('a finished run needs its data set no more', async () => {
  await begin('done', 2);
  rmSync(dataset, { recursive: true });
  expect((await readRun(join(folder, 'done')))?.state).toBe('finished');
});

test('what is removed is what a run wrote, unfinished files too; other files and their folder stay', async () => {
  const plain = await begin('plain', 1);
  writeFileSync(join(plain.path, '.checkpoint.safetensors.tmp'), 'half');
  writeFileSync(join(plain.path, 'config.json.tmp'), 'half');
  writeFileSync(plain.head, 'head');
  expect(await plain.remove()).toEqual([]);
  expect(existsSync(plain.path)).toBe(false);

  const noted = await begin('noted', 1);
  writeFileSync(join(noted.path, 'notes.txt'), 'mine');
  mkdirSync(join(noted.path, 'eval'));
  expect((await noted.remove()).sort()).toEqual(['eval', 'notes.txt']);
  expect(readdirSync(noted.path).sort()).toEqual(['eval', 'notes.txt']);
});
