/** Words that presets are written in. */
import type { Layer, Learning } from './net.ts';

type ConvLayer = Extract<Layer, { type: 'conv' }>;
type LocalLayer = Extract<Layer, { type: 'local' }>;
type DenseLayer = Extract<Layer, { type: 'dense' }>;

/** Initial weights N(0, std), a constant bias, the recipe's rates unless named. */
export const learning = (weight_std: number, bias = 0, rest: Partial<Learning> = {}): Learning => ({
  weight_std,
  bias,
  weight_rate: 1,
  bias_rate: 1,
  ...rest,
});

/** `[size, stride, pad]` as the papers write them. */
export const conv = (
  name: string,
  filters: number,
  [size, stride, pad]: [number, number, number],
  how: Learning,
  reads: 'own' | 'both' = 'own',
): ConvLayer => ({ type: 'conv', name, filters, size, stride, pad, reads, learning: how });

/** A locally connected layer: `conv` with kernels and biases for each output position. */
export const local = (
  name: string,
  filters: number,
  [size, stride, pad]: [number, number, number],
  how: Learning,
): LocalLayer => ({ type: 'local', name, filters, size, stride, pad, reads: 'own', learning: how });

/** A fully connected layer; `units` per tower. */
export const dense = (
  name: string,
  units: number,
  how: Learning,
  reads: 'own' | 'both' = 'own',
): DenseLayer => ({ type: 'dense', name, units, reads, joined: false, learning: how });

/** The last layer of a two-tower net: computed once, from both towers. */
export const joined = (name: string, units: number, how: Learning): DenseLayer => ({
  ...dense(name, units, how, 'both'),
  joined: true,
});

export const relu: Layer = { type: 'relu' };
export const tanh: Layer = { type: 'tanh' };
export const dropout: Layer = { type: 'dropout', rate: 0.5 };
/** The paper's normalisation: k = 2, n = 5, alpha = 1e-4, beta = 0.75. */
export const lrn: Layer = { type: 'lrn', size: 5, k: 2, alpha: 1e-4, beta: 0.75 };
export const maxPool = (size: number, stride: number): Layer => ({ type: 'max_pool', size, stride });
export const avgPool = (size: number, stride: number): Layer => ({ type: 'avg_pool', size, stride });
/** Overlapping pooling: windows of 3, a step of 2. */
export const overlapping = maxPool(3, 2);
