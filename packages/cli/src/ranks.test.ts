/** Several processes train one net: real ranks under the system's MPI. Where there is none, or the build has none, this is said and skipped. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codes } from '@ilsvrc/diagnostics';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as testing from './ranks.testing.ts';
import { type Ended, ilsvrc, isBuiltWithMpi, prepareData, train, underWay } from './ranks.testing.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-ranks-'));

/** Starts the program as `ranks` processes; alone for 1. */
const start = (ranks: number, args: string[], more?: Record<string, string>) =>
  testing.start(place, [...(ranks === 1 ? [] : ['mpirun', '-np', String(ranks)]), ...ilsvrc, ...args], more);

const run = (ranks: number, args: string[], more?: Record<string, string>): Promise<Ended> =>
  start(ranks, args, more).ended;

const losses = (name: string) => testing.losses(place, name);

/** Sums are made in another order: the first steps agree to rounding, later ones carry on what that changes. */
function expectSame(some: number[], same: number[]): void {
  for (const [step, loss] of some.entries()) {
    expect(Math.abs(loss - (same[step] ?? 0)), `step ${step}`).toBeLessThan(step < 4 ? 1e-5 : 5e-3);
  }
}

const model = (name: string) => readFileSync(join(place, 'runs', name, 'model.safetensors'));

/** The processes of the ranks below `mpirun`. */
function ranksOf(mpirun: ChildProcess): number[] {
  return readFileSync(`/proc/${mpirun.pid}/task/${mpirun.pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .map(Number);
}

const builtWithMpi = isBuiltWithMpi();
if (!builtWithMpi) console.warn('ranks: no MPI here, or a build without it: not tested');

beforeAll(() => prepareData(place));
afterAll(() => rmSync(place, { recursive: true }));

describe.runIf(builtWithMpi)('ranks under MPI', () => {
  let alone: number[] = [];
  beforeAll(async () => {
    await run(1, train('alone', '--threads', '2'));
    alone = losses('alone');
  });

  test.each([2, 4])('%d ranks learn what one process learns, and rank 0 alone tells of it', async (ranks) => {
    const { status, out, messages } = await run(ranks, train(`of-${ranks}`));
    expect({ status, messages }).toMatchObject({ status: 0 });
    expect(messages).toContain(
      `${ranks} ranks on one host: each computes ${20 / ranks} images of a step's 20`,
    );
    expect(out.match(/top-1 error/g)).toHaveLength(1);
    const together = losses(`of-${ranks}`);
    expect(together).toHaveLength(alone.length);
    expectSame(together, alone);
    // The same number of ranks ends in the same bits.
    await run(ranks, train(`again-${ranks}`));
    expect(model(`again-${ranks}`).equals(model(`of-${ranks}`))).toBe(true);
  });

  test('evaluation is shared out and says the same', async () => {
    const args = ['eval', 'runs/alone/model.safetensors', '--data', 'data', '--json', '--devices', 'cpu'];
    const [one, three] = [await run(1, args), await run(3, args)].map(({ out }) => JSON.parse(out));
    expect(three.images).toBe(one.images);
    expect(three.top1_error).toBe(one.top1_error);
    // Each pass is one of those that one process makes.
    expect(three.log_loss).toBe(one.log_loss);
  });

  test('SIGUSR2 saves and stops all ranks; another number of ranks goes on from there', async () => {
    const { child, ended } = start(3, train('stopped', '--json', '--epochs', '16'));
    await underWay(child);
    child.kill('SIGUSR2');
    const { status: stopped, messages } = await ended;
    expect(stopped).toBe(codes.E0902.exit);
    expect(messages.match(/error\[E0902\]/g)).toHaveLength(1);
    const made = losses('stopped').length;
    const { status, out } = await run(2, train('stopped', '--resume', '--json', '--epochs', '16'));
    expect(status).toBe(0);
    const { resumed, steps_per_epoch: steps } = JSON.parse(out.split('\n')[0] ?? '');
    expect((resumed.epoch - 1) * steps + resumed.step).toBe(made);
    expect(losses('stopped')).toHaveLength(16 * steps);
  });

  test('a rank that is killed ends the run, and its name is told', async () => {
    const { child, ended } = start(2, train('killed', '--json', '--epochs', '16'));
    await underWay(child);
    process.kill(ranksOf(child)[1] ?? 0, 'SIGKILL');
    const { status, messages } = await ended;
    expect(status).not.toBe(0);
    expect(messages).toMatch(/rank 1 .*signal 9/s);
    expect((await run(2, train('killed', '--resume', '--epochs', '16'))).status).toBe(0);
    expect(losses('killed')).toHaveLength(8 * alone.length);
  });

  test('a rank that is frozen ends the run within half a minute, and its name is told', {
    timeout: 60_000,
  }, async () => {
    const { child, ended } = start(2, train('frozen', '--json', '--epochs', '16'));
    await underWay(child);
    process.kill(ranksOf(child)[1] ?? 0, 'SIGSTOP');
    const begin = performance.now();
    const { status, messages } = await ended;
    expect(performance.now() - begin).toBeLessThan(30_000);
    expect(status).toBe(codes.E0421.exit);
    expect(messages).toMatch(
      /error\[E0421\]: (epoch \d+, step \d+: )?rank 1 on .* has not been heard of for 15 s/,
    );
  });

  test('what goes wrong on one rank is told with its number', async () => {
    // Rank 1 is told of another seed by its environment.
    const script = `[ "$OMPI_COMM_WORLD_RANK" = 1 ] && export ILSVRC_SEED=9; exec "$@"`;
    const shell = ['mpirun', '-np', '2', 'sh', '-c', script, 'sh', ...ilsvrc];
    const { messages } = await testing.start(place, [...shell, ...train('differ')]).ended;
    expect(messages.match(/error\[E0422\]: rank 1 has another net, batch or seed than rank 0/g)).toHaveLength(
      1,
    );
    expect(existsSync(join(place, 'runs/differ'))).toBe(false);
  });

  test('--launch starts them', async () => {
    const { status, messages } = await run(1, train('launched', '--launch', '2'));
    expect(status).toBe(0);
    expect(messages).toContain('2 ranks on one host');
  });
});

test('a launcher that MPI does not know is refused', async () => {
  const more = { RANK: '0', WORLD_SIZE: '2' };
  const { status, messages } = await run(1, train('torchrun'), more);
  expect(status).toBe(codes.E0420.exit);
  expect(messages).toMatch(/error\[E0420\]: torchrun started rank 0 of 2/);
});

test('a larger global batch raises the learning rate as much', async () => {
  const args = ['train', 'data', '--net', 'alexnet-64', '--devices', 'cpu', '--epochs', '1', '--json'];
  const rate = async (...more: string[]) =>
    JSON.parse((await run(1, [...args, ...more])).out.split('\n')[0] ?? '');
  const usual = await rate('--run', 'usual');
  const twice = await rate('--run', 'twice', '--global-batch', String(2 * usual.batch));
  expect(twice).toMatchObject({ batch: 2 * usual.batch, lr: 2 * usual.lr });
});
