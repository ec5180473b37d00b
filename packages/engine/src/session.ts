/** A net at work: training, evaluation, classification, and its files. */
import type { Views } from './images.ts';
import { type JobOptions, type Outcome, run } from './jobs.ts';
import { type Event, type NativeSession, native } from './native.ts';
import type { Net } from './net.ts';
import {
  type IndexRequest,
  index,
  type Nearest,
  nearest,
  type Store,
  type StoreMeta,
  type StoreOrigin,
} from './store.ts';

/** How numbers are multiplied on a GPU; sums are f32 always, and a CPU computes in f32. */
export type Precision = 'bf16' | 'tf32' | 'f32';

/** What computes. */
export interface Machine {
  /**
   * Where towers live: `cpu` (a thread pool) or a GPU's number, one for both towers or one for each; or `['auto']`: the
   * GPUs that can be used, at most one a tower, the CPU where there are none. A multiple of as many places as towers has room for
   * several replicas of the net, which share every batch.
   * @default ['auto']
   */
  places?: string[] | undefined;
  /** @default 'bf16' */
  precision?: Precision | undefined;
  /**
   * Compute threads of the CPU, and decode threads; 0 for one a core. Results do not depend on it.
   * @default 0
   */
  threads?: number | undefined;
}

/**
 * How the images of an epoch are shuffled: all together, or the shards, and the images of so many consecutive ones
 * together, which reads shards from end to end.
 */
export type Shuffle = 'full' | { window: number };

/** The most memory that decoded images take: half of what is available, or so many bytes of it. */
export type CacheLimit = 'ram' | { bytes: number };

/** How a session is opened. */
export interface SessionOptions extends Machine {
  net: Net;
  /** Images of a training step, and the most (or views of images) in a pass for inference. */
  batch: number;
  /**
   * Draws initial weights, the order of images, augmentation and dropout.
   * @default 0
   */
  seed?: number | undefined;
  /** `inference` needs less memory. */
  use: 'training' | 'inference';
  /** Keeps decoded images of the data set in this folder, so that later epochs neither read nor decode them. */
  cache?: { dataset: string; limit: CacheLimit } | undefined;
}

/** Where the towers of a session live. */
export interface Layout {
  /** Replica by replica. */
  places: Place[];
  /**
   * How towers reach each other's maps: `none` in a net of one tower, the `memory` of the CPU, on the `same device` where
   * both live on one GPU, by copies from GPU to GPU (`peer`), or by way of the `host` between GPUs that do not reach each other.
   */
  exchange: 'none' | 'memory' | 'same device' | 'peer' | 'host';
  /** That of the device: `f32` on a CPU, whatever was asked for. */
  precision: Precision;
  /** Why `auto` found fewer GPUs than towers, where a GPU or its driver cannot be used. */
  notice: string | null;
  /**
   * Where several ranks, or replicas of this process, train on GPUs: the GPUs of each, and the version of NCCL that sums their
   * gradients; or, where they go through the host's memory, why. `null` for one replica, on CPUs and for evaluation.
   */
  among: { gpus: number[][]; nccl: string | null; reason: string | null } | null;
  /** Images of the data set that the cache holds at most, those of all its splits, and the bytes; `null` without a cache. */
  cache: { images: number; of: number; bytes: number } | null;
}

/** A place and the towers in it. */
export interface Place {
  /** `cpu` or the number of a GPU. */
  name: string;
  /** What it is, as `AVX-512, 2 threads` or the GPU's name. */
  device: string;
  /** The replica of the net that is there, from 0. */
  replica: number;
  /** The towers of it that live there. */
  towers: number[];
}

/** Which steps to train, and how. */
export interface TrainRequest {
  /** Folder of the prepared data set. */
  dataset: string;
  split: string;
  /** From 0; decides the order and the augmentation of images. */
  epoch: number;
  /** From 0, within the epoch. */
  first_step: number;
  /** Fewer are made where the epoch ends before. */
  steps: number;
  /** Learning rate, momentum and weight decay. */
  rule: { rate: number; momentum: number; decay: number };
  /** Trains on the first so many images of the split; default: all. */
  images?: number | undefined;
  /** Steps of the epochs before; default: each had as many as this one. */
  steps_before?: number | undefined;
  /** Default: `full`. */
  shuffle?: Shuffle | undefined;
  /** Mirror every second image. */
  mirror: boolean;
  /** Standard deviation of the colour noise in units of the principal components; 0 for none. */
  colour_noise: number;
}

