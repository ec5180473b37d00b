/**
 * Times nearest neighbours by our exact search and by its peers (usearch; faiss flat and HNSW from Python), in turns, on the
 * same features and this machine, and counts how many of the ten nearest each finds.
 *
 *     npm run build && node bench/search.ts [--model MODEL --data DIR]
 *
 * Writes `search.json` and `search.md`. What the figures mean: bench/README.md.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine, readModelMetadata, Session, Store, watchOthers } from '@ilsvrc/engine';
import { exactEngine, type SearchEngine, usearchEngine } from '@ilsvrc/retrieval';
import { installPython, root, run, spread, startPeer } from './tools.ts';

const { values } = parseArgs({
  options: {
    /** A model and a prepared data set whose fc7 features are searched too. */
    model: { type: 'string' },
    data: { type: 'string' },
    rows: { type: 'string', default: '20000' },
    queries: { type: 'string', default: '128' },
    rounds: { type: 'string', default: '3' },
    /** A Python that has requirements.txt of peers/faiss; without it a throw-away environment is made. */
    python: { type: 'string' },
    out: { type: 'string', default: join(root, 'bench', 'results') },
  },
});

const k = 10;
const batch = 32;
const rounds = Number(values.rounds);
const queryCount = Number(values.queries);
const threads = availableParallelism();
const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));

/** Vectors to search, and to search for. */
interface Set {
  name: string;
  base: Store;
  queries: Float32Array;
}

/** What came out for one engine. */
interface Row {
  name: string;
  build_seconds: number;
  bytes: number;
  recall: number;
  one: number[];
  batch: number[];
}

async function open(folder: string): Promise<Store> {
  const store = await Store.open(folder);
  if (store === undefined) throw new Error(`no store in ${folder}`);
  return store;
}

/** Vectors with the statistics of a layer behind its ReLU (crates/search/src/drawn.rs). */
async function drawnSet(): Promise<Set> {
  const folder = join(directory, 'drawn');
  const example = ['run', '--release', '--quiet', '-p', 'ilsvrc-search', '--example', 'drawn', '--'];
  run('cargo', [...example, folder, values.rows, values.queries, '4096']);
  const base = await open(join(folder, 'base'));
  const queries = await (await open(join(folder, 'queries'))).vectors(0, queryCount);
  return { name: `${base.meta.count} x 4096, drawn`, base, queries };
}

/** `fc7` of a model: the training split, and images of the validation split. */
async function realSet(model: string, data: string): Promise<Set> {
  const { net = '', preprocessing = 'null' } = await readModelMetadata(model);
  const session = await Session.open({
    net: JSON.parse(net),
    batch: 128,
    seed: 0,
    places: ['cpu'],
    precision: 'f32',
    threads: 0,
    use: 'inference',
  });
  await session.loadModel(model);
  const store = join(directory, 'real');
  const walk = { dataset: data, split: 'train', views: 1, layer: 'fc7' } as const;
  await session.index({
    walk,
    model: '',
    preprocessing: JSON.parse(preprocessing),
    store,
    precision: 'f32',
    components: null,
  });
  const { data: values, elements } = await session.features({ ...walk, split: 'val' });
  const base = await open(store);
  const { name } = JSON.parse(net);
  return {
    name: `${base.meta.count} x ${elements}, fc7 of ${name} trained on Imagenette`,
    base,
    queries: values.slice(0, queryCount * elements),
  };
}

/** The script of peers/faiss, which answers lines with lines. */
function startFaiss(python: string, { base, queries }: Set, npy: { base: string; queries: string }) {
  writeNpy(npy.queries, queries, base.meta.source_dimension);
  const script = join(root, 'bench/peers/faiss/search.py');
  return startPeer(python, [script, npy.base, npy.queries, String(k), String(batch), String(threads)]);
}

/** NumPy's format, as much of it as one array needs. */
function writeNpy(path: string, values: Float32Array, columns: number): void {
  const shape = `(${values.length / columns}, ${columns})`;
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117);
  const start = Buffer.concat([Buffer.from('\x93NUMPY\x01\x00v\x00', 'latin1'), Buffer.from(`${header}\n`)]);
  writeFileSync(
    path,
    Buffer.concat([start, Buffer.from(values.buffer, values.byteOffset, values.byteLength)]),
  );
}

/** The share of the true neighbours that were found. */
function recall(found: number[][], truth: number[][]): number {
  const hits = truth.map((rows, query) => rows.filter((row) => found[query]?.includes(row)).length);
  return hits.reduce((sum, hit) => sum + hit, 0) / (truth.length * k);
}

/** Queries a second, `size` at a time. */
async function rate(engine: SearchEngine, { queries, base }: Set, size: number): Promise<number> {
  const length = size * base.meta.source_dimension;
  const begin = performance.now();
  for (let first = 0; first < queries.length; first += length) {
    await engine.search(queries.subarray(first, first + length), k);
  }
  return (1000 * queryCount) / (performance.now() - begin);
}

