/** Neighbours of queries: some at a time from photo to output, and the picture of the first ones. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import {
  type CountProgress,
  imageRows,
  type Neighbour,
  readJpegs,
  type Session,
  type Store,
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
}

/** A query and what was found. */
interface Found {
  query: Query;
  photo: Uint8Array;
  neighbours: Neighbour[];
}

/** Finds and prints the neighbours of all queries as they come; photos that cannot be used are told of at the end (E0212). */
export async function retrieve(search: Search, output: Output, signal: AbortSignal): Promise<void> {
  const { store, engine, queries, k, panel } = search;
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
      read.push({ query, photo, features: await embed(session, store, query, photo) });
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