/** How training is watched and stopped. */
export interface TrainWatch {
  signal?: AbortSignal | undefined;
  onStep?: ((step: TrainStep) => void) | undefined;
}

/** A step that was made. */
export interface TrainStep {
  epoch: number;
  /** From 0, within the epoch. */
  step: number;
  /** Steps since the start of training. */
  global_step: number;
  /** Mean cross-entropy of the batch before the step, in nats. */
  loss: number;
  images: number;
  images_per_second: number;
}

/** What was trained. */
export interface TrainReport {
  /** Steps made. */
  steps: number;
  /** There are fewer steps because the signal was aborted. */
  stopped: boolean;
  images: number;
  /** Mean cross-entropy an image. */
  loss: number;
  /** Share of wrong guesses, with dropout and augmentation on. */
  top1_error: number;
  seconds: number;
  images_per_second: number;
  /** Share of the time that each stage was busy, 0 to 1, in this epoch from where this session entered it. */
  stages: { read: number; decode: number; copy: number; train: number };
  /** The stage that held the others back, likewise. */
  limiting_stage: 'read' | 'decode' | 'train';
  /** What that stage would reach if it never waited for another; on a CPU, beside the work of the others. */
  ceiling_images_per_second: number;
  /** What went to other ranks since this process joined them. */
  traffic: { calls: number; bytes: number; seconds: number } | null;
}

/** What to evaluate. */
export interface EvaluateRequest {
  dataset: string;
  split: string;
  /** Views averaged for an image. */
  views: Views;
}

/** Probabilities of a split. */
export interface EvaluateReport {
  images: number;
  classes: number;
  /** `images x classes`, the mean over the views. */
  probabilities: Float32Array;
  /** The true class of each image. */
  labels: Uint32Array;
  /** Mean cross-entropy in nats; `null` where it is infinite or undefined. */
  loss: number | null;
  seconds: number;
}

/** Which features of a split, and in which views. */
export interface FeaturesRequest extends EvaluateRequest {
  /**
   * The layer that makes them: of `alexnet` `fc7` (behind its ReLU, scaled as dropout is at test) or `conv5` (behind its pool; at
   * each position the maps of tower 0, then those of tower 1). E0411 names what a net keeps.
   */
  layer: string;
}

/** Features of a split. */
export interface FeaturesReport {
  images: number;
  views: number;
  /** Values an image and view. */
  elements: number;
  /** `images x views x elements`, in the split's order. */
  data: Float32Array;
  /** The class of each image in the data set. */
  labels: Uint32Array;
  seconds: number;
}

/** Features of photos. */
export interface Embedded {
  /** Values a photo and view. */
  elements: number;
  /** `photos x views x elements`. */
  data: Float32Array;
  photos: PlacedPhoto[];
}

/** A photo, and where it is in its square: `(place in the photo - offset) * scale`, x first, in pixels. */
export interface PlacedPhoto {
  /** After it was turned, as the model's images were. */
  width: number;
  height: number;
  offset: [x: number, y: number];
  scale: [x: number, y: number];
}

/** What a box head learns from, and how. */
export interface BoxRequest extends EvaluateRequest {
  /** A box for each class instead of one for all; the data set then has the model's classes. */
  per_class: boolean;
  /** Views of images a step. */
  batch: number;
  /** Passes over them; `null` for as many as make about 2000 steps. */
  epochs: number | null;
  /** Learning rate of the first step; it falls to 0. */
  rate: number;
  seed: number;
}

/** How far a head is: images that went through the net, those of which windows did, then epochs with their mean loss. */
export type BoxProgress =
  | { event: 'features' | 'windows'; done: number; total: number }
  | { event: 'epoch'; done: number; total: number; loss: number };

