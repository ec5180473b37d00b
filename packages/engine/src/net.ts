/** How a layer's parameters start and learn. */
export interface Learning {
  /** Standard deviation of the initial weights. */
  weight_std: number;
  /** Initial value of every bias. */
  bias: number;
  /** Multiplies the learning rate for the weights; 1 where absent. */
  weight_rate?: number | undefined;
  /** Multiplies the learning rate for the biases; 1 where absent. */
  bias_rate?: number | undefined;
  /** Weight decay; the training rule's where absent. */
  decay?: number | undefined;
}

/** Which towers' maps a layer reads; `own` where absent. */
type Reads = 'own' | 'both' | undefined;

/** Shape of a normalisation's window and its constants. */
interface Norm {
  size: number;
  k: number;
  alpha: number;
  beta: number;
}

/** A layer; `crates/network/src/description.rs` says what each computes. Filters and units are per tower. */
export type Layer =
  | {
      /** `local`: every output position has kernels and biases of its own. */
      type: 'conv' | 'local';
      name: string;
      filters: number;
      size: number;
      stride: number;
      pad: number;
      reads?: Reads;
      /** Whether a last window that hangs over the padded border counts (`ceil`); `ceil` where absent. */
      round?: 'ceil' | 'floor' | undefined;
      learning: Learning;
    }
  | {
      type: 'dense';
      name: string;
      units: number;
      reads?: Reads;
      /** Computed once, on tower 0, with `units` in all. */
      joined?: boolean | undefined;
      learning: Learning;
    }
  | { type: 'relu' | 'tanh' }
  | ({ type: 'lrn'; reads?: Reads } & Norm)
  | ({ type: 'map_norm' } & Norm)
  | { type: 'max_pool' | 'avg_pool'; size: number; stride: number }
  | { type: 'dropout'; rate: number };

/** The description of a network. */
export interface Net {
  name: string;
  /** Side of the prepared square images, px. */
  image: number;
  /** Side of the crops that the net sees, px. */
  crop: number;
  /** 1 or 2. */
  towers: number;
  layers: Layer[];
}

/** What a net holds and costs. */
export interface Summary {
  /** Images in a pass, for the memory. */
  batch: number;
  layers: LayerSummary[];
  totals: { neurons: number; parameters: number; connections: number };
  /** Bytes of all parameters. */
  parameters_bytes: number;
  /** Bytes of activations and gradients of a training pass, after sharing. */
  training_bytes: number;
  /** Bytes of activations of a forward pass, after sharing. */
  inference_bytes: number;
}

/** One layer of a summary. */
export interface LayerSummary {
  name: string;
  /** The layer's `type`. */
  kind: string;
  /** Towers that compute it. */
  towers: number;
  /** Output of one tower: `[rows, columns, maps]` or `[units]`. */
  shape: number[];
  neurons: number;
  parameters: number;
  /** Multiply-adds of one image, forward. */
  connections: number;
  memory_bytes: number;
}
