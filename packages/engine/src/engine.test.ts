import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  checkDataset,
  devices,
  estimate,
  generateBuiltin,
  type ImageRow,
  imageRows,
  type Net,
  type PrepEvent,
  type PrepRequest,
  prep,
  readJpegs,
  readModelMetadata,
  Session,
  type SessionOptions,
  summarize,
  type TrainRequest,
  viewsOf,
} from './index.ts';
import { loadError } from './load-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-engine-'));
const photos = join(folder, 'photos');
const dataset = join(folder, 'prepared');
const images = 120;
const classes = 12;

const learning = { weight_std: 0.01, bias: 0 };
const net: Net = {
  name: 'tiny',
  image: 40,
  crop: 32,
  towers: 2,
  layers: [
    { type: 'conv', name: 'conv1', filters: 16, size: 5, stride: 1, pad: 2, learning },
    { type: 'relu' },
    { type: 'max_pool', size: 3, stride: 2 },
    { type: 'conv', name: 'conv2', filters: 32, size: 5, stride: 1, pad: 2, reads: 'both', learning },
    { type: 'relu' },
    { type: 'max_pool', size: 3, stride: 2 },
    { type: 'dense', name: 'fc3', units: classes, reads: 'both', joined: true, learning },
  ],
};
const options: SessionOptions = {
  net,
  batch: 32,
  seed: 1,
  threads: 0,
  places: ['cpu'],
  precision: 'bf16',
  use: 'training',
};

/** How the built-in set is prepared. */
const preparation: PrepRequest = {
  sources: [photos],
  out: dataset,
  name: 'builtin',
  size: net.image,
  resize: 'crop',
  exif_rotate: false,
  quality: 85,
  workers: 2,
  seed: 1,
  shard_images: 50,
  max_rejected: 0,
  force: false,
  part: null,
  layout: null,
  names: null,
  recipe: null,
};

function request(change: Partial<TrainRequest> = {}): TrainRequest {
  return {
    dataset,
    split: 'train',
    epoch: 0,
    first_step: 0,
    steps: 1000,
    rule: { rate: 0.001, momentum: 0.9, decay: 0.0005 },
    mirror: true,
    colour_noise: 0.1,
    ...change,
  };
}

beforeAll(async () => {
  await generateBuiltin({ out: photos, images, seed: 1, workers: 2 });
  const events: PrepEvent[] = [];
  const summary = await prep(preparation, { onProgress: (event) => events.push(event) });
  expect(summary).toMatchObject({ kept: images, rejected: 0 });
  expect(summary.kept + summary.ignored).toBe(summary.seen);
  expect(events.find(({ event }) => event === 'found')).toMatchObject({ classes });
  expect(events.at(-1)).toMatchObject({ event: 'progress', done: images, total: images });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a model is trained, saved, and evaluates and classifies alike when loaded', async () => {
  const session = await Session.open(options);
  expect(session.layout).toMatchObject({
    places: [{ name: 'cpu', towers: [0, 1] }],
    precision: 'f32',
    notice: null,
    among: null,
  });
  const losses: number[] = [];
  const report = await session.train(request(), { onStep: ({ loss }) => losses.push(loss) });
  expect(report).toMatchObject({ steps: losses.length, stopped: false });
  expect(losses[0]).toBeCloseTo(Math.log(classes), 0);
  expect(report.stages.train).toBeGreaterThan(0);

  const evaluation = { dataset, split: 'val', views: 10 } as const;
  const before = await session.evaluate(evaluation);
  expect(before.probabilities).toHaveLength(before.images * classes);
  expect(before.labels).toHaveLength(before.images);

  const model = join(folder, 'model.safetensors');
  await session.saveModel(model, { net: JSON.stringify(net), preprocessing: '{"resize":"crop"}' });
  expect(JSON.parse((await readModelMetadata(model)).net ?? '')).toEqual(net);
  const loaded = await Session.open({ ...options, use: 'inference' });
  expect((await loaded.loadModel(model)).preprocessing).toBe('{"resize":"crop"}');
  expect((await loaded.evaluate(evaluation)).probabilities).toEqual(before.probabilities);

  const [photo = ''] = readdirSync(photos, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.jpg'),
  );
  const probabilities = await loaded.classify([readFileSync(join(photos, photo))], { views: 10 });
  expect(probabilities).toHaveLength(classes);
  expect(probabilities.reduce((sum, p) => sum + p)).toBeCloseTo(1, 4);
  const { shape, data } = await loaded.parameter('tower1.conv2.weight');
  expect(shape).toEqual([32, 32, 5, 5]);
  expect(data).toHaveLength(32 * 32 * 5 * 5);
});

