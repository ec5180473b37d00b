/** `ilsvrc retrieve`: the nearest training images of photos, and how good such neighbours are. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { imageRows, type Neighbour, readJpegs, Session, type Store } from '@ilsvrc/engine';
import { readModel } from '@ilsvrc/evaluator';
import { formatDistance, type RetrievedRow, writeRetrieval } from '@ilsvrc/report';
import { exactEngine, neighboursOf, qdrantEngine, type SearchEngine, usearchEngine } from '@ilsvrc/retrieval';
import { formatCount } from '@ilsvrc/terminal';
import { loadDefaults, requireDataset, requireModels } from '../defaults.ts';
import { examples } from '../examples.ts';
import { describe, findStore, layer, makeStore, type StoreChoice } from '../feature-store.ts';
import { announce } from '../layout.ts';
import { machineOf, withMachine } from '../machine.ts';
import { Output, printError } from '../output.ts';
import { batchSize, oneOf, whole } from '../parse.ts';
import { type Query, queriesOfFiles, queriesOfSplit, queryOfClipboard } from '../queries.ts';
import { scoreDocument, showScore, toScore, writeScore } from '../retrieval-score.ts';
import type { Verb } from '../verb.ts';

/** Queries that are searched for together. */
const queriesAPass = 32;
/** Rows of a picture. */
const mostRows = 24;

const verb: Verb = (base, { interrupts: { signal } }) =>
  withMachine(
    base
      .argument(
        '[model]',
        'a model file (default: that of the newest run), or `index` to only build the store',
      )
      .argument('[image...]', 'photos, folders of photos, or - for a photo on stdin (default: --queries)')
      .optionsGroup('Question:')
      .option('-k <n>', 'neighbours of each query', whole('-k', 1, 1000))
      .option('--queries <n>', 'images of the other split, where no photo is given', whole('--queries', 1), 8)
      .option('--clipboard', 'the image in the clipboard')
      .option('--score', 'precision and near-duplicates, with all images of the other split as queries')
      .optionsGroup('Store:')
      .option('--data <dir>', 'a prepared data set (default: the one the model was trained on)')
      .option('--split <name>', 'what is searched, train or val', oneOf('--split', ['train', 'val']), 'train')
      .option('--store <dir>', 'where the features lie (default: features/NAME)')
      .option('--pca <n>', 'so many principal components instead of all elements', whole('--pca', 1, 65_536))
      .option('--half', 'half-precision features: half of the disk')
      .option(
        '--engine <name>',
        'exact, usearch (a graph in memory) or qdrant (a server)',
        oneOf('--engine', ['exact', 'usearch', 'qdrant']),
        'exact',
      )
      .option('--server <url>', 'of qdrant; the key is in QDRANT_API_KEY', 'http://127.0.0.1:6333')
      .optionsGroup('Files:')
      .option('--panel <file>', 'draw queries and neighbours into a PNG')
      .option('--out <dir>', 'of --score: write retrieval.json and CSVs there')
      .option('--npy <file>', 'of index: the features for NumPy')
      .option('--safetensors <file>', 'of index: features and labels')
      .option('--force', 'replace what is there')
      .optionsGroup('Machine:')
      .option('--batch <n>', 'images a pass', batchSize, 128),
  )
    .addHelpText(
      'after',
      examples([
        ['ilsvrc retrieve runs/NAME/model.safetensors --panel rows.png', 'as in the talk'],
        ['ilsvrc retrieve MODEL cat.jpg -k 10', 'the store is built where there is none'],
        ['ilsvrc retrieve index MODEL --pca 256', 'only build it'],
        ['ilsvrc retrieve MODEL --score', 'precision@1, 5, 10, mAP, near-duplicates'],
      ]),
    )
    .action(async (first, images, options) => {
      const output = new Output(options);
      const isIndex = first === 'index';
      const given = isIndex ? images.shift() : first;
      const defaults = await loadDefaults();
      const [model = ''] = requireModels(given === undefined ? [] : [given], defaults);
      const data = await requireDataset(options.data, defaults, model);
      refuseMisfits(isIndex, images, options);
      for (const file of [options.panel, options.npy, options.safetensors])
        if (file !== undefined) await output.expectAbsent(file, options.force);
      const choice: StoreChoice = { ...options, model, data };
      const queries = isIndex || options.score ? [] : await chooseQueries(images, data, options);
      const store = isIndex && options.force ? undefined : await findStore(choice);
      if (isIndex && store !== undefined && options.npy === undefined && options.safetensors === undefined) {
        throw new IlsvrcError('E0308', `${store.folder} is there already: ${describe(store)}`, {
          hint: 'it is up to date; make it again by --force',
        });
      }
      // What is only exported needs no net.
      const session = isIndex && store !== undefined ? undefined : await openSession(model, options, output);
      if (store === undefined && !isIndex) output.say('there is no store of features yet: building it first');
      const opened = store ?? (session && (await makeStore(choice, session, output, signal)));
      if (opened === undefined) return;
      if (isIndex) await finishIndex(opened, options, output);
      else if (session !== undefined && options.score)
        await scoreAll(session, opened, { ...choice, k: options.k, out: options.out }, output, signal);
      else if (session !== undefined) {
        const engine = await chooseEngine(opened, options);
        await retrieve(
          {
            session,
            store: opened,
            engine,
            queries,
            data,
            k: options.k ?? 6,
            panel: options.panel,
            verbose: options.verbose ?? false,
          },
          output,
          signal,
        );
      }
      opened.close();
      await output.finish();
    });

