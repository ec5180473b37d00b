/** Approximate search in memory by usearch (a graph, HNSW, of half-precision vectors), an optional dependency. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { IlsvrcError, writeFailed } from '@ilsvrc/diagnostics';
import type { Store } from '@ilsvrc/engine';
import { fingerprint, type SearchEngine } from './engine.ts';

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

/** Searches an index that lies beside the store: `usearch.index`, and `usearch.json` that says of which store it is. */
export async function usearchEngine(store: Store): Promise<SearchEngine> {
  const { Index, MetricKind, ScalarKind } = await load();
  const { count, dimension } = store.meta;
  const path = join(store.folder, 'usearch.index');
  const label = join(store.folder, 'usearch.json');
  // Twice the usual effort: recall counts for more than time here.
  const index = new Index({
    dimensions: dimension,
    metric: MetricKind.L2sq,
    quantization: ScalarKind.F16,
    connectivity: 16,
    expansion_add: 128,
    expansion_search: 128,
    multi: false,
  });
  return {
    async build({ signal, onProgress } = {}) {
      if ((await readFile(label, 'utf8').catch(() => '')) === fingerprint(store)) {
        // A damaged file is made again like one that is not there.
        try {
          index.load(path);
          if (index.size() === count) return false;
        } catch {}
      }
      await rm(label, { force: true });
      for (let first = 0; first < count; first += batch) {
        signal?.throwIfAborted();
        const rows = Math.min(batch, count - first);
        const keys = BigUint64Array.from({ length: rows }, (_, row) => BigInt(first + row));
        index.add(keys, await store.vectors(first, rows));
        onProgress?.(first + rows, count);
        await setImmediate();
      }
      try {
        index.save(`${path}.tmp`);
        await rename(`${path}.tmp`, path);
        await writeFile(label, fingerprint(store), { flush: true });
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
      const matches = index.search(vectors, wanted, 0);
      return vectors.map((_, query) => {
        const { keys, distances } = matches.get(query);
        return Array.from(keys, (row, place) => ({ row: Number(row), distance: distances[place] ?? 0 }));
      });
    },
    close: async () => {},
  };
}