/** What a box head belongs to and how it was made. */
export interface HeadRecord {
  /** Checksum of the model. */
  model: string;
  /** The layer whose output it reads. */
  layer: string;
  views: number;
  /** Windows of other sizes beside them, where there are few images. */
  windows: number;
  per_class: boolean;
  /** WNIDs of the data set that it learned from. */
  classes: string[];
  data: string;
  /** Images that it learned from, and those that have boxes: more where their features did not fit into memory. */
  images: number;
  boxed: number;
  /** Half the squared distance of the edges, in standard deviations: the mean of the last epoch. */
  loss: number;
  fit: { batch: number; epochs: number; rate: number; seed: number };
}

/** How to look for objects. */
export interface LocateRequest {
  /** The head's boxes, or those of covering parts of the image. */
  method: 'boxes' | 'occlusion';
  views: 1 | 10;
  /** Guesses an image. */
  top: number;
  /** Where the files are images of a data set: how it made photos square, and of each the photo's size and the class as the model numbers it. */
  prepared?: {
    resize: 'crop' | 'warp';
    sources: [width: number, height: number][];
    given: (number | null)[];
  };
}

/** What is where in a photo, in its pixels after it was turned. */
export interface LocatedPhoto {
  width: number;
  height: number;
  /** The likeliest first. */
  guesses: {
    class: number;
    probability: number;
    box: [left: number, top: number, right: number, bottom: number];
  }[];
  /** The box for the class that is given; where none is, for the likeliest. */
  known: [left: number, top: number, right: number, bottom: number];
}

/** A parameter's values; weights in the order output, input, row, column. */
export interface ParameterValues {
  shape: number[];
  data: Float32Array;
}

/** Strings that a model file carries: `net`, `classes`, `preprocessing`, `training`, each JSON. */
export type Metadata = Record<string, string>;

/** A net at work on a native thread. Calls made at the same time wait for each other. */
export class Session {
  readonly #native: NativeSession;
  /** Where its towers live. */
  readonly layout: Layout;

  private constructor(session: NativeSession, layout: Layout) {
    this.#native = session;
    this.layout = layout;
  }

  /** Plans the net, allocates its memory and draws the initial weights. */
  static async open(options: SessionOptions): Promise<Session> {
    const session = new native.NativeSession();
    const { places = ['auto'], precision = 'bf16', threads = 0, seed = 0 } = options;
    const request = JSON.stringify({ ...options, places, precision, threads, seed });
    const { payload } = await run<Layout>((emit) => session.open(request, emit));
    return new Session(session, payload);
  }

  /**
   * Trains some steps. An aborted signal does not reject: the step under way is finished and the report says `stopped`,
   * so that a checkpoint can be saved. Rejects with E0403 when the loss is not finite, before the weights change by it.
   */
  async train(request: TrainRequest, { signal, onStep }: TrainWatch = {}): Promise<TrainReport> {
    const start = (emit: (event: Event) => void) => this.#native.train(JSON.stringify(request), emit);
    return (await run<TrainReport, TrainStep>(start, { signal, onProgress: onStep })).payload;
  }

  /** Evaluates a split with the model's own mean image. */
  async evaluate(
    request: EvaluateRequest,
    options: JobOptions<{ done: number; total: number }> = {},
  ): Promise<EvaluateReport> {
    const start = (emit: (event: Event) => void) => this.#native.evaluate(JSON.stringify(request), emit);
    const { payload, data, labels }: Outcome<Omit<EvaluateReport, 'probabilities' | 'labels'>> = await run(
      start,
      options,
    );
    return { ...payload, probabilities: data, labels };
  }

