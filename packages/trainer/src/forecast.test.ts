import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { presets } from '@ilsvrc/config';
import { generateBuiltin, peakMemory, prep } from '@ilsvrc/engine';
import { afterAll, expect, test } from 'vitest';
import { forecast } from './forecast.ts';
import { type Measured, type MeasureOptions, measure } from './measure.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-forecast-'));
afterAll(() => rmSync(place, { recursive: true }));

const { net, recipe } = presets['cifar-80sec'];
const layout = {
  places: [],
  exchange: 'none',
  precision: 'f32',
  notice: null,
  among: null,
  cache: null,
} as const;
const measured: Measured = {
  layout: { ...layout, places: [] },
  open_seconds: 5,
  steps: 10,
  training: { amount: 1000, seconds: 20 },
  validation: { amount: 500, seconds: 1 },
  checkpoint: { amount: 2_000_000, seconds: 3 },
  model: { amount: 1_000_000, seconds: 1 },
  filters: { amount: 5000, seconds: 0.5 },
  line_bytes: 100,
  peak_memory_bytes: 150_000_000,
  others: 0,
};

test('parts come as often as a run does them', () => {
  const run = { images: 10_050, validation_images: 1000, recipe: { ...recipe, batch: 100, epochs: 10 } };
  const found = forecast(measured, { ...run, checkpoint_seconds: 100 });
  expect(found).toMatchObject({ steps_per_epoch: 101, seconds_per_step: 2, peak_memory_bytes: 150_000_000 });
  // 201 seconds of training: two checkpoints on the way and one at its end.
  expect(found.epoch).toEqual({ training: 201, validation: 2, saving: 3 * 3 + 2 * 1 + 0.5, total: 214.5 });
  expect(found.total_seconds).toBeCloseTo(5 + 10 * 214.5);
  expect(found.disk.metrics_bytes).toBe(10 * (101 + 4) * 100);
  expect(found.disk.total_bytes).toBe(2_000_000 + 2 * 1_000_000 + 5000 + 105_000);
  expect(found.disk.peak_bytes - found.disk.total_bytes).toBe(2_000_000);
});

test('what is measured is of this data, and leaves nothing behind, whether it ends or is stopped', async () => {
  const [photos, dataset, folder] = ['photos', 'data', 'here'].map((name) => join(place, name)) as [
    string,
    string,
    string,
  ];
  await generateBuiltin({ out: photos, images: 60, seed: 0, workers: 2 });
  const as = {
    size: 32,
    resize: 'crop',
    exif_rotate: false,
    quality: 85,
    workers: 2,
    seed: 0,
    shard_images: 50,
  } as const;
  const none = { max_rejected: 0, force: false, part: null, layout: null, names: null, recipe: null };
  await prep({ sources: [photos], out: dataset, name: 'drawn', ...as, ...none });
  await generateBuiltin({ out: folder, images: 60, seed: 0, workers: 2 });
  const before = readdirSync(folder);
  const options: MeasureOptions = {
    ...{ dataset, net: net(12), recipe: { ...recipe, batch: 16 }, shuffle: 'full', folder },
    places: ['cpu'],
    precision: 'f32',
    threads: 1,
  };
  const found = await measure(options);
  expect(found.steps).toBeGreaterThanOrEqual(4);
  expect(found.training.seconds).toBeGreaterThanOrEqual(8);
  expect(found.validation.amount).toBeGreaterThan(0);
  expect(found.checkpoint.amount).toBeGreaterThan(1.9 * found.model.amount);
  // Node alone takes more.
  expect(found.peak_memory_bytes).toBeGreaterThan(40e6);
  expect(found.peak_memory_bytes).toBeLessThanOrEqual(peakMemory());
  expect(readdirSync(folder)).toEqual(before);

  const stop = new AbortController();
  const onPart = (part: string) => part.startsWith('writing') && stop.abort(new Error('stopped'));
  await expect(measure({ ...options, signal: stop.signal, onPart })).rejects.toThrow('stopped');
  expect(readdirSync(folder)).toEqual(before);
});
