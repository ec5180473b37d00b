/** Shapes of the files of an evaluation. docs/formats.md describes them; tests hold what is written to them. */
import * as v from 'valibot';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const interval = v.strictTuple([share, share]);
const views = v.picklist([1, 9, 10] as const);
const text = v.string();

export const classSchema = v.object({ wnid: text, name: text, devkit_id: v.optional(count) });

const differenceSchema = v.object({ field: text, model: v.unknown(), data: v.unknown() });

/** A model of an evaluation. */
export const memberSchema = v.object({
  path: text,
  checksum: text,
  net: text,
  views,
  preprocessing: v.unknown(),
  differences: v.array(differenceSchema),
});

const rates = {
  images: count,
  classes: count,
  top1_error: share,
  top1_interval: interval,
  top5_error: share,
  top5_interval: interval,
  log_loss: v.number(),
};

const calibration = v.strictObject({
  ece: share,
  overconfidence: v.number(),
  bins: v.array(
    v.strictObject({ low: share, high: share, images: count, confidence: share, accuracy: share }),
  ),
});

const named = v.strictObject({ wnid: text, name: text });
const side = v.union([count, v.literal('mean')]);

/** `result.json`, and what `eval --json` prints. */
export const resultSchema = v.strictObject({
  version: v.literal(2),
  ...rates,
  /** The error that was asked for, where it is neither. */
  top_k: v.nullable(v.strictObject({ k: count, error: share, interval })),
  images_expected: count,
  images_seen: count,
  images_failed: count,
  data: text,
  data_checksum: text,
  split: text,
  /** `null` where models saw different views. */
  views: v.nullable(views),
  models: v.array(
    v.strictObject({
      ...memberSchema.entries,
      weight: share,
      ...rates,
      calibration,
    }),
  ),
  calibration,
  comparisons: v.array(
    v.strictObject({
      a: side,
      b: side,
      k: count,
      only_a: count,
      only_b: count,
      p_value: share,
      method: v.picklist(['exact binomial', 'chi-square'] as const),
    }),
  ),
  worst_classes: v.array(
    v.strictObject({ wnid: text, name: text, images: count, top1_error: share, top5_error: share }),
  ),
  confusions: v.array(v.strictObject({ truth: named, predicted: named, images: count, share })),
  fit: v.nullable(
    v.strictObject({ seed: count, fitted_images: count, equal_weights: v.strictObject(rates) }),
  ),
  preprocessing: v.record(text, v.unknown()),
  images_per_second: v.nullable(v.number()),
  seconds: v.nullable(v.number()),
});

/** `result.json`. */
export type Result = v.InferOutput<typeof resultSchema>;

/** A line of `predictions.jsonl`. */
export const predictionSchema = v.strictObject({
  /** Number in the split. */
  image: count,
  key: text,
  path: text,
  wnid: text,
  rank: v.pipe(count, v.minValue(1)),
  top5: v.array(v.strictObject({ wnid: text, probability: share })),
});

/** A line of `predictions.jsonl`. */
export type Prediction = v.InferOutput<typeof predictionSchema>;

/** A JSON text of that shape; `failure` makes the error of what is wrong with it. */
export function parse<S extends v.GenericSchema>(
  schema: S,
  json: string | undefined,
  failure: (info: string, cause?: unknown) => Error,
): v.InferOutput<S> {
  let content: unknown;
  try {
    content = JSON.parse(json ?? '');
  } catch (cause) {
    throw failure('no JSON', cause);
  }
  const checked = v.safeParse(schema, content);
  if (checked.success) return checked.output;
  const [issue] = checked.issues;
  throw failure(`${v.getDotPath(issue) ?? 'content'}: ${issue.message}`);
}
