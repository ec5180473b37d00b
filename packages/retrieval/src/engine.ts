/** What searches: one interface, whatever stands behind it. */
import type { CountProgress, Neighbour, Store } from '@ilsvrc/engine';

/** A row near a query. */
export interface Hit {
  /** Its number in the store. */
  row: number;
  /** Squared Euclidean distance, as exact as the engine is. */
  distance: number;
}

/** How building is watched and stopped. */
export interface BuildOptions {
  signal?: AbortSignal | undefined;
  /** Vectors added. */
  onProgress?: ((progress: CountProgress) => void) | undefined;
}

/** An engine for the vectors of one store. */
export interface SearchEngine {
  /** Takes the store's vectors in, unless it has them. Returns whether it did anything. */
  build(options?: BuildOptions): Promise<boolean>;
  /** The `k` nearest rows of each query, nearest first; queries are features of the layer, one after the other. */
  search(queries: Float32Array, k: number): Promise<Hit[][]>;
  /** Lets go of what it holds; the index stays. */
  close(): Promise<void>;
}

/** Who the rows are that an engine found. */
export async function neighboursOf(store: Store, lists: Hit[][]): Promise<Neighbour[][]> {
  const images = await store.images(lists.flat().map(({ row }) => row));
  let next = 0;
  return lists.map((list) =>
    list.map((hit) => {
      const image = images[next++];
      if (image === undefined) throw new RangeError(`row ${hit.row} has no image`);
      return { ...hit, ...image };
    }),
  );
}

/** Says which vectors an index holds: another store's are not searched by mistake. */
export function fingerprint({ meta }: Store): string {
  const { model, data, layer, split, count, dimension, precision, pca } = meta;
  return JSON.stringify({ model, data, layer, split, count, dimension, precision, pca });
}
