/**
 * The Qdrant adapter against a server of our own that keeps to Qdrant's API as its OpenAPI description publishes it: requests
 * are checked by schemas, collections and points are kept, queries are answered by comparing all. With QDRANT_OPENAPI=file the
 * same requests are checked against the description itself; with QDRANT_URL=address the tests run on a real server.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Store } from '@ilsvrc/engine';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Description, violations } from './openapi.testing.ts';
import { qdrantEngine } from './qdrant.ts';

const dimension = 3;
const vectors = Float32Array.of(0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 5, 5, 5);
const count = vectors.length / dimension;

/** As much of a store as the adapter uses. */
const store = {
  meta: { count, dimension, model: String(Math.random()), precision: 'f32', pca: null },
  vectors: async (first: number, rows: number) =>
    vectors.slice(first * dimension, (first + rows) * dimension),
  project: async (queries: Float32Array) => queries,
} as unknown as Store;

const requests: { method: string; path: string; key: string | undefined; body: unknown }[] = [];
const collections = new Map<string, Map<number, number[]>>();
/** What the next requests are answered with, instead of what they ask for. */
let troubles: { status: number; body: string }[] = [];

const server = createServer(async (request, response) => {
  const { status, body } = await answer(request);
  response.writeHead(status, { 'content-type': 'application/json' }).end(body);
});
let url = process.env.QDRANT_URL ?? '';
const isReal = url !== '';

beforeAll(async () => {
  if (isReal) return;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
});
beforeEach(() => {
  troubles = [];
  requests.length = 0;
});

async function answer(request: IncomingMessage): Promise<{ status: number; body: string }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const { method = '', url: path = '', headers } = request;
  const body = text === '' ? undefined : JSON.parse(text);
  requests.push({ method, path, key: headers['api-key'] as string | undefined, body });
  const trouble = troubles.shift();
  if (trouble !== undefined) return trouble;
  const [, name = '', action = ''] = /^\/collections\/([^/?]+)([^?]*)/.exec(path) ?? [];
  const ok = (result: unknown) => ({ status: 200, body: JSON.stringify({ result, status: 'ok', time: 0 }) });
  const failed = (status: number, error: string) => ({
    status,
    body: JSON.stringify({ status: { error }, time: 0 }),
  });
  const points = collections.get(name);
  switch (`${method} ${action}`) {
    case 'PUT ':
      if (points !== undefined) return failed(409, `collection ${name} exists`);
      collections.set(name, new Map());
      return ok(true);
    case 'DELETE ':
      return ok(collections.delete(name));
  }
  if (points === undefined) return failed(404, `Not found: Collection \`${name}\` doesn't exist!`);
  switch (`${method} ${action}`) {
    case 'GET ':
      return ok({ status: 'green', points_count: points.size });
    case 'PUT /points':
      for (const { id, vector } of body.points) points.set(id, vector);
      return ok({ operation_id: 0, status: 'completed' });
    case 'POST /points/query/batch':
      return ok(
        body.searches.map(({ query, limit }: { query: number[]; limit: number }) => ({
          points: [...points]
            .map(([id, vector]) => ({
              id,
              version: 0,
              score: Math.hypot(...vector.map((x, i) => x - (query[i] ?? 0))),
            }))
            .sort((a, b) => a.score - b.score)
            .slice(0, limit),
        })),
      );
    default:
      return failed(404, 'no such path');
  }
}

test('a collection is made, filled once, and searched', async () => {
  const engine = qdrantEngine(store, { url, apiKey: 'secret' });
  const seen: number[] = [];
  expect(await engine.build({ onProgress: ({ done }) => seen.push(done) })).toBe(true);
  expect(seen).toEqual([count]);
  expect(await engine.build()).toBe(false);
  const [first, second] = await engine.search(Float32Array.of(0, 0, 1, 5, 5, 4), 2);
  expect(first).toEqual([
    { row: 0, distance: 1 },
    { row: 1, distance: expect.closeTo(2, 3) },
  ]);
  expect(second?.[0]).toEqual({ row: 4, distance: 1 });
  expect(await engine.search(Float32Array.of(0, 0, 1), 100)).toHaveLength(1);
  if (!isReal) expect(requests.every(({ key }) => key === 'secret')).toBe(true);
});

