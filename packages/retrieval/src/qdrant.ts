/** Search by a Qdrant server over its REST API (https://api.qdrant.tech): collections, points, query. */
import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Store } from '@ilsvrc/engine';
import { fingerprint, type Hit, type SearchEngine } from './engine.ts';

/** Where the server is. */
export interface QdrantOptions {
  /** As `http://127.0.0.1:6333`. */
  url: string;
  apiKey?: string | undefined;
  /** Milliseconds that one answer may take. @default 60000 */
  timeout?: number | undefined;
  /** Milliseconds before the first new try; the next ones wait twice as long each. @default 500 */
  patience?: number | undefined;
}

/** Numbers in a request: about 10 MB as JSON, a third of what a server takes by default. */
const numbersARequest = 1 << 20;
/** Tries of a request that the server could not take just now. */
const tries = 4;

/** Searches a collection that is named after what the store holds. */
export function qdrantEngine(store: Store, options: QdrantOptions): SearchEngine {
  const { count, dimension } = store.meta;
  const hash = createHash('sha256').update(fingerprint(store)).digest('hex').slice(0, 16);
  const collection = `/collections/ilsvrc-${hash}`;
  const ask = client(options);
  return {
    async build({ signal, onProgress } = {}) {
      const found = await ask<{ points_count?: number | null }>('GET', collection, undefined, {
        signal,
        absent: true,
      });
      if (found?.points_count === count) return false;
      // What an interrupted build left is not trusted.
      if (found !== undefined) await ask('DELETE', collection, undefined, { signal });
      const vectors = { size: dimension, distance: 'Euclid', datatype: 'float16', on_disk: true };
      await ask('PUT', collection, { vectors }, { signal });
      const batch = Math.max(1, Math.floor(numbersARequest / dimension));
      for (let first = 0; first < count; first += batch) {
        const rows = Math.min(batch, count - first);
        const values = await store.vectors(first, rows);
        const points = Array.from({ length: rows }, (_, row) => ({
          id: first + row,
          vector: Array.from(values.subarray(row * dimension, (row + 1) * dimension)),
        }));
        await ask('PUT', `${collection}/points?wait=true`, { points }, { signal });
        onProgress?.({ done: first + rows, total: count });
      }
      return true;
    },
    async search(queries, k) {
      if (k === 0) return [];
      const projected = await store.project(queries);
      const searches = Array.from({ length: projected.length / dimension }, (_, query) => ({
        query: Array.from(projected.subarray(query * dimension, (query + 1) * dimension)),
        limit: Math.min(k, count),
      }));
      const answers = await ask<unknown>('POST', `${collection}/points/query/batch`, { searches });
      const lists = hitsOf(answers, count);
      if (lists?.length === searches.length) return lists;
      throw failed(options.url, notUnderstood, JSON.stringify(answers).slice(0, 200));
    },
    close: async () => {},
  };
}

/** Hits of each query, where an answer has them and they are rows of the store. */
function hitsOf(answers: unknown, count: number): Hit[][] | undefined {
  if (!Array.isArray(answers)) return undefined;
  const lists: Hit[][] = [];
  for (const answer of answers) {
    const points: unknown = answer?.points;
    if (!Array.isArray(points)) return undefined;
    // The score of `Euclid` is the distance itself.
    const hits = points.map(({ id, score }): Hit => ({ row: id, distance: score ** 2 }));
    const isHit = ({ row, distance }: Hit) =>
      Number.isInteger(row) && row >= 0 && row < count && distance >= 0;
    if (!hits.every(isHit)) return undefined;
    lists.push(hits);
  }
  return lists;
}

const notUnderstood = 'gave an answer that is not understood';

function failed(url: string, what: string, info: string, cause?: unknown): IlsvrcError {
  return new IlsvrcError('E0706', `the Qdrant server at ${url} ${what}`, {
    info,
    hint: 'check the address (--server) and the key (QDRANT_API_KEY), or search here: `--engine exact`',
    cause,
  });
}

/** How a request is sent. */
interface Ask {
  signal?: AbortSignal | undefined;
  /** A 404 is an answer. */
  absent?: boolean;
}

/** Sends requests; the `result` of an answer, `undefined` for what is not there. */
function client({ url, apiKey, timeout = 60_000, patience = 500 }: QdrantOptions) {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (apiKey !== undefined) headers['api-key'] = apiKey;
  return async function ask<T>(
    method: string,
    path: string,
    body?: object,
    { signal, absent = false }: Ask = {},
  ): Promise<T | undefined> {
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      const limit = AbortSignal.timeout(timeout);
      let trouble: IlsvrcError;
      try {
        const response = await fetch(url.replace(/\/+$/, '') + path, {
          method,
          headers,
          body: body === undefined ? null : JSON.stringify(body),
          signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
          redirect: 'error',
        });
        const text = await response.text();
        if (response.ok) return resultOf<T>(text);
        if (absent && response.status === 404) return undefined;
        trouble = failed(url, `refused ${method} ${path}`, `${response.status}: ${reason(text)}`);
        // Too many requests, or trouble that may pass.
        if (response.status !== 429 && response.status < 500) throw trouble;
      } catch (cause) {
        signal?.throwIfAborted();
        if (cause instanceof IlsvrcError) throw cause;
        trouble = failed(
          url,
          limit.aborted ? `did not answer in ${timeout / 1000} s` : 'cannot be reached',
          why(cause),
          cause,
        );
      }
      if (attempt === tries) throw trouble;
      await setTimeout(patience * 2 ** (attempt - 1), undefined, { signal });
    }
  };

  function resultOf<T>(text: string): T {
    try {
      const { result } = JSON.parse(text) as { result?: T };
      if (result !== undefined) return result;
    } catch {}
    throw failed(url, notUnderstood, text.slice(0, 200));
  }
}

/** The server's own words. */
function reason(text: string): string {
  try {
    return String((JSON.parse(text) as { status: { error: string } }).status.error);
  } catch {
    return text.slice(0, 200);
  }
}

/** What the system said: `fetch` wraps it. */
function why(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return inner instanceof Error ? inner.message : String(inner);
}
