/** Two runs of the benchmarks beside each other. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { formatPercent } from '@ilsvrc/terminal';
import type { Output } from '../output.ts';
import { wrap } from '../wrap.ts';
import { formatFigure, median } from './entry.ts';
import type { Saved, SavedFigure } from './saved.ts';
import { showCases } from './table.ts';

/** No difference below this counts: two runs of the same program differ by some percent even where their rounds agree. */
export const smallestBand = 0.05;

/** A case of both runs. */
interface Change {
  name: string;
  unit: string;
  /** Medians. */
  base: number;
  now: number;
  /** Of the figure: 0.1 is a tenth more. */
  change: number;
  /** Of the speed, each run's divided by its yardstick (without one: as measured): 0.1 is a tenth faster, whatever the clock. */
  gain: number;
  /** Speeds that differ by less than a factor of 1 + band are the same. */
  band: number;
  verdict: 'better' | 'same' | 'worse';
}

/** All cases of two runs. */
export interface Comparison {
  changes: Change[];
  /** Cases that the base alone has. */
  only_base: string[];
  /** Cases that the other run alone has. */
  only_now: string[];
}

/** Compares cases of the same name, unit and direction. */
export function compare(base: Pick<Saved, 'benches'>, now: Pick<Saved, 'benches'>): Comparison {
  const key = ({ name, unit, better }: SavedFigure) => `${name} ${unit} ${better}`;
  const before = new Map(base.benches.map((figure) => [key(figure), figure]));
  const changes: Change[] = [];
  const only: string[] = [];
  for (const figure of now.benches) {
    const other = before.get(key(figure));
    if (other === undefined) only.push(figure.name);
    else changes.push(changeOf(other, figure));
    before.delete(key(figure));
  }
  return { changes, only_base: [...before.values()].map(({ name }) => name), only_now: only };
}

function changeOf(base: SavedFigure, now: SavedFigure): Change {
  const [a, b] = [median(base.samples), median(now.samples)];
  const speed = now.better === 'more' ? b / a : a / b;
  const [before, after] = [base.yardstick, now.yardstick];
  const isNormalised = before !== null && after !== null && before.unit === after.unit;
  const ratio = isNormalised ? (speed * mean(before)) / mean(after) : speed;
  const drift = isNormalised ? wander(before) + wander(after) : 0;
  const noise = 3 * Math.hypot(error(base.samples), error(now.samples));
  const band = Math.max(smallestBand, noise + drift);
  const verdict = ratio > 1 + band ? 'better' : ratio < 1 / (1 + band) ? 'worse' : 'same';
  return {
    name: now.name,
    unit: now.unit,
    base: a,
    now: b,
    change: b / a - 1,
    gain: ratio - 1,
    band,
    verdict,
  };
}

type Yardstick = NonNullable<SavedFigure['yardstick']>;
const mean = ({ before, after }: Yardstick) => (before + after) / 2;
/** How far before and after are from their mean, as a share of it. */
const wander = ({ before, after }: Yardstick) => Math.abs(before - after) / (before + after);

/**
 * The standard error of a median, as a share of it: 1.2533 s / sqrt(n) for normal noise (Kenney and Keeping, Mathematics of
 * Statistics, 1962), with 1.4826 times the median absolute deviation for s, which a single slow round does not move.
 */
function error(samples: readonly number[]): number {
  const middle = median(samples);
  const deviation = 1.4826 * median(samples.map((sample) => Math.abs(sample - middle)));
  return (1.2533 * deviation) / Math.sqrt(samples.length) / middle;
}

const signed = (fraction: number) => `${fraction < 0 ? '−' : '+'}${formatPercent(Math.abs(fraction), 1)}`;
const verdicts = { better: '↑ better', same: '= same', worse: '↓ worse' } as const;

/** Prints a comparison. */
export function showComparison({ changes, only_base, only_now }: Comparison, output: Output): void {
  showCases(changes, output, {
    titles: ['base', 'now', '', 'change', 'gain', 'band', 'verdict'],
    cells: ({ base, now, unit, change, gain, band, verdict }) => [
      formatFigure(base),
      formatFigure(now),
      unit,
      signed(change),
      signed(gain),
      formatPercent(band, 1),
      verdicts[verdict],
    ],
    facts: ({ base, now, unit, change, gain, band, verdict }) => [
      `${formatFigure(base)} → ${formatFigure(now)} ${unit}`,
      signed(change),
      `gain ${signed(gain)} (band ${formatPercent(band, 1)})`,
      verdicts[verdict],
    ],
  });
  if (changes.length > 0)
    output.data(wrap(['gain: beside the yardsticks of both', 'within the band: the same'], output.width));
  if (only_base.length > 0) output.data(`only in the base: ${only_base.join(', ')}`);
  if (only_now.length > 0) output.data(`only in this run: ${only_now.join(', ')}`);
}

/** Fails where a case is worse, and where there was nothing to compare. */
export function expectNothingWorse({ changes }: Comparison, path: string): void {
  if (changes.length === 0) {
    throw new IlsvrcError('E0508', `${path} has none of these cases`, {
      hint: 'compare runs of the same benchmarks, both with or both without `--quick`',
    });
  }
  const worse = changes.filter(({ verdict }) => verdict === 'worse');
  if (worse.length === 0) return;
  const some = worse.map(({ name, gain }) => `${name} (${signed(gain)})`).join(', ');
  throw new IlsvrcError('E0501', `${worse.length} of ${changes.length} cases are worse than in ${path}`, {
    info: some,
    hint: 'run both again in turns: on a busy machine a difference may be that of other programs',
  });
}
