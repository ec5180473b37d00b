/** What `ci.ts` makes of its measurements: pure functions. */

/** A figure of `ilsvrc bench --json`, as much of it as is used here. */
export interface Figure {
  name: string;
  unit: string;
  better: 'more' | 'less';
  samples: number[];
  yardstick: { name: string; unit: string; before: number; after: number } | null;
}

/** A document of `ilsvrc bench --json`. */
export interface Saved {
  machine: { cpu: string; fma_peak: { all_threads: number }[]; others: number };
  benches: Figure[];
}

/** A line of what `ilsvrc bench --compare --json` says. */
export interface Change {
  name: string;
  unit: string;
  base: number;
  now: number;
  gain: number;
  band: number;
  verdict: Verdict;
}

export type Verdict = 'better' | 'same' | 'worse';

/** Instructions of one training step, by callgrind. */
export interface Count {
  net: string;
  base: number;
  now: number;
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Several runs of one program as one: all samples, and of each yardstick the means before and after. What was made of samples is left out. */
export function merge(runs: Saved[]): Saved {
  const [first] = runs;
  if (first === undefined) throw new Error('no runs');
  const names = [...new Set(runs.flatMap(({ benches }) => benches.map(({ name }) => name)))];
  const benches = names.map((name) => {
    const figures = runs.flatMap(({ benches }) => benches.filter((figure) => figure.name === name));
    const [{ unit, better, yardstick }] = figures as [Figure];
    const yardsticks = figures.flatMap(({ yardstick }) => yardstick ?? []);
    return {
      ...{ name, unit, better },
      samples: figures.flatMap(({ samples }) => samples),
      yardstick: yardstick && {
        ...yardstick,
        before: mean(yardsticks.map(({ before }) => before)),
        after: mean(yardsticks.map(({ after }) => after)),
      },
    };
  });
  const machine = {
    ...first.machine,
    fma_peak: runs.flatMap(({ machine }) => machine.fma_peak),
    others: mean(runs.map(({ machine }) => machine.others)),
  };
  return { ...first, machine, benches };
}

/** Two counts of the same program differ by 0.01 %; a change of more than this is one of the program. */
export const instructionBand = 0.01;

/** Instructions of a step, from what runs of one and of `1 + steps` counted steps took in all. */
export const instructionsOfStep = (short: number, long: number, steps: number) => (long - short) / steps;

/** The total in what callgrind prints. */
export function collected(printed: string): number {
  const [, total] = /Collected : (\d+)/.exec(printed) ?? [];
  if (total === undefined) throw new Error(`callgrind counted nothing:\n${printed.slice(-2000)}`);
  return Number(total);
}

/** Of a count. */
export function verdictOf({ base, now }: Count): Verdict {
  const change = now / base - 1;
  return change > instructionBand ? 'worse' : change < -instructionBand ? 'better' : 'same';
}

/** Everything `ci.ts` found out. */
export interface Findings {
  /** Short names of the commits. */
  base: string;
  now: string;
  machine: Saved['machine'];
  changes: Change[];
  only_base: string[];
  only_now: string[];
  counts: Count[];
  /** What could not be compared, and why. */
  notes: string[];
}

/** Whether anything is slower. */
export const isWorse = ({ changes, counts }: Findings) =>
  changes.some(({ verdict }) => verdict === 'worse') || counts.some((count) => verdictOf(count) === 'worse');

/** Whether there is anything to tell. */
export const isChanged = ({ changes, counts, notes }: Findings) =>
  notes.length > 0 ||
  changes.some(({ verdict }) => verdict !== 'same') ||
  counts.some((count) => verdictOf(count) !== 'same');

const arrows = { better: '↑ better', same: '=', worse: '↓ worse' } as const;
const percent = (fraction: number, digits = 1) =>
  `${fraction < 0 ? '−' : '+'}${Math.abs(100 * fraction).toFixed(digits)} %`;
const figure = (value: number) =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);

function changesTable(changes: Change[]): string[] {
  const line = ({ name, unit, base, now, gain, band, verdict }: Change) =>
    `| \`${name}\` | ${figure(base)} | ${figure(now)} | ${unit} | ${percent(gain)} | ${(100 * band).toFixed(0)} % | ${arrows[verdict]} |`;
  return [
    '| case | base | now | | gain | band | |',
    '|---|---:|---:|---|---:|---:|---|',
    ...changes.map(line),
    '',
  ];
}

function countsTable(counts: Count[]): string[] {
  const line = (count: Count) =>
    `| ${count.net} | ${count.base.toLocaleString('en-US', { maximumFractionDigits: 0 })} ` +
    `| ${count.now.toLocaleString('en-US', { maximumFractionDigits: 0 })} ` +
    `| ${percent(count.now / count.base - 1, 2)} | ${arrows[verdictOf(count)]} |`;
  return ['| training step | base | now | change | |', '|---|---:|---:|---:|---|', ...counts.map(line), ''];
}

/** The report as Markdown: what changed first, the rest folded away. */
export function report(findings: Findings): string {
  const { base, now, machine, changes, only_base, only_now, counts, notes } = findings;
  const changed = changes.filter(({ verdict }) => verdict !== 'same');
  const same = changes.filter(({ verdict }) => verdict === 'same');
  const peaks = machine.fma_peak.map(({ all_threads }) => all_threads);
  const list = (names: string[]) => names.map((name) => `\`${name}\``).join(', ');
  return [
    `## Benchmarks: ${now} against ${base}`,
    '',
    `${machine.cpu}; FMA peak of all threads ${figure(Math.min(...peaks))} to ${figure(Math.max(...peaks))} GFLOP/s over the runs; ` +
      `other programs kept ${machine.others.toFixed(1)} cores busy. Gain: of the speed beside the yardstick of the same run.`,
    '',
    ...notes.flatMap((note) => [`**${note}**`, '']),
    ...(changes.length === 0
      ? []
      : changed.length === 0
        ? ['No case changed beyond its noise.', '']
        : changesTable(changed)),
    ...(counts.length === 0
      ? []
      : [
          'Instructions (callgrind, one thread, the AVX2 kernels: it knows no AVX-512):',
          '',
          ...countsTable(counts),
        ]),
    ...(same.length === 0
      ? []
      : [
          `<details><summary>${same.length} cases as before</summary>`,
          '',
          ...changesTable(same),
          '</details>',
          '',
        ]),
    ...(only_base.length === 0 ? [] : [`Only in the base: ${list(only_base)}`, '']),
    ...(only_now.length === 0 ? [] : [`New: ${list(only_now)}`, '']),
  ].join('\n');
}
