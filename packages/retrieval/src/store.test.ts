/** A store made by a net from drawn pictures, and every engine that needs no server. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateBuiltin, type Net, prep, Session, Store, type StoreOrigin } from '@ilsvrc/engine';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exactEngine, neighboursOf, type SearchEngine, usearchEngine } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-retrieval-'));
const photos = join(folder, 'photos');
const dataset = join(folder, 'data');
const learning = { weight_std: 0.05, bias: 0 };
const net: Net = {
  name: 'tiny',
  image: 32,
  crop: 32,
  towers: 1,
  layers: [
    { type: 'conv', name: 'conv1', filters: 8, size: 5, stride: 2, pad: 0, learning },
    { type: 'relu' },
    { type: 'max_pool', size: 3, stride: 2 },
    { type: 'dense', name: 'fc2', units: 12, reads: 'own', joined: true, learning },
  ],
};
const walk = { dataset, split: 'train', views: 1, layer: 'conv1' } as const;
const origin: StoreOrigin = { walk, model: 'abc', preprocessing: { resize: 'crop' } };
const place = join(folder, 'store');
let session: Session;

beforeAll(async () => {
  await generateBuiltin({ out: photos, images: 120, seed: 1, workers: 2 });
  await prep({
    sources: [photos],
    out: dataset,
    name: 'builtin',
    size: 32,
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
  });
  session = await open(32);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function open(batch: number): Promise<Session> {
  return Session.open({
    net,
    batch,
    seed: 1,
    threads: 0,
    places: ['cpu'],
    precision: 'f32',
    use: 'inference',
  });
}

async function make(change: { precision?: 'f16'; components?: number } = {}): Promise<Store> {
  await session.index({ ...origin, store: place, precision: 'f32', components: null, ...change });
  return opened(place);
}

async function opened(path: string): Promise<Store> {
  const store = await Store.open(path, origin);
  if (store === undefined) throw new Error(`no store in ${path}`);
  return store;
}

/** Rows by distance, ties by number: plain loops. */
function bruteForce(base: Float32Array, query: Float32Array, k: number): number[] {
  const distances = Array.from({ length: base.length / query.length }, (_, row) =>
    query.reduce((sum, x, i) => sum + (x - (base[row * query.length + i] ?? 0)) ** 2, 0),
  );
  return [...distances.keys()].sort((a, b) => (distances[a] ?? 0) - (distances[b] ?? 0) || a - b).slice(0, k);
}

test('a store holds the features of a split in its order, and finds what plain loops find', async () => {
  const base = await session.features(walk);
  const queries = await session.features({ ...walk, split: 'val' });
  const store = await make();
  expect(store.meta).toMatchObject({
    count: base.images,
    dimension: base.elements,
    layer: 'conv1',
    pca: null,
  });
  expect(await store.vectors(0, base.images)).toEqual(base.data);
  expect(await store.classes()).toEqual(base.labels);

  const found = await exactEngine(store).search(queries.data, 5);
  const nearest = await session.nearest(store, { walk: { ...walk, split: 'val' }, k: 5 });
  expect(nearest).toMatchObject({ images: queries.images, k: 5 });
  for (let query = 0; query < queries.images; query++) {
    const vector = queries.data.subarray(query * queries.elements, (query + 1) * queries.elements);
    const rows = bruteForce(base.data, vector, 5);
    expect(found[query]?.map(({ row }) => row)).toEqual(rows);
    expect([...nearest.rows.subarray(query * 5, query * 5 + 5)]).toEqual(rows);
  }
  const [[first] = []] = await neighboursOf(store, found);
  expect(first?.path).toMatch(/^train\/\w+\/\d+\.jpg$/);
  await expect(store.search(queries.data.subarray(1), 1)).rejects.toMatchObject({ code: 'E0705' });
  store.close();
});