test.skipIf(isReal)('requests are what the API description asks for', async () => {
  const engine = qdrantEngine(store, { url });
  collections.clear();
  await engine.build();
  await engine.search(Float32Array.of(0, 0, 1), 2);
  const bodies = requests.map(({ method, path, body }) => ({
    request: `${method} ${path.replace(/ilsvrc-\w+/, '*')}`,
    body,
  }));
  expect(bodies).toEqual([
    { request: 'GET /collections/*', body: undefined },
    {
      request: 'PUT /collections/*',
      body: { vectors: { size: 3, distance: 'Euclid', datatype: 'float16', on_disk: true } },
    },
    {
      request: 'PUT /collections/*/points?wait=true',
      body: {
        points: Array.from({ length: count }, (_, id) => ({
          id,
          vector: [...vectors.slice(3 * id, 3 * id + 3)],
        })),
      },
    },
    {
      request: 'POST /collections/*/points/query/batch',
      body: { searches: [{ query: [0, 0, 1], limit: 2 }] },
    },
  ]);
  const file = process.env.QDRANT_OPENAPI;
  if (file === undefined) return;
  const description = JSON.parse(readFileSync(file, 'utf8')) as Description;
  for (const request of requests) expect(violations(description, request)).toEqual([]);
  const wrong = { method: 'PUT', path: '/collections/a', body: { vectors: { size: 3, distance: 'Far' } } };
  expect(violations(description, wrong)).not.toEqual([]);
});

test.skipIf(isReal)('what an interrupted build left is made again', async () => {
  const engine = qdrantEngine(store, { url });
  await engine.build();
  [...collections.values()][0]?.delete(3);
  expect(await engine.build()).toBe(true);
  expect([...collections.values()][0]?.size).toBe(count);
});

test.skipIf(isReal)('trouble that may pass is tried again, a refusal is told', async () => {
  const engine = qdrantEngine(store, { url, patience: 1 });
  await engine.build();
  troubles = [
    { status: 503, body: '' },
    { status: 429, body: '' },
  ];
  expect(await engine.search(Float32Array.of(0, 0, 1), 1)).toHaveLength(1);
  troubles = Array.from({ length: 4 }, () => ({ status: 500, body: '{"status":{"error":"out of memory"}}' }));
  await expect(engine.search(Float32Array.of(0, 0, 1), 1)).rejects.toMatchObject({
    code: 'E0706',
    info: '500: out of memory',
  });
  expect(troubles).toEqual([]);
  troubles = [{ status: 401, body: '{"status":{"error":"Invalid API key"}}' }];
  await expect(engine.build()).rejects.toMatchObject({ code: 'E0706', info: '401: Invalid API key' });
  troubles = [{ status: 200, body: '<html>a proxy</html>' }];
  await expect(engine.build()).rejects.toMatchObject({ code: 'E0706', info: '<html>a proxy</html>' });
});

test.skipIf(isReal)('an answer with other rows than the store has is not believed', async () => {
  const engine = qdrantEngine(store, { url });
  await engine.build();
  const points = (id: unknown, score: unknown = 1) => [{ points: [{ id, score }] }];
  const wrong = [points(count), points(-1), points('a'), points(0.5), points(0, 'x'), [{}], [null], [], 7];
  for (const result of wrong) {
    troubles = [{ status: 200, body: JSON.stringify({ result }) }];
    await expect(engine.search(Float32Array.of(0, 0, 1), 1)).rejects.toMatchObject({ code: 'E0706' });
  }
});

test.skipIf(isReal)('a server may lie below a path', async () => {
  troubles = [
    { status: 404, body: '' },
    { status: 500, body: '' },
  ];
  await qdrantEngine(store, { url: `${url}/vectors/`, patience: 1 })
    .build()
    .catch(() => {});
  expect(requests[0]?.path).toMatch(/^\/vectors\/collections\//);
});

test('a server that is not there is told of, and waiting for it ends when asked to', async () => {
  const nowhere = { url: 'http://127.0.0.1:9', patience: 1 };
  await expect(qdrantEngine(store, nowhere).build()).rejects.toMatchObject({
    code: 'E0706',
    message: 'the Qdrant server at http://127.0.0.1:9 cannot be reached',
  });
  const controller = new AbortController();
  const patient = qdrantEngine(store, { ...nowhere, patience: 100_000 });
  const building = patient.build({ signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(building).rejects.toThrow();
});
