/** A measurement as programs read it: the median, the spread, and how close to the limit that is. */
import type { Measurement } from '@ilsvrc/engine';
import { formatCount, formatPercent } from '@ilsvrc/terminal';

/** A measurement in the shape that github-action-benchmark reads, and what else there is to say. */
export interface BenchEntry extends Measurement {
  /** The median. */
  value: number;
  /** The lowest and the highest round. */
  range: string;
  /** The share of the limit in words. */
  extra: string;
  /** The share of the limit, as a fraction: 1 is what cannot be exceeded. */
  of_limit: number | null;
}

/** What a program gets of a measurement. */
export function benchEntry(measurement: Measurement): BenchEntry {
  const { samples, limit, better } = measurement;
  const value = median(samples);
  const ofLimit = limit === null ? null : better === 'more' ? value / limit.value : limit.value / value;
  return {
    ...measurement,
    value,
    range: `${formatFigure(Math.min(...samples))} – ${formatFigure(Math.max(...samples))}`,
    extra: limit === null || ofLimit === null ? '' : `${formatPercent(ofLimit, 0)} of ${limit.name}`,
    of_limit: ofLimit,
  };
}

/** The middle sample, or the mean of the two in the middle. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return ((sorted[Math.ceil(half) - 1] ?? Number.NaN) + (sorted[Math.floor(half)] ?? Number.NaN)) / 2;
}

/** A figure to three digits, more before the point: `0.523`, `92.7`, `1,217`. */
export function formatFigure(value: number): string {
  if (Math.abs(value) >= 99.95) return formatCount(value);
  return value === 0 || !Number.isFinite(value) ? String(value) : Number(value.toPrecision(3)).toString();
}
