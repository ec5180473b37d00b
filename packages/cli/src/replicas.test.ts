/** One process with several replicas of a net, on CPUs: what it learns, and that all else is what one replica makes, to the bit. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codes } from '@ilsvrc/diagnostics';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as testing from './ranks.testing.ts';
import { ilsvrc, isBuiltWithMpi, prepareData, train, underWay } from './ranks.testing.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-replicas-'));
const model = 'runs/alone/model.safetensors';
const pairs = ['--devices', 'cpu,cpu,cpu,cpu'];
const builtWithMpi = isBuiltWithMpi();

const start = (...args: string[]) => testing.start(place, [...ilsvrc, ...args]);

/** The same, which must succeed. */
async function run(...args: string[]) {
  const ended = await start(...args).ended;
  expect({ args, ...ended }).toMatchObject({ status: 0 });
  return ended;
}

const losses = (name: string) => testing.losses(place, name);
const bytes = (file: string) => readFileSync(join(place, file), 'latin1');
const weights = (name: string) => bytes(`runs/${name}/model.safetensors`);

beforeAll(async () => {
  await prepareData(place);
  await run(...train('alone', '--threads', '2'));
  await run(...train('pairs', ...pairs));
});
afterAll(() => rmSync(place, { recursive: true }));

test('they learn what one learns, with the same bits in every run', async () => {
  const together = losses('pairs');
  expect(together).toHaveLength(10);
  for (const [step, loss] of losses('alone').entries()) {
    // What rounding changes grows from step to step.
    expect(Math.abs(loss - (together[step] ?? 0)), `step ${step}`).toBeLessThan(step < 4 ? 1e-5 : 5e-3);
  }
  const { out } = await run(...train('again', ...pairs, '--json'));
  expect(weights('again')).toBe(weights('pairs'));
  const [begin, ...events] = out.split('\n').map((line) => JSON.parse(line || '{}'));
  const at = (replica: number, tower: number) => ({ name: 'cpu', replica, towers: [tower] });
  expect(begin).toMatchObject({
    devices: [at(0, 0), at(0, 1), at(1, 0), at(1, 1)],
    ranks: null,
    among: null,
  });
  const epoch = events.find(({ event }) => event === 'epoch');
  expect(epoch.traffic.bytes).toBeGreaterThan(5 * 4 * begin.parameters);
});

test.runIf(builtWithMpi)('those of ranks under MPI, too', async () => {
  const { ended } = testing.start(place, ['mpirun', '-np', '2', ...ilsvrc, ...train('ranks')]);
  expect(await ended).toMatchObject({ status: 0 });
  expect(weights('ranks')).toBe(weights('pairs'));
});

test('where they are and what each computes is told', async () => {
  const { messages } = await run(...train('told', ...pairs, '--epochs', '1'));
  expect(messages).toMatch(
    /^replica 0 with tower 0 on cpu \(.*, 1 thread\) and tower 1 on cpu, replica 1 with tower 0 on cpu and tower 1 on cpu$/m,
  );
  expect(messages).toMatch(/^2 replicas: each computes 10 images of a step's 20; learning rate 0\.001, as/m);
});

test('Ctrl-C saves and stops them between two steps; one goes on from there', async () => {
  const { child, ended } = start(...train('stopped', ...pairs, '--json', '--epochs', '16'));
  await underWay(child);
  child.kill('SIGINT');
  const { status, messages } = await ended;
  expect({ status, messages }).toMatchObject({ status: codes.E0902.exit });
  const made = losses('stopped').length;
  const { out } = await run(...train('stopped', '--resume', '--json', '--epochs', '16'));
  const { resumed, steps_per_epoch: steps } = JSON.parse(out.split('\n')[0] ?? '');
  expect((resumed.epoch - 1) * steps + resumed.step).toBe(made);
  expect(losses('stopped')).toHaveLength(16 * steps);
});

/** Passes of 16 images: the last round has one for one of the replicas only. */
const passes = ['--batch', '16'];

test('an evaluation, a store and a box head have the bits of one', async () => {
  const evaluation = async (...devices: string[]) => {
    const { out } = await run('eval', model, ...passes, '--json', ...devices);
    const { seconds, images_per_second, ...rest } = JSON.parse(out);
    return rest;
  };
  const cpu = ['--devices', 'cpu'];
  expect(await evaluation(...pairs)).toEqual(await evaluation(...cpu));

  const files = (folder: string) =>
    readdirSync(join(place, folder)).map((name) => [name, bytes(join(folder, name))]);
  const store = (name: string) => ['retrieve', 'index', model, ...passes, '--pca', '8', '--store', name];
  await run(...store('one'), ...cpu);
  await run(...store('two'), ...pairs);
  expect(files('two')).toEqual(files('one'));

  const head = async (...devices: string[]) => {
    await run('train', 'data', '--head', 'boxes', '--model', model, '--epochs', '1', '--force', ...devices);
    return bytes('runs/alone/head.safetensors');
  };
  expect((await head(...pairs)) === (await head(...cpu))).toBe(true);
  const located = async (...devices: string[]) => {
    const localize = ['localize', model, '--views', '1', '--batch', '2', '--json'];
    const { seconds, ...rest } = JSON.parse((await run(...localize, ...devices)).out);
    return rest;
  };
  expect(await located(...pairs)).toEqual(await located(...cpu));
});

test('three devices are too many for one replica, and too few for two', async () => {
  const { status, messages } = await start(...train('never', '--devices', 'cpu,cpu,cpu')).ended;
  expect(status).toBe(codes.E0401.exit);
  expect(messages).toContain('error[E0401]: 3 devices for a net of 2 towers');
});