test('files are what docs/retrieve.md says', async () => {
  const { meta } = await make();
  const files = ['ids.jsonl', 'meta.json', 'rows.f32', 'vectors.f32', 'vectors.u8'];
  expect(readdirSync(place).sort()).toEqual(files);
  const read = (name: string) => readFileSync(join(place, name));
  const floats = (name: string) => new Float32Array(new Uint8Array(read(name)).buffer);
  const { stride } = JSON.parse(read('meta.json').toString());
  expect(stride % 64).toBe(0);
  const [codes, rows, vectors] = [read('vectors.u8'), floats('rows.f32'), floats('vectors.f32')];
  for (const row of [0, meta.count - 1]) {
    const [scale = 0, zero = 0, sum, norm = 0, error = 0] = rows.subarray(row * 5, row * 5 + 5);
    const bytes = codes.subarray(row * stride, row * stride + meta.dimension);
    const values = Array.from(bytes, (byte) => scale * (byte - zero));
    expect(bytes.reduce((total, byte) => total + byte, 0)).toBe(sum);
    expect(values.reduce((total, x) => total + x * x, 0) / norm).toBeCloseTo(1, 6);
    const distance = Math.hypot(...values.map((x, i) => x - (vectors[row * meta.dimension + i] ?? 0)));
    expect(distance).toBeLessThanOrEqual(error);
    expect(distance).toBeGreaterThan(error * 0.999);
  }
  const lines = read('ids.jsonl').toString().trimEnd().split('\n');
  expect(lines).toHaveLength(meta.count);
  expect(Object.keys(JSON.parse(lines[0] ?? ''))).toEqual(['key', 'path', 'class']);
});

test('stores of components and of halves find themselves, and features leave for NumPy', async () => {
  const { data, elements } = await session.features(walk);
  for (const change of [{ components: 16 }, { precision: 'f16' }] as const) {
    const store = await make(change);
    const [found] = await store.search(data.subarray(7 * elements, 8 * elements), 1);
    expect(found?.[0]).toMatchObject({ row: 7 });
    const npy = join(folder, 'a.npy');
    await store.export('npy', npy);
    const header = readFileSync(npy).subarray(0, 128).toString('latin1');
    const type = store.meta.precision === 'f16' ? '<f2' : '<f4';
    expect(header).toContain(`'descr': '${type}'`);
    expect(header).toContain(`'shape': (${store.meta.count}, ${store.meta.dimension})`);
    store.close();
  }
});

test('what is not there, stale or cut short is told apart', async () => {
  (await make()).close();
  expect(await Store.open(join(folder, 'nowhere'))).toBeUndefined();
  await expect(Store.open(place, { ...origin, model: 'other' })).rejects.toMatchObject({ code: 'E0704' });
  await expect(Store.open(photos)).rejects.toMatchObject({ code: 'E0701' });
  truncateSync(join(place, 'vectors.u8'), 100);
  await expect(Store.open(place)).rejects.toMatchObject({ code: 'E0702' });
  writeFileSync(join(place, 'meta.json'), '{"version": 9}');
  await expect(Store.open(place)).rejects.toMatchObject({ code: 'E0703' });
});

test('an index that is stopped leaves the old store', async () => {
  (await make()).close();
  const before = readFileSync(join(place, 'meta.json'));
  const controller = new AbortController();
  const request = { ...origin, store: place, precision: 'f16', components: null } as const;
  // An image a pass: many places to stop at.
  const slow = await open(1);
  const stopped = slow.index(request, { signal: controller.signal, onProgress: () => controller.abort() });
  await expect(stopped).rejects.toThrow();
  expect(readFileSync(join(place, 'meta.json'))).toEqual(before);
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('usearch builds its index once, keeps it beside the store, and finds nearly the same', async ({
  skip,
}) => {
  const store = await make();
  const engine: SearchEngine | undefined = await usearchEngine(store).catch((error) => {
    // Optional: there are platforms without it.
    if (error.code !== 'E0707') throw error;
    return undefined;
  });
  if (engine === undefined) return skip();
  expect(await engine.build()).toBe(true);
  expect(await (await usearchEngine(store)).build()).toBe(false);
  const { data, elements } = await session.features({ ...walk, split: 'val' });
  const some = data.subarray(0, 8 * elements);
  const [exact, near] = [await store.search(some, 5), await engine.search(some, 5)];
  const hits = exact.flatMap((list, query) =>
    list.filter(({ row }) => near[query]?.some((other) => other.row === row)),
  );
  expect(hits.length).toBeGreaterThan(36);
  expect((near[0]?.[0]?.distance ?? 0) / (exact[0]?.[0]?.distance ?? 0)).toBeCloseTo(1, 2);

  const [alone] = await engine.search(some.subarray(0, elements), 5);
  expect(alone).toEqual(near[0]);

  // Another store in the same folder: the index is not of it. A damaged index is made again.
  writeFileSync(join(place, 'usearch.json'), 'of something else');
  expect(await engine.build()).toBe(true);
  writeFileSync(join(place, 'usearch.index'), 'nonsense');
  expect(await (await usearchEngine(store)).build()).toBe(true);
  store.close();
});
