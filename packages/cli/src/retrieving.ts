/** Neighbours of queries: some at a time from photo to output, and the picture of the first ones. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import {
  type CountProgress,
  imageRows,
  type Neighbour,
  readJpegs,
  type Session,
  type Store,
  stopTogether,
  sumRanks,
  type World,
} from '@ilsvrc/engine';
import { formatDistance, type RetrievedRow, writeRetrieval } from '@ilsvrc/report';
import { neighboursOf, type SearchEngine } from '@ilsvrc/retrieval';
import { formatCount } from '@ilsvrc/terminal';
import { type CountedProgress, type Output, printError } from './output.ts';
import type { Query } from './queries.ts';

/** Queries that are searched for together. */
const queriesAPass = 32;
/** Rows of a picture. */
const mostRows = 24;

/** All that a search works with. */
export interface Search {
  session: Session;
  store: Store;
  engine: SearchEngine;
  queries: Query[];
  data: string;
  k: number;
  panel: string | undefined;
  verbose: boolean;
  /** Several ranks look at queries and search together; all are given the same. */
  world: World | undefined;
}

/** A query and what was found. */
interface Found {
  query: Query;
  /** Where this process has read it. */
  photo: Uint8Array | undefined;
  neighbours: Neighbour[];
}

/** Finds and prints the neighbours of all queries as they come; photos that cannot be used are told of at the end (E0212). */
export async function retrieve(search: Search, output: Output, signal: AbortSignal): Promise<void> {
  const { store, engine, queries, k, panel, world } = search;
  if (k > store.meta.count)
    output.say(`the store has ${formatCount(store.meta.count)} images: fewer than ${k}`);
  let progress: CountedProgress | undefined;
  const onProgress = ({ done, total }: CountProgress) => {
    progress ??= output.progress('indexing', 'images');
    progress.update(done, total);
  };
  await engine.build({ signal, onProgress }).finally(() => progress?.stop());
  const shown: Found[] = [];
  const documents: object[] = [];
  let failed = 0;
  for (let first = 0; first < queries.length; first += queriesAPass) {
    await stopTogether(world, signal);
    const { found, bad } = await searchSome(search, queries.slice(first, first + queriesAPass));
    failed += bad;
    for (const one of found) {
      if (output.isJson) documents.push(document(one, store));
      else show(one, store, output);
      if (panel !== undefined && shown.length < mostRows) shown.push(one);
    }
  }
  await engine.close();
  // Rank 0 has what all have found.
  if (world !== undefined && world.rank > 0) return;
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
  { session, engine, store, k, queries, verbose, world }: Search,
  some: Query[],
): Promise<{ found: Found[]; bad: number }> {
  const { rank, hosts } = world ?? { rank: 0, hosts: [''] };
  const elements = store.meta.source_dimension;
  const photos: (Uint8Array | undefined)[] = some.map(() => undefined);
  // The features of each query, and whether it has any; of several ranks each takes some queries.
  const own = new Float32Array(some.length * (elements + 1));
  const usable = some.length * elements;
  for (const [place, query] of some.entries()) {
    if (place % hosts.length !== rank) continue;
    try {
      const photo = await query.read();
      own.set(await embed(session, store, query, photo), place * elements);
      own[usable + place] = 1;
      photos[place] = photo;
    } catch (error) {
      if (!(error instanceof IlsvrcError) || queries.length === 1) throw error;
      printError(error, verbose);
    }
  }
  const all = world === undefined ? own : await sumRanks(own);
  const good = [...some.keys()].filter((place) => all[usable + place] === 1);
  const features = new Float32Array(good.length * elements);
  for (const [row, place] of good.entries()) {
    features.set(all.subarray(place * elements, (place + 1) * elements), row * elements);
  }
  const lists = good.length === 0 ? [] : await neighboursOf(store, await engine.search(features, k));
  const found = good.map(
    (place, row): Found => ({
      query: some[place] as Query,
      photo: photos[place],
      neighbours: lists[row] ?? [],
    }),
  );
  return { found, bad: some.length - good.length };
}

/** The features of a photo; an error names it. */
async function embed(
  session: Session,
  { meta }: Store,
  { name }: Query,
  photo: Uint8Array,
): Promise<Float32Array> {
  try {
    return (await session.embed([photo], { views: 1, layer: meta.layer })).data;
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
  const photos = await Promise.all(found.map(({ query, photo }) => photo ?? query.read()));
  let next = 0;
  return found.map(({ query, neighbours }, index) => ({
    query: {
      photo: photos[index] ?? new Uint8Array(),
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