export default verb;

/** What the options say, as far as the steps need it. */
interface Options {
  queries: number;
  split: 'train' | 'val';
  clipboard?: true | undefined;
  score?: true | undefined;
  engine: 'exact' | 'usearch' | 'qdrant';
  server: string;
  panel?: string | undefined;
  out?: string | undefined;
  npy?: string | undefined;
  safetensors?: string | undefined;
}

/** Options that would have no effect are a mistake of somebody. */
function refuseMisfits(isIndex: boolean, images: string[], options: Options): void {
  const misfits: [boolean, string][] = [
    [isIndex && images.length > 0, 'photos are not for `retrieve index`'],
    [
      isIndex && (options.score || options.clipboard || options.panel !== undefined || false),
      '`--score`, `--clipboard` and `--panel` are not for `retrieve index`',
    ],
    [
      !isIndex && (options.npy !== undefined || options.safetensors !== undefined),
      '`--npy` and `--safetensors` go with `retrieve index`',
    ],
    [options.out !== undefined && !options.score, '`--out` goes with `--score`'],
    [
      options.score === true &&
        (images.length > 0 || options.clipboard === true || options.panel !== undefined),
      '`--score` takes all images of a split: no photos, `--clipboard` or `--panel`',
    ],
    [options.score === true && options.engine !== 'exact', '`--score` searches exactly: no other `--engine`'],
  ];
  const found = misfits.find(([applies]) => applies);
  if (found !== undefined) throw new IlsvrcError('E0101', found[1], { hint: 'see `ilsvrc retrieve --help`' });
}

const otherSplit = (split: 'train' | 'val') => (split === 'train' ? 'val' : 'train');

async function chooseQueries(
  images: string[],
  data: string,
  { clipboard, queries, split }: Options,
): Promise<Query[]> {
  if (clipboard) return [await queryOfClipboard(), ...(await queriesOfFiles(images))];
  return images.length > 0 ? queriesOfFiles(images) : queriesOfSplit(data, otherSplit(split), queries);
}

async function openSession(
  model: string,
  options: Parameters<typeof machineOf>[0] & { batch: number },
  output: Output,
): Promise<Session> {
  const { net } = await readModel(model);
  const session = await Session.open({
    net,
    batch: options.batch,
    seed: 0,
    ...machineOf(options),
    use: 'inference',
  });
  announce(session.layout, output);
  await session.loadModel(model);
  return session;
}

async function chooseEngine(store: Store, { engine, server }: Options): Promise<SearchEngine> {
  switch (engine) {
    case 'exact':
      return exactEngine(store);
    case 'usearch':
      return usearchEngine(store);
    case 'qdrant':
      if (!URL.canParse(server) || !/^https?:/.test(server))
        throw new IlsvrcError('E0103', `--server cannot be \`${server}\``, {
          info: 'allowed: http://… or https://…',
        });
      return qdrantEngine(store, { url: server, apiKey: process.env.QDRANT_API_KEY });
  }
}

async function finishIndex(store: Store, { npy, safetensors }: Options, output: Output): Promise<void> {
  if (npy !== undefined) await store.export('npy', npy);
  if (safetensors !== undefined) await store.export('safetensors', safetensors);
  const { classes: _, ...meta } = store.meta;
  const files = [npy, safetensors].filter((file) => file !== undefined);
  if (output.isJson) output.document({ ...meta, version: 1, store: store.folder, files });
  else output.data(`${store.folder}: ${describe(store)}`);
  for (const file of files) output.say(`wrote ${file}`);
}

async function scoreAll(
  session: Session,
  store: Store,
  { data, split, k = 10, out }: StoreChoice & { k?: number | undefined; out?: string | undefined },
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const queries = otherSplit(split === 'val' ? 'val' : 'train');
  const progress = output.progress('searching', 'images');
  const nearest = await session
    .nearest(
      store,
      { walk: { dataset: data, split: queries, views: 1, layer }, k },
      { signal, onProgress: ({ done, total }) => progress.update(done, total) },
    )
    .finally(() => progress.stop());
  const result = await toScore(nearest, store, data, queries);
  if (out !== undefined) {
    await writeScore(out, result);
    output.say(`wrote ${out}/retrieval.json, retrieval-per-class.csv and near-duplicates.csv`);
  }
  if (output.isJson) output.document(scoreDocument(result));
  else showScore(result, output);
}

