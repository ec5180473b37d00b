import { setTimeout as sleep } from 'node:timers/promises';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { expect, test } from 'vitest';
import { watch } from './watch.ts';

/** Counts until it is stopped, no faster than its reports are taken. */
async function count(to: number, report: (n: number) => Promise<void>, signal: AbortSignal): Promise<string> {
  for (let n = 1; n <= to; n++) {
    signal.throwIfAborted();
    await report(n);
  }
  return 'done';
}

test('yields every report in order and returns the result', async () => {
  const events = watch<number, string>((report, signal) => count(3, report, signal));
  const seen: unknown[] = [];
  for (let next = await events.next(); ; next = await events.next()) {
    seen.push(next.value);
    if (next.done) break;
  }
  expect(seen).toEqual([1, 2, 3, 'done']);
});

test('reports that come in a burst, also just before the end, are all yielded', async () => {
  const seen: number[] = [];
  const burst = async (report: (n: number) => Promise<void>) => {
    for (let n = 0; n < 100; n++) report(n);
  };
  for await (const n of watch(burst)) seen.push(n);
  expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => n));
});

test('a call that awaits its reports goes no faster than the loop', async () => {
  let reported = 0;
  const call = async (report: (n: number) => Promise<void>) => {
    while (reported < 20) await report(reported++);
  };
  for await (const n of watch(call)) {
    await sleep(1);
    expect(reported).toBe(n + 1);
  }
  expect(reported).toBe(20);
});

test('leaving the loop aborts the call and waits for its end', async () => {
  let ended = false;
  const call = async (report: (n: number) => Promise<void>, signal: AbortSignal) => {
    try {
      return await count(1000, report, signal);
    } finally {
      await sleep(5);
      ended = true;
    }
  };
  for await (const n of watch(call)) if (n === 2) break;
  expect(ended).toBe(true);
  const loop = async () => {
    for await (const _ of watch(call)) throw new Error('mine');
  };
  await expect(loop()).rejects.toThrow('mine');
});

test('what fails after the loop was left is told, an interruption is not', async () => {
  const failing = (error: Error) => async (report: (n: number) => Promise<void>, signal: AbortSignal) => {
    await count(1000, report, signal).catch(() => {});
    throw error;
  };
  const leave = async (error: Error) => {
    for await (const _ of watch(failing(error))) break;
  };
  await expect(leave(new IlsvrcError('E0211', 'the disk is full'))).rejects.toMatchObject({ code: 'E0211' });
  await expect(leave(new IlsvrcError('E0902', 'stopped'))).resolves.toBeUndefined();
});

test('the loop rejects as the call does', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const loop = async () => {
    const events = watch<number, string>((report, signal) => count(1000, report, signal), controller);
    for await (const n of events) if (n === 3) controller.abort(reason);
  };
  await expect(loop()).rejects.toBe(reason);
});
