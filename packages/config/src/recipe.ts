/** A training recipe: batch, epochs, learning rule, schedule, augmentation. */
import * as v from 'valibot';

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
const share = v.pipe(v.number(), v.minValue(0), v.ltValue(1));
const count = v.pipe(v.number(), v.integer(), v.minValue(1));

/** How the learning rate falls. */
const scheduleSchema = v.variant('kind', [
  v.strictObject({
    kind: v.literal('plateau'),
    /** Divides the rate. */
    factor: positive,
    /** Epochs without a new lowest validation error. */
    patience: count,
    /** At most this many times. */
    drops: count,
  }),
  v.strictObject({ kind: v.literal('step'), factor: positive, after: v.array(count) }),
  v.strictObject({ kind: v.literal('exp'), steps: count, final: positive }),
]);

/** Checks a recipe. */
export const recipeSchema = v.strictObject({
  batch: v.pipe(count, v.maxValue(16_384)),
  epochs: v.pipe(count, v.maxValue(1_000_000)),
  rate: positive,
  momentum: share,
  decay: v.pipe(v.number(), v.finite(), v.minValue(0)),
  schedule: scheduleSchema,
  /** So much of the training images is left out until so many epochs are done; none where absent. */
  held_out: v.optional(v.strictObject({ share: v.pipe(share, v.gtValue(0)), epochs: count })),
  mirror: v.boolean(),
  /** Standard deviation of the colour noise, in standard deviations of the data set's colours (the paper: 0.1). */
  colour_noise: v.pipe(v.number(), v.finite(), v.minValue(0)),
});

/** How the learning rate falls: when the error stops improving, after given epochs, or in equal ratios. */
export type Schedule = v.InferOutput<typeof scheduleSchema>;
/** How a net is trained. */
export type Recipe = v.InferOutput<typeof recipeSchema>;