test('features are of each image and view, and rows say where images lie', async () => {
  const session = await Session.open({ ...options, use: 'inference' });
  const request = { dataset, split: 'val', layer: 'conv2' } as const;
  const one = await session.features({ ...request, views: 1 });
  const ten = await session.features({ ...request, views: 10 });
  const { elements, labels } = one;
  expect(ten).toMatchObject({ images: one.images, views: 10, elements });
  expect(one.data).toHaveLength(one.images * elements);
  const centre = viewsOf(net, 10).findIndex((view) => isDeepStrictEqual(view, viewsOf(net, 1)[0]));
  for (let image = 0; image < one.images; image++) {
    const start = (image * 10 + centre) * elements;
    expect(ten.data.subarray(start, start + elements)).toEqual(
      one.data.subarray(image * elements, (image + 1) * elements),
    );
  }
  await expect(session.features({ ...request, views: 1, layer: 'fc9' })).rejects.toMatchObject({
    code: 'E0411',
  });

  const rows = await imageRows({ dataset, split: 'val', numbers: null });
  expect(rows.map((row) => row.class)).toEqual([...labels]);
  const two = await imageRows({ dataset, split: 'val', numbers: [2, 0] });
  expect(two).toEqual([rows[2], rows[0]]);
  for (const jpeg of await readJpegs(dataset, two)) expect([...jpeg.subarray(0, 2)]).toEqual([0xff, 0xd8]);
  await expect(readJpegs(dataset, [{ ...two[0], offset: 2 ** 40 } as ImageRow])).rejects.toMatchObject({
    code: 'E0203',
  });
});

test('an aborted training ends after the step under way, and says so', async () => {
  const session = await Session.open({ ...options, batch: 4 });
  const controller = new AbortController();
  const report = await session.train(request(), {
    signal: controller.signal,
    onStep: ({ step }) => step === 1 && controller.abort(),
  });
  expect(report.stopped).toBe(true);
  expect(report.steps).toBeGreaterThanOrEqual(2);
  const next = await session.train(request({ first_step: report.steps }), { signal: controller.signal });
  expect(next).toMatchObject({ steps: 0, stopped: true });
});

test('other jobs reject with the reason of the signal', async () => {
  const reason = new Error('enough');
  const controller = new AbortController();
  const job = generateBuiltin(
    { out: join(folder, 'more'), images: 100_000, seed: 1, workers: 1 },
    { signal: controller.signal, onProgress: () => controller.abort(reason) },
  );
  await expect(job).rejects.toBe(reason);
  const session = await Session.open(options);
  await expect(
    session.evaluate({ dataset, split: 'val', views: 1 }, { signal: AbortSignal.abort(reason) }),
  ).rejects.toBe(reason);
});

test('what a listener throws rejects the call', async () => {
  const session = await Session.open(options);
  const onStep = () => {
    throw new Error('no room for the line');
  };
  await expect(session.train(request(), { onStep })).rejects.toThrow('no room for the line');
});