/** All that a search works with. */
interface Search {
  session: Session;
  store: Store;
  engine: SearchEngine;
  queries: Query[];
  data: string;
  k: number;
  panel: string | undefined;
  verbose: boolean;
}

/** A query and what was found. */
interface Found {
  query: Query;
  photo: Uint8Array;
  neighbours: Neighbour[];
}

async function retrieve(search: Search, output: Output, signal: AbortSignal): Promise<void> {
  const { store, engine, queries, k, panel } = search;
  if (k > store.meta.count)
    output.say(`the store has ${formatCount(store.meta.count)} images: fewer than ${k}`);
  const progress = output.progress('indexing', 'images');
  await engine
    .build({ signal, onProgress: (done, total) => progress.update(done, total) })
    .finally(() => progress.stop());
  const shown: Found[] = [];
  const documents: object[] = [];
  let failed = 0;
  for (let first = 0; first < queries.length; first += queriesAPass) {
    signal.throwIfAborted();
    const { found, bad } = await searchSome(search, queries.slice(first, first + queriesAPass));
    failed += bad;
    for (const one of found) {
      if (output.isJson) documents.push(document(one, store));
      else show(one, store, output);
      if (panel !== undefined && shown.length < mostRows) shown.push(one);
    }
  }
  await engine.close();
  if (panel !== undefined && shown.length > 0) {
    await writeRetrieval(await rowsOf(shown, search), panel);
    output.say(
      `drew ${panel}${shown.length < queries.length - failed ? ` with the first ${mostRows} queries` : ''}`,
    );
  }
  if (output.isJson) output.document(documents);
  if (failed > 0) {
    throw new IlsvrcError('E0212', `${failed} of ${queries.length} images could not be used`, {
      info: 'each is named above; neighbours of the others were found',
    });
  }
}

/** Photos that cannot be used are told of and left out, where there are others. */
async function searchSome(
  { session, engine, store, k, queries, verbose }: Search,
  some: Query[],
): Promise<{ found: Found[]; bad: number }> {
  const read: { query: Query; photo: Uint8Array; features: Float32Array }[] = [];
  for (const query of some) {
    try {
      const photo = await query.read();
      read.push({ query, photo, features: await embed(session, query, photo) });
    } catch (error) {
      if (!(error instanceof IlsvrcError) || queries.length === 1) throw error;
      printError(error, verbose);
    }
  }
  const elements = store.meta.source_dimension;
  const features = new Float32Array(read.length * elements);
  for (const [place, one] of read.entries()) features.set(one.features, place * elements);
  const lists = read.length === 0 ? [] : await neighboursOf(store, await engine.search(features, k));
  const found = read.map(({ query, photo }, place) => ({ query, photo, neighbours: lists[place] ?? [] }));
  return { found, bad: some.length - read.length };
}

/** The features of a photo; an error names it. */
async function embed(session: Session, { name }: Query, photo: Uint8Array): Promise<Float32Array> {
  try {
    return (await session.embed([photo], { views: 1, layer })).data;
  } catch (error) {
    if (!(error instanceof IlsvrcError) || error.code !== 'E0212') throw error;
    const { info, hint } = error;
    throw new IlsvrcError('E0212', `${name === '-' ? 'stdin' : name} cannot be decoded`, {
      info: info ?? error.message,
      hint,
      cause: error,
    });
  }
}

const className = (store: Store, index: number | undefined) =>
  index === undefined ? undefined : store.meta.classes[index]?.name;

function document({ query, neighbours }: Found, store: Store): object {
  return {
    version: 1,
    query: query.name,
    class: className(store, query.class) ?? null,
    neighbours: neighbours.map(({ path, class: index, distance }) => ({
      file: path,
      class: className(store, index),
      wnid: store.meta.classes[index]?.wnid,
      distance,
    })),
  };
}

function show({ query, neighbours }: Found, store: Store, output: Output): void {
  const known = className(store, query.class);
  output.data(output.bold(known === undefined ? query.name : `${query.name} (${known})`));
  const width = Math.max(0, ...neighbours.map(({ class: index }) => className(store, index)?.length ?? 0));
  for (const { path, class: index, distance } of neighbours) {
    output.data(
      `  ${formatDistance(distance).padStart(8)}  ${(className(store, index) ?? '').padEnd(width)}  ${path}`,
    );
  }
}

/** The rows of the picture: neighbours as they were prepared. */
async function rowsOf(found: Found[], { store, data }: Search): Promise<RetrievedRow[]> {
  const numbers = found.flatMap(({ neighbours }) => neighbours.map(({ row }) => row));
  const jpegs = await readJpegs(data, await imageRows({ dataset: data, split: store.meta.split, numbers }));
  let next = 0;
  return found.map(({ query, photo, neighbours }) => ({
    query: {
      photo,
      class: className(store, query.class),
      name: query.name.split(/[\\/]/).at(-1) ?? query.name,
    },
    neighbours: neighbours.map(({ class: index, distance }) => ({
      photo: jpegs[next++] ?? new Uint8Array(),
      class: className(store, index),
      distance,
    })),
  }));
}
