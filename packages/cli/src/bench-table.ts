/** Measurements as people and programs read them: the median, the spread, and how close to the limit that is. */
import type { Feed, Measurement } from '@ilsvrc/engine';
import { formatCount, formatPercent } from '@ilsvrc/terminal';

/** A measurement in the shape that github-action-benchmark reads, and what else there is to say. */
export interface BenchEntry {
  name: string;
  unit: string;
  /** The median. */
  value: number;
  /** The slowest and the fastest round. */
  range: string;
  /** The share of the limit in words. */
  extra: string;
  samples: number[];
  limit: Measurement['limit'];
  /** The share of the limit, as a fraction. */
  of_limit: number | null;
}

/** What a program gets of a measurement. */
export function benchEntry({ name, unit, samples, limit }: Measurement): BenchEntry {
  const sorted = samples.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const value = ((sorted[Math.ceil(half) - 1] ?? Number.NaN) + (sorted[Math.floor(half)] ?? Number.NaN)) / 2;
  const ofLimit = limit === null ? null : value / limit.value;
  return {
    name,
    unit,
    value,
    range: `${formatCount(sorted[0] ?? Number.NaN)} – ${formatCount(sorted.at(-1) ?? Number.NaN)}`,
    extra: limit === null || ofLimit === null ? '' : `${formatPercent(ofLimit, 0)} of ${limit.name}`,
    samples,
    limit,
    of_limit: ofLimit,
  };
}

/** A row a measurement. */
export function benchTable(entries: BenchEntry[]): { titles: string[]; rows: string[][] } {
  return {
    titles: ['benchmark', 'median', '', 'slowest – fastest', 'of limit', 'limit'],
    rows: entries.map(({ name, unit, value, range, limit, of_limit }) => [
      name,
      formatCount(value),
      unit,
      range,
      of_limit === null ? '' : formatPercent(of_limit, 0),
      limit === null ? '' : `${limit.name}: ${formatCount(limit.value)}`,
    ]),
  };
}

/** What a data set can feed, in a sentence. */
export function feedLine({ images_per_second, batch, steps_per_second, limited_by, cold }: Feed): string {
  const feeds = `${formatCount(images_per_second)} images/s feed ${steps_per_second.toFixed(1)} GPU steps a second at batch ${batch}`;
  const why = cold ? `the ${limited_by} limit${limited_by === 'disk' ? 's' : ''} it` : 'from memory';
  const unknown = cold ? '' : '; the system keeps the shards in memory, so what the disk gives is not known';
  return `${feeds}: ${why}${unknown}`;
}
