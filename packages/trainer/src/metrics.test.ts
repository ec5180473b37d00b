import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { readMetrics } from './metrics.ts';
import { RunDirectory } from './run-directory.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-metrics-'));
const run = new RunDirectory(place);
afterAll(() => rmSync(place, { recursive: true }));
beforeEach(() => rmSync(run.metrics, { force: true }));

const step = (epoch: number, number: number, loss: number) =>
  JSON.stringify({ event: 'step', epoch, step: number, loss, images_per_second: 1 });
const epoch = JSON.stringify({
  ...{ event: 'epoch', epoch: 1, step: 2, loss: 2, train_top1_error: 0.5, val_loss: 1, top1_error: 0.4 },
  ...{ top5_error: 0.1, lr: 0.01, images_per_second: 100, seconds: 3, limiting_stage: 'train' },
  ...{ ceiling_images_per_second: 110, stages: { read: 0, decode: 0, copy: 0, train: 1 } },
});

test('epochs and steps come back; a run that has not begun has none', async () => {
  expect(await readMetrics(run)).toEqual({ epochs: [], steps: [] });
  writeFileSync(run.metrics, [step(1, 1, 3), step(1, 2, 1), epoch, step(2, 1, 0.5)].join('\n'));
  const { epochs, steps } = await readMetrics(run);
  expect(epochs).toEqual([JSON.parse(epoch)]);
  expect(steps).toEqual([
    { at: 0.5, loss: 3 },
    { at: 1, loss: 1 },
    { at: 1.5, loss: 0.5 },
  ]);
});

test('many steps are averaged into few points', async () => {
  writeFileSync(run.metrics, Array.from({ length: 5000 }, (_, i) => step(1, i + 1, i % 2)).join('\n'));
  const { steps } = await readMetrics(run);
  expect(steps).toHaveLength(1000);
  expect(steps[0]?.at).toBeCloseTo(3 / 5000);
  expect(steps[0]?.loss).toBeCloseTo(2 / 5);
});

test('a line that a kill has cut is left out; any other broken line is an error that names it', async () => {
  writeFileSync(run.metrics, `${step(1, 1, 3)}\n{"event":"st`);
  expect((await readMetrics(run)).steps).toHaveLength(1);
  for (const broken of ['{"event":"st', '{"event":"step","epoch":1}', '{"event":"epoch"}']) {
    writeFileSync(run.metrics, `${step(1, 1, 3)}\n${broken}\n${epoch}\n`);
    const error = { code: 'E0611', message: expect.stringContaining('line 2') };
    await expect(readMetrics(run)).rejects.toMatchObject(error);
  }
});