async function build(engine: SearchEngine): Promise<number> {
  const begin = performance.now();
  await engine.build();
  return (performance.now() - begin) / 1000;
}

const sizeOf = (folder: string, files: string[]) =>
  files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);

/** All engines on one set. */
async function compare(set: Set, python: string): Promise<{ name: string; version: string; rows: Row[] }> {
  const npy = { base: join(directory, 'base.npy'), queries: join(directory, 'queries.npy') };
  await set.base.export('npy', npy.base);
  const faiss = startFaiss(python, set, npy);
  const { version, truth, indexes } = await faiss.line();
  const exact = exactEngine(set.base);
  const usearch = await usearchEngine(set.base);
  const row = async (name: string, engine: SearchEngine, files: string[]) => ({
    engine,
    row: {
      name,
      build_seconds: await build(engine),
      bytes: sizeOf(set.base.folder, files),
      recall: recall(
        (await engine.search(set.queries, k)).map((hits) => hits.map((hit) => hit.row)),
        truth,
      ),
      one: [],
      batch: [],
    } as Row,
  });
  const ours = [
    await row('ilsvrc, exact', exact, ['vectors.u8', 'rows.f32', 'vectors.f32']),
    await row('usearch, HNSW, f16', usearch, ['usearch.index']),
  ];
  const theirs = Object.entries<{ build_seconds: number; bytes: number; rows: number[][] }>(indexes).map(
    ([name, { build_seconds, bytes, rows }]) => ({
      key: name,
      row: {
        name: `faiss, ${name}, f32`,
        build_seconds,
        bytes,
        recall: recall(rows, truth),
        one: [],
        batch: [],
      } as Row,
    }),
  );
  for (let round = 0; round < rounds; round++) {
    for (const { engine, row } of ours) {
      row.one.push(await rate(engine, set, 1));
      row.batch.push(await rate(engine, set, batch));
    }
    const rates = await faiss.ask();
    for (const { key, row } of theirs) {
      row.one.push(rates[key][0]);
      row.batch.push(rates[key][1]);
    }
    console.error(`${set.name}: round ${round + 1} of ${rounds}`);
  }
  faiss.end();
  set.base.close();
  return { name: set.name, version, rows: [...ours, ...theirs].map(({ row }) => row) };
}

function table({ name, rows }: { name: string; rows: Row[] }): string {
  const figure = (samples: number[]) => {
    const { median, low, high } = spread(samples);
    return `${median.toFixed(0)} (${low.toFixed(0)} - ${high.toFixed(0)})`;
  };
  const lines = rows.map(
    (row) =>
      `| ${row.name} | ${row.recall.toFixed(4)} | ${figure(row.one)} | ${figure(row.batch)} | ${row.build_seconds.toFixed(1)} | ${(row.bytes / 1e6).toFixed(0)} |`,
  );
  return [
    `## ${name}`,
    '',
    `| | recall@${k} | queries/s, one at a time | queries/s, ${batch} at a time | built in s | MB |`,
    '|---|---:|---:|---:|---:|---:|',
    ...lines,
    '',
  ].join('\n');
}

try {
  const python = values.python ?? installPython(directory, 'bench/peers/faiss/requirements.txt');
  const others = watchOthers();
  const sets = [drawnSet];
  const { model, data } = values;
  if (model !== undefined && data !== undefined) sets.push(() => realSet(model, data));
  const results = [];
  for (const make of sets) results.push(await compare(await make(), python));
  const busy = others();
  const { cpu, cores, memory_gib, system, node } = machine();
  const { version } = JSON.parse(readFileSync(join(root, 'node_modules/usearch/package.json'), 'utf8'));
  const versions = `${results[0]?.version}, usearch ${version}`;
  const date = new Date().toISOString().slice(0, 10);
  const text = [
    '# Nearest neighbours',
    '',
    `${cpu}, ${cores} cores, ${memory_gib} GiB; ${system}, node ${node}; ${versions}; ${date}. Others kept ${busy.toFixed(1)} cores busy meanwhile.`,
    '',
    `${queryCount} queries, ${k} neighbours, ${threads} threads, ${rounds} rounds in turns: medians, slowest and fastest. Recall is against f64 arithmetic on all f32 vectors.`,
    '',
    ...results.map(table),
  ].join('\n');
  const document = {
    version: 1,
    machine: { ...machine(), others: busy },
    versions,
    date,
    k,
    batch,
    threads,
    queries: queryCount,
    sets: results,
  };
  writeFileSync(join(values.out, 'search.json'), `${JSON.stringify(document, null, 2)}\n`);
  writeFileSync(join(values.out, 'search.md'), text);
  console.log(text);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