  /** Probabilities of JPEG files of any size, `files x classes`; needs a model loaded. */
  async classify(files: Uint8Array[], request: { views: Views }): Promise<Float32Array> {
    return (await run((emit) => this.#native.classify(files, JSON.stringify(request), emit))).data;
  }

  /** Features of a split; its classes need not be the model's. */
  async features(
    request: FeaturesRequest,
    options: JobOptions<{ done: number; total: number }> = {},
  ): Promise<FeaturesReport> {
    const start = (emit: (event: Event) => void) => this.#native.features(JSON.stringify(request), emit);
    const { payload, data, labels }: Outcome<Omit<FeaturesReport, 'data' | 'labels'>> = await run(
      start,
      options,
    );
    return { ...payload, data, labels };
  }

  /** Features of photos of any size, in each view; needs a model loaded. */
  async embed(files: Uint8Array[], request: { views: Views; layer: string }): Promise<Embedded> {
    const { payload, data }: Outcome<Omit<Embedded, 'data'>> = await run((emit) =>
      this.#native.embed(files, JSON.stringify(request), emit),
    );
    return { ...payload, data };
  }

  /**
   * Writes the features of a split into a store, batch by batch; a store that is there is replaced when the new one is whole.
   * E0705 where features are not finite or there are too few for the components, E0709 while another process writes there. Of
   * several ranks all make features, and rank 0 alone writes.
   */
  index(
    request: IndexRequest,
    options: JobOptions<{ done: number; total: number }> = {},
  ): Promise<StoreMeta & { seconds: number }> {
    return index(this.#native, request, options);
  }

  /** The nearest rows of a store for each image of a split, in the split's order; features do not leave the engine. */
  nearest(
    store: Store,
    request: { walk: StoreOrigin['walk']; k: number },
    options: JobOptions<{ done: number; total: number }> = {},
  ): Promise<Nearest> {
    return nearest(this.#native, store, request, options);
  }

  /**
   * Trains a box head for the loaded model and keeps it. Of several ranks all make features, and rank 0 alone learns: the others get
   * `undefined`.
   */
  async fitBoxes(
    request: BoxRequest,
    options: JobOptions<BoxProgress> = {},
  ): Promise<HeadRecord | undefined> {
    const start = (emit: (event: Event) => void) => this.#native.fitBoxes(JSON.stringify(request), emit);
    return (await run<HeadRecord | null, BoxProgress>(start, options)).payload ?? undefined;
  }

  /** Writes the head; whole or not at all. */
  async saveHead(path: string): Promise<void> {
    await run((emit) => this.#native.saveHead(path, emit));
  }

  /** Reads a head of the loaded model; that of another is refused with E0511. */
  async loadHead(path: string): Promise<HeadRecord> {
    return (await run<HeadRecord>((emit) => this.#native.loadHead(path, emit))).payload;
  }

  /** Classes and boxes of image files of any size; needs a model loaded, and its head for `boxes`. */
  async locate(
    files: Uint8Array[],
    request: LocateRequest,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<LocatedPhoto[]> {
    const start = (emit: (event: Event) => void) => this.#native.locate(files, JSON.stringify(request), emit);
    return (await run<LocatedPhoto[]>(start, { signal })).payload;
  }

  /** Writes weights, mean image and metadata; whole or not at all. */
  async saveModel(path: string, metadata: Metadata): Promise<void> {
    await run((emit) => this.#native.saveModel(path, JSON.stringify(metadata), emit));
  }

  /** The same with the velocities: all that training needs to go on with the same bits. */
  async saveCheckpoint(path: string, metadata: Metadata): Promise<void> {
    await run((emit) => this.#native.saveCheckpoint(path, JSON.stringify(metadata), emit));
  }

  /** Takes the weights and the mean image of a file. The session is unchanged when this fails. */
  async loadModel(path: string): Promise<Metadata> {
    return (await run<Metadata>((emit) => this.#native.loadModel(path, emit))).payload;
  }

  /** The same with the velocities. */
  async loadCheckpoint(path: string): Promise<Metadata> {
    return (await run<Metadata>((emit) => this.#native.loadCheckpoint(path, emit))).payload;
  }

  /** A parameter by its name in model files, as `tower0.conv1.weight`. */
  async parameter(name: string): Promise<ParameterValues> {
    const { payload, data }: Outcome<{ shape: number[] }> = await run((emit) =>
      this.#native.parameter(name, emit),
    );
    return { shape: payload.shape, data };
  }
}
