/** `ilsvrc retrieve`: the nearest training images of photos, and how good such neighbours are. */
import { join } from 'node:path';
import { readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { Session, type Store } from '@ilsvrc/engine';
import { differences, readModel } from '@ilsvrc/evaluator';
import { exactEngine, qdrantEngine, type SearchEngine, usearchEngine } from '@ilsvrc/retrieval';
import { loadDefaults, requireDataset, requireModels } from '../defaults.ts';
import { warnOfDifferences } from '../evaluation-report.ts';
import { examples } from '../examples.ts';
import { describe, findStore, makeStore, otherSplit, type StoreChoice } from '../feature-store.ts';
import { announce } from '../layout.ts';
import { machineOf, withMachine } from '../machine.ts';
import type { Output } from '../output.ts';
import { batchSize, oneOf, whole } from '../parse.ts';
import { type Query, queriesOfFiles, queriesOfSplit, queryOfClipboard } from '../queries.ts';
import { notShared, outputOf, together } from '../ranks.ts';
import { scoreAll, scoreFile } from '../retrieval-score.ts';
import { retrieve } from '../retrieving.ts';
import type { Verb } from '../verb.ts';

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
    .action((first, images, options) =>
      together(
        async () => (await machineOf(options)).places,
        async (world) => {
          const output = outputOf(world, options);
          const isIndex = first === 'index';
          const given = isIndex ? images.shift() : first;
          const defaults = await loadDefaults();
          const [model = ''] = requireModels(given === undefined ? [] : [given], defaults);
          const data = await requireDataset(options.data, defaults, model);
          refuseMisfits(isIndex, images, options);
          if (world !== undefined) refuseUnshared(images, options);
          const score = options.out === undefined ? undefined : join(options.out, scoreFile);
          for (const file of [options.panel, options.npy, options.safetensors, score])
            if (file !== undefined) await output.expectAbsent(file, options.force);
          const choice: StoreChoice = { ...options, model, data };
          await warnOfPreprocessing(model, data, output);
          const queries = isIndex || options.score ? [] : await chooseQueries(images, data, options);
          const store = isIndex && options.force ? undefined : await findStore(choice);
          if (
            isIndex &&
            store !== undefined &&
            options.npy === undefined &&
            options.safetensors === undefined
          ) {
            throw new IlsvrcError('E0308', `${store.folder} is there already: ${describe(store)}`, {
              hint: 'it is up to date; make it again by --force',
            });
          }
          // What is only exported needs no net.
          const session =
            isIndex && store !== undefined ? undefined : await openSession(model, options, output);
          if (store === undefined && !isIndex)
            output.say('there is no store of features yet: building it first');
          const opened = store ?? (session && (await makeStore(choice, session, output, signal)));
          if (opened === undefined) return;
          if (isIndex) {
            // What other ranks had to do is done.
            if ((world?.rank ?? 0) === 0) await finishIndex(opened, options, output);
          } else if (session !== undefined && options.score) {
            const watch = { world, signal };
            await scoreAll(session, opened, { ...choice, k: options.k, out: options.out }, output, watch);
          } else if (session !== undefined) {
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
                world,
              },
              output,
              signal,
            );
          }
          opened.close();
          await output.finish();
        },
      ),
    );

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

/** What only one process can do: another rank has no standard input, and an index of its own would be built by each. */
function refuseUnshared(images: string[], { clipboard, engine }: Options): void {
  if (images.includes('-') || clipboard) throw notShared('`retrieve` of stdin or the clipboard');
  if (engine !== 'exact') throw notShared(`\`retrieve --engine ${engine}\``);
}

/** A store is made of photos as they were prepared; queries are photos as the model wants them. */
async function warnOfPreprocessing(model: string, data: string, output: Output): Promise<void> {
  const [{ preprocessing }, manifest] = [await readModel(model), await readManifest(data)];
  const found = { path: model, differences: differences(preprocessing, manifest.preprocessing) };
  warnOfDifferences(found, data, 'other neighbours may be found', output);
}

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
    ...(await machineOf(options)),
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
