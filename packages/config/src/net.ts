/** The description of a net: what a preset holds, what `ilsvrc.config.ts` may hold, what a model file carries. */
import * as v from 'valibot';

const count = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_536));
const real = v.pipe(v.number(), v.finite());
const name = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9_-]*$/, 'lower-case letters, digits, - and _'));
const reads = v.optional(v.picklist(['own', 'both']), 'own');

const learning = v.strictObject({
  weight_std: v.pipe(real, v.minValue(0)),
  bias: real,
  weight_rate: v.optional(v.pipe(real, v.minValue(0)), 1),
  bias_rate: v.optional(v.pipe(real, v.minValue(0)), 1),
  decay: v.optional(v.pipe(real, v.minValue(0))),
});

const windowed = { size: count, stride: count };
const pad = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(64));
/** `floor`: a window that does not end within the padded input is left out; default `ceil`. */
const round = v.optional(v.picklist(['ceil', 'floor']));
const norm = { size: count, k: real, alpha: real, beta: real };

const layer = v.variant('type', [
  v.strictObject({
    type: v.literal('conv'),
    name,
    filters: count,
    ...windowed,
    pad,
    reads,
    round,
    learning,
  }),
  v.strictObject({
    // As `conv`, but every output position has kernels and biases of its own.
    type: v.literal('local'),
    name,
    filters: count,
    ...windowed,
    pad,
    reads,
    round,
    learning,
  }),
  v.strictObject({
    type: v.literal('dense'),
    name,
    units: count,
    reads,
    joined: v.optional(v.boolean(), false),
    learning,
  }),
  v.strictObject({ type: v.literal('relu') }),
  v.strictObject({ type: v.literal('tanh') }),
  // Whose maps are neighbours; default `own`.
  v.strictObject({ type: v.literal('lrn'), ...norm, reads: v.optional(v.picklist(['own', 'both'])) }),
  v.strictObject({ type: v.literal('map_norm'), ...norm }),
  v.strictObject({ type: v.literal('max_pool'), ...windowed }),
  v.strictObject({ type: v.literal('avg_pool'), ...windowed }),
  v.strictObject({ type: v.literal('dropout'), rate: v.pipe(real, v.minValue(0), v.maxValue(0.99)) }),
]);

/** Checks a description; shapes are checked by the engine, which knows them. */
export const netSchema = v.strictObject({
  name,
  image: count,
  crop: count,
  towers: v.picklist([1, 2]),
  layers: v.pipe(v.array(layer), v.minLength(1), v.maxLength(256)),
});

/** A net: filters and units are counted per tower; `image` is the side of prepared photos, `crop` what the net sees. */
export type Net = v.InferOutput<typeof netSchema>;
/** One layer of a net. */
export type Layer = Net['layers'][number];
/** How a layer's parameters start and learn. */
export type Learning = v.InferOutput<typeof learning>;