test('native failures have codes, reasons and remedies', async () => {
  expect(() => summarize({ ...net, layers: [] })).toThrow(expect.objectContaining({ code: 'E0404' }));
  const unknown = { ...net, layers: [{ type: 'attention' }] } as unknown as Net;
  await expect(Session.open({ ...options, net: unknown })).rejects.toMatchObject({ code: 'E0404' });
  await expect(Session.open({ ...options, places: ['99'] })).rejects.toMatchObject({
    code: expect.stringMatching(/^E04(01|05)$/),
  });
  const missing = { ...preparation, sources: [join(folder, 'missing.tar')] };
  await expect(prep(missing)).rejects.toMatchObject({ code: 'E0201' });
  const check = { folder: photos, repair: false, workers: 1 };
  await expect(checkDataset(check)).rejects.toMatchObject({ code: 'E0205' });
  await expect(readModelMetadata(join(folder, 'missing'))).rejects.toMatchObject({ code: 'E0301' });
  const session = await Session.open(options);
  const diverging = request({ rule: { rate: 1e30, momentum: 0.9, decay: 0 } });
  await expect(session.train(diverging)).rejects.toMatchObject({
    code: 'E0403',
    exitCode: 1,
    message: expect.stringMatching(/^epoch 1, step \d+: the loss became/),
    hint: expect.stringContaining('--lr'),
  });
});

test('training leaves the event loop free', async () => {
  const session = await Session.open(options);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  for (let epoch = 0; epoch < 10; epoch += 1) await session.train(request({ epoch }));
  delay.disable();
  // The 99th of a hundred: on a machine whose cores are all busy the system itself may take the thread away.
  expect(delay.percentile(99) / 1e6).toBeLessThan(20);
});

test('counts of a net and the machine', () => {
  const { totals, layers } = summarize(net, 1);
  expect(layers.map(({ name }) => name)).toContain('conv2');
  const connections1 = 2 * 32 * 32 * 16 * 75;
  const connections2 = 2 * 16 * 16 * 32 * 32 * 25;
  expect(totals.connections).toBe(connections1 + connections2 + 2 * 8 * 8 * 32 * classes);
  expect(devices().cpu.threads).toBeGreaterThan(0);
});

test('memory of a session is told without opening it', () => {
  const request = { net, batch: 32, precision: 'bf16', use: 'training' } as const;
  const { places } = estimate({ ...request, places: ['0', '1'] });
  expect(places.map(({ name }) => name)).toEqual(['0', '1']);
  for (const place of places) {
    const { parameters_bytes, activations_bytes, workspace_bytes, input_bytes, exchange_bytes } = place;
    expect(place.total_bytes).toBe(
      parameters_bytes + activations_bytes + workspace_bytes + input_bytes + exchange_bytes,
    );
  }
  const [cpu] = estimate({ ...request, places: ['cpu'] }).places;
  expect(cpu?.free_bytes).toBeGreaterThan(0);
});

test('an addon that is missing or does not load has causes and remedies', () => {
  const there = { platform: 'linux-x64-gnu', version: '1.2.3', isClone: false, installed: ['linux-x64-gnu'] };
  const loader = new Error('Cannot find native binding.', {
    cause: new Error('GLIBC_2.39 not found', { cause: new Error("Cannot find module './x.node'") }),
  });
  expect(loadError(loader, there)).toMatchObject({
    code: 'E0414',
    info: expect.stringContaining('GLIBC_2.39 not found'),
    hint: expect.stringContaining('npm install'),
  });
  expect(loadError(loader, { ...there, installed: ['darwin-arm64'] })).toMatchObject({
    code: 'E0413',
    info: expect.stringContaining('it has @ilsvrc/engine-darwin-arm64'),
    hint: expect.stringContaining('npm install --include=optional @ilsvrc/engine-linux-x64-gnu@1.2.3'),
  });
  expect(loadError(loader, { ...there, platform: 'linux-x64-musl' })).toMatchObject({
    code: 'E0413',
    hint: expect.stringContaining('node:24-slim'),
  });
  const missing = new Error("Cannot find module '../native/index.js'");
  expect(loadError(missing, { ...there, isClone: true })).toMatchObject({
    code: 'E0413',
    hint: expect.stringContaining('npm run build'),
  });
});
