/** Whether a model's images were prepared as those of a data set: where they were not, error rates move by points. */

/** A field of both records that says not the same; `null` where a record lacks it. */
export interface Difference {
  field: string;
  model: unknown;
  data: unknown;
}

/**
 * What shapes pixels. Seeds, shards and sources do not; the order of classes is compared class by class, and is an error
 * where it differs.
 */
const fields = ['resize', 'filter', 'decoder', 'exif_rotate', 'quality', 'subsampling'];

/** Fields in which the preprocessing records of a model and a data set differ. */
export function differences(model: unknown, data: unknown): Difference[] {
  return fields
    .map((field) => ({ field, model: value(model, field), data: value(data, field) }))
    .filter((pair) => JSON.stringify(pair.model) !== JSON.stringify(pair.data));
}

function value(record: unknown, field: string): unknown {
  const found = (record as Record<string, unknown> | null)?.[field];
  // Older records lack it: photos were not turned.
  return found ?? (field === 'exif_rotate' ? false : null);
}
