/** Approximate search in memory by usearch (a graph, HNSW, of half-precision vectors), an optional dependency. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { IlsvrcError, writeFailed } from '@ilsvrc/diagnostics';
import type { Store } from '@ilsvrc/engine';
import { fingerprint, type Hit, type SearchEngine } from './engine.ts';

/** Vectors added in one call, which blocks the event loop. */
const batch = 256;

/** usearch, or how to get it. */
async function load() {
  try {
    return await import('usearch');
  } catch (cause) {
    throw new IlsvrcError('E0707', 'usearch is not installed here', {
      info: cause instanceof Error ? cause.message.split('\n')[0] : String(cause),
      hint: 'install it (`npm install usearch`), or search exactly: `--engine exact`',
      cause,
    });
  }
}

/**
 * Of which store an index is, and its hash: usearch ends the process where it loads a file that is damaged.
 * An index that is not there, or cannot be read, has the hash of what was read.
 */
async function labelOf(store: Store, path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(part);
  } catch {}
  return JSON.stringify({ version: 1, store: fingerprint(store), sha256: hash.digest('hex') });
}

/** Rows and distances of one query. */
function hits({ keys, distances }: { keys: BigUint64Array; distances: Float32Array }): Hit[] {
  return Array.from(keys, (row, place) => ({ row: Number(row), distance: distances[place] ?? 0 }));
}

/** Searches an index that lies beside the store: `usearch.index`, and `usearch.json` that says of which store it is. */
export async function usearchEngine(store: Store): Promise<SearchEngine> {
  const { Index, MetricKind, ScalarKind } = await load();
  const { count, dimension } = store.meta;
  const path = join(store.folder, 'usearch.index');
  const label = join(store.folder, 'usearch.json');
  // Twice the usual effort: recall counts for more than time here.
  const empty = () =>
    new Index({
      dimensions: dimension,
      metric: MetricKind.L2sq,
      quantization: ScalarKind.F16,
      connectivity: 16,
      expansion_add: 128,
      expansion_search: 128,
      multi: false,
    });
  let index = empty();
  return {
    async build({ signal, onProgress } = {}) {
      if ((await readFile(label, 'utf8').catch(() => '')) === (await labelOf(store, path))) {
        index.load(path);
        return false;
      }
      await rm(label, { force: true });
      index = empty();
      for (let first = 0; first < count; first += batch) {
        signal?.throwIfAborted();
        const rows = Math.min(batch, count - first);
        const keys = BigUint64Array.from({ length: rows }, (_, row) => BigInt(first + row));
        index.add(keys, await store.vectors(first, rows));
        onProgress?.({ done: first + rows, total: count });
        await setImmediate();
      }
      try {
        index.save(`${path}.tmp`);
        await rename(`${path}.tmp`, path);
        await writeFile(label, await labelOf(store, path), { flush: true });
      } catch (cause) {
        await rm(`${path}.tmp`, { force: true });
        throw writeFailed(path, cause);
      }
      return true;
    },
    async search(queries, k) {
      const wanted = Math.min(k, count);
      if (wanted === 0 || queries.length === 0) return [];
      const projected = await store.project(queries);
      const vectors = Array.from({ length: projected.length / dimension }, (_, query) =>
        projected.subarray(query * dimension, (query + 1) * dimension),
      );
      // One query is answered in another form than several.
      const [only] = vectors;
      if (only !== undefined && vectors.length === 1) return [hits(index.search(only, wanted, 0))];
      const matches = index.search(vectors, wanted, 0);
      return vectors.map((_, query) => hits(matches.get(query)));
    },
    close: async () => {},
  };
}
