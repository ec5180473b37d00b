/** Stores of features on the disk, and exact nearest neighbours in them. */
import { type JobOptions, type Outcome, run } from './jobs.ts';
import { type Event, type NativeStore, native } from './native.ts';

/** Where the features of a store come from; a store that says something else is stale. */
export interface StoreOrigin {
  walk: { dataset: string; split: string; views: 1; layer: string };
  /** The model file's checksum. */
  model: string;
  /** How the model's photos were prepared, as its file says. */
  preprocessing: unknown;
}

/** A store to be written. */
export interface IndexRequest extends StoreOrigin {
  /** The folder; a store that is there is replaced when the new one is whole. */
  store: string;
  /** Full values as the net computes them, or half of the disk and three digits. */
  precision: 'f32' | 'f16';
  /** Principal components that features are projected on; `null` for the features themselves. */
  components: number | null;
}

/** What a store says of itself. */
export interface StoreMeta {
  version: number;
  /** Vectors. */
  count: number;
  /** Elements of a vector as it is stored, and of the layer: of a query. */
  dimension: number;
  source_dimension: number;
  /** Bytes of a row of `vectors.u8`. */
  stride: number;
  precision: 'f32' | 'f16';
  /** Of principal components: vectors that they were computed from, and the share of the variance that they keep. */
  pca: { sample: number; explained: number } | null;
  layer: string;
  split: string;
  model: string;
  data: string;
  classes: { wnid: string; name: string }[];
}

/** An image in a store. */
export interface StoredImage {
  /** Name of its members in the shard, without the ending. */
  key: string;
  /** The photo that it was made of, as the source names it. */
  path: string;
  /** The number of its class. */
  class: number;
}

/** A row near a query. */
export interface Neighbour extends StoredImage {
  /** Its number in the split. */
  row: number;
  /** Squared Euclidean distance. */
  distance: number;
}

/** The nearest rows of each image of a split. */
export interface Nearest {
  images: number;
  /** Neighbours of each: as many as asked for, or the store's rows. */
  k: number;
  /** `images x k`, nearest first. */
  rows: Uint32Array;
  /** Squared, `images x k`. */
  distances: Float32Array;
  seconds: number;
}

/** An open store. Its files are mapped: they do not take memory of this process. */
export class Store {
  /** For a session's `nearest`. */
  readonly native: NativeStore;
  readonly folder: string;
  readonly meta: StoreMeta;

  private constructor(store: NativeStore, folder: string, meta: StoreMeta) {
    this.native = store;
    this.folder = folder;
    this.meta = meta;
  }

  /**
   * Opens a folder; `undefined` where there is nothing, or an empty one. Rejects with E0701 to E0703 where it is not a whole
   * store of this version, with E0704 where its origin is not `origin`.
   */
  static async open(folder: string, origin?: StoreOrigin): Promise<Store | undefined> {
    const store = new native.NativeStore();
    const expected = origin === undefined ? undefined : JSON.stringify(origin);
    const { payload } = await run<StoreMeta | null>((emit) => store.open(folder, expected, emit));
    return payload === null ? undefined : new Store(store, folder, payload);
  }

  /**
   * The `k` nearest rows of each query, exactly; queries are features of the layer, one after the other. Of several ranks each
   * searches a part of the store; all are given the same queries, and find the same.
   */
  async search(queries: Float32Array, k: number): Promise<Neighbour[][]> {
    return (await run<Neighbour[][]>((emit) => this.native.search(queries, k, emit))).payload;
  }

  /** `count` full vectors from `first` on, `count x dimension`. */
  async vectors(first: number, count: number): Promise<Float32Array> {
    return (await run((emit) => this.native.vectors(first, count, emit))).data;
  }

  /** Queries in the store's own dimension: projected on its components, where it has any. */
  async project(queries: Float32Array): Promise<Float32Array> {
    return (await run((emit) => this.native.project(queries, emit))).data;
  }

  /** Who rows are, in the order asked for. */
  async images(rows: number[]): Promise<StoredImage[]> {
    return (await run<StoredImage[]>((emit) => this.native.ids(rows, emit))).payload;
  }

  /** The class of each row. */
  async classes(): Promise<Uint32Array> {
    return (await run((emit) => this.native.classes(emit))).labels;
  }

  /** Writes all full vectors for other programs; safetensors has `labels` beside the `features`. */
  async export(format: 'npy' | 'safetensors', path: string): Promise<void> {
    await run((emit) => this.native.export(format, path, emit));
  }

  /** Lets go of the files. */
  close(): void {
    this.native.close();
  }
}

/** What {@link Session.index} and {@link Session.nearest} need of a native session. */
interface Walker {
  index(request: string, emit: (event: Event) => void): ReturnType<NativeStore['search']>;
  nearest(
    store: NativeStore,
    request: string,
    emit: (event: Event) => void,
  ): ReturnType<NativeStore['search']>;
}

/** Progress of a walk over a split, in images. */
type Watch = JobOptions<{ done: number; total: number }>;

/** See {@link Session.index}. */
export async function index(
  session: Walker,
  request: IndexRequest,
  options: Watch,
): Promise<StoreMeta & { seconds: number }> {
  const start = (emit: (event: Event) => void) => session.index(JSON.stringify(request), emit);
  return (await run<StoreMeta & { seconds: number }, { done: number; total: number }>(start, options))
    .payload;
}

/** See {@link Session.nearest}. */
export async function nearest(
  session: Walker,
  store: Store,
  request: { walk: StoreOrigin['walk']; k: number },
  options: Watch,
): Promise<Nearest> {
  const start = (emit: (event: Event) => void) =>
    session.nearest(store.native, JSON.stringify(request), emit);
  const { payload, data, labels }: Outcome<Omit<Nearest, 'rows' | 'distances'>> = await run(start, options);
  return { ...payload, rows: labels, distances: data };
}
