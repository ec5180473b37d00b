import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { presets } from '@ilsvrc/config';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectSameSettings, RunDirectory, type Settings } from './run-directory.ts';

const preset = presets['cifar-80sec'];
const settings: Settings = {
  dataset: '/data/cifar',
  dataset_hash: 'abc',
  net: preset.net(10),
  recipe: preset.recipe,
  seed: 0,
  shuffle: 'full',
};

let place = '';
let run = new RunDirectory('');
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'ilsvrc-run-'));
  run = new RunDirectory(join(place, 'run'));
});
afterEach(() => rmSync(place, { recursive: true }));

test('settings come back as they were stored', async () => {
  await run.create(settings, false);
  expect(await run.settings()).toEqual(settings);
});

test('a run from before there was a choice was shuffled fully', async () => {
  const { shuffle, ...old } = settings;
  mkdirSync(run.path);
  writeFileSync(run.config, JSON.stringify({ version: 1, ...old }));
  expect(await run.settings()).toEqual({ ...old, shuffle });
});

test('a run is replaced only by force, and what is not ours stays', async () => {
  await run.create(settings, false);
  await run.append([{ event: 'step' }], 0);
  writeFileSync(join(run.path, 'notes.txt'), 'mine');
  await expect(run.create(settings, false)).rejects.toMatchObject({ code: 'E0306' });
  await run.create({ ...settings, seed: 1 }, true);
  expect((await run.settings()).seed).toBe(1);
  expect(existsSync(run.metrics)).toBe(false);
  expect(readFileSync(join(run.path, 'notes.txt'), 'utf8')).toBe('mine');
});

test('a folder that is no run is never replaced', async () => {
  mkdirSync(run.path);
  writeFileSync(join(run.path, 'thesis.tex'), '');
  await expect(run.create(settings, true)).rejects.toMatchObject({ code: 'E0306' });
});

test('metrics go back to their length at a checkpoint', async () => {
  await run.create(settings, false);
  const length = await run.append([{ step: 1 }, { step: 2 }], 0);
  await run.append([{ step: 3 }], length);
  await run.truncate(length);
  expect(readFileSync(run.metrics, 'utf8')).toBe('{"step":1}\n{"step":2}\n');
});

test('there is nothing to resume where no run is, and a damaged one is refused', async () => {
  await expect(run.settings()).rejects.toMatchObject({ code: 'E0305' });
  mkdirSync(run.path);
  for (const content of ['{"version":1,', '{"version":2}']) {
    writeFileSync(run.config, content);
    await expect(run.settings()).rejects.toMatchObject({ code: 'E0304' });
  }
});

test('a run goes on with its own settings; more epochs are welcome where they change nothing before', () => {
  const recipe = settings.recipe;
  const same = (changes: Partial<Settings>) => () =>
    expectSameSettings('runs/x', settings, { ...settings, ...changes });
  expect(same({})).not.toThrow();
  expect(same({ dataset: '/moved/cifar' })).not.toThrow();
  expect(same({ recipe: { ...recipe, epochs: recipe.epochs + 5 } })).not.toThrow();
  expect(same({ recipe: { ...recipe, epochs: recipe.epochs - 1 } })).toThrow(/another epochs/);
  expect(same({ recipe: { ...recipe, rate: 0.5 } })).toThrow(
    expect.objectContaining({ code: 'E0304', info: 'rate: then 0.001, now 0.5' }),
  );
  expect(same({ seed: 1 })).toThrow(/another seed/);
  expect(same({ shuffle: { window: 4 } })).toThrow(
    expect.objectContaining({
      message: 'runs/x was begun with another shuffle',
      info: 'then "full", now {"window":4}',
    }),
  );
  expect(same({ dataset_hash: 'def' })).toThrow(/content of the data set/);

  const exp = { ...recipe, schedule: { kind: 'exp', steps: 4, final: 1e-5 } as const };
  const longer = { ...exp, epochs: exp.epochs + 5 };
  expect(() =>
    expectSameSettings('runs/x', { ...settings, recipe: exp }, { ...settings, recipe: longer }),
  ).toThrow(/another epochs/);
});
