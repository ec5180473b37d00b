/** `retrieve --score`: what the neighbours of a whole split are worth, as a table and as files. */
import { join } from 'node:path';
import { imageRows, type Nearest, type Session, type Store, type World } from '@ilsvrc/engine';
import { csvLine, writeWhole } from '@ilsvrc/evaluator';
import { duplicates, type Quality, score } from '@ilsvrc/retrieval';
import { formatCount, formatPercent, shorten } from '@ilsvrc/terminal';
import { otherSplit, type StoreChoice } from './feature-store.ts';
import type { Output } from './output.ts';

/** Searches for all images of the other split, and prints and writes what that tells. */
export async function scoreAll(
  session: Session,
  store: Store,
  { data, split, k = 10, out }: StoreChoice & { k?: number | undefined; out?: string | undefined },
  output: Output,
  { world, signal }: { world: World | undefined; signal: AbortSignal },
): Promise<void> {
  const queries = otherSplit(split);
  const progress = output.progress('searching', 'images');
  const nearest = await session
    .nearest(
      store,
      { walk: { dataset: data, split: queries, views: 1, layer: store.meta.layer }, k },
      { signal, onProgress: ({ done, total }) => progress.update(done, total) },
    )
    .finally(() => progress.stop());
  // The others have searched, and rank 0 tells.
  if (world !== undefined && world.rank > 0) return;
  const result = await toScore(nearest, store, data, queries);
  if (out !== undefined) {
    await writeScore(out, result);
    output.say(`wrote ${out}/${scoreFile}, retrieval-per-class.csv and near-duplicates.csv`);
  }
  if (output.isJson) output.document(scoreDocument(result));
  else showScore(result, output);
}

/** The document of `--json`, and `retrieval.json`. */
type ScoreResult = Awaited<ReturnType<typeof toScore>>;

/** The result's file, in the folder of `--out`. */
export const scoreFile = 'retrieval.json';

/** Pairs in the document; all are in the file. */
const pairsShown = 1000;

/** Scores the nearest rows of each image of `split`. */
async function toScore(nearest: Nearest, store: Store, data: string, split: string) {
  const queries = await imageRows({ dataset: data, split, numbers: null });
  const classes = store.meta.classes;
  const { all, byClass } = score(
    { nearest, queries: queries.map((row) => row.class), rows: await store.classes() },
    classes.length,
  );
  const pairs = duplicates(nearest);
  const images = await store.images(pairs.map(({ row }) => row));
  return {
    version: 1,
    data,
    split,
    store: store.folder,
    images: nearest.images,
    neighbours: nearest.k,
    ...named(all),
    per_class: byClass.map((quality, index) => ({
      wnid: classes[index]?.wnid ?? String(index),
      name: classes[index]?.name ?? String(index),
      queries: quality.queries,
      ...named(quality),
    })),
    near_duplicates: pairs.map(({ query, row, distance }, index) => ({
      query: queries[query]?.path ?? String(query),
      file: images[index]?.path ?? String(row),
      distance,
    })),
    images_per_second: nearest.images / nearest.seconds,
  };
}

function named({ precision, map }: Quality) {
  return { precision_1: precision[1], precision_5: precision[5], precision_10: precision[10], map };
}

/** A table of all classes together and of each, the worst first; a narrow terminal has the first and the last figure of each. */
function showScore(result: ScoreResult, output: Output): void {
  const share = (value: number | null) => (value === null ? '' : formatPercent(value));
  const wide = output.width >= 72;
  const room = Math.max(output.width - (wide ? 48 : 22), 9);
  const row = (name: string, queries: number, quality: ReturnType<typeof named>) => [
    shorten(name, room),
    ...(wide ? [formatCount(queries)] : []),
    share(quality.precision_1),
    ...(wide ? [share(quality.precision_5), share(quality.precision_10)] : []),
    share(quality.map),
  ];
  const classes = result.per_class
    .filter(({ queries }) => queries > 0)
    .sort((a, b) => (a.precision_1 ?? 0) - (b.precision_1 ?? 0));
  output.table(
    ['', ...(wide ? ['queries'] : []), 'p@1', ...(wide ? ['p@5', 'p@10'] : []), `mAP@${result.neighbours}`],
    [
      row('all', result.images, result),
      ...classes.slice(0, 20).map((entry) => row(entry.name, entry.queries, entry)),
    ],
  );
  if (classes.length > 20) output.data(`and ${classes.length - 20} classes with more; --out writes all`);
  const { near_duplicates: pairs } = result;
  if (pairs.length === 0) {
    output.data(`no near-duplicates between ${result.split} and the store`);
    return;
  }
  const found = pairs.length === 1 ? '1 near-duplicate' : `${formatCount(pairs.length)} near-duplicates`;
  output.data(`${found} between ${result.split} and the store:`);
  for (const { query, file, distance } of pairs.slice(0, 10)) {
    output.data(`  ${query} = ${file} (${distance.toPrecision(3)})`);
  }
  if (pairs.length > 10) output.data('  …; --out or --json tell all');
}

/** What `--json` prints: the document, with at most a thousand pairs. */
function scoreDocument(result: ScoreResult) {
  const pairs = result.near_duplicates;
  return { ...result, near_duplicates: pairs.slice(0, pairsShown), near_duplicates_found: pairs.length };
}

/** Writes `retrieval.json`, `retrieval-per-class.csv` and `near-duplicates.csv`. */
async function writeScore(folder: string, result: ScoreResult): Promise<void> {
  const perClass = [
    ['wnid', 'name', 'queries', 'precision_1', 'precision_5', 'precision_10', 'map'],
    ...result.per_class.map((it) => [
      it.wnid,
      it.name,
      it.queries,
      it.precision_1,
      it.precision_5,
      it.precision_10,
      it.map,
    ]),
  ];
  const pairs = [
    ['query', 'file', 'distance'],
    ...result.near_duplicates.map(({ query, file, distance }) => [query, file, distance]),
  ];
  await writeWhole(join(folder, scoreFile), `${JSON.stringify(result, null, 2)}\n`);
  await writeWhole(
    join(folder, 'retrieval-per-class.csv'),
    perClass.map((row) => `${csvLine(row)}\r\n`).join(''),
  );
  await writeWhole(join(folder, 'near-duplicates.csv'), pairs.map((row) => `${csvLine(row)}\r\n`).join(''));
}
