import { expect, test } from 'vitest';
import {
  collected,
  type Findings,
  instructionsOfStep,
  isChanged,
  isWorse,
  merge,
  report,
  type Saved,
  verdictOf,
} from './ci-report.ts';

const run = (samples: number[], before: number, others: number): Saved => ({
  machine: { cpu: 'Some', fma_peak: [{ all_threads: before }], others },
  benches: [
    {
      ...{ name: 'gemm/fc6/128', unit: 'GFLOP/s', better: 'more', samples },
      yardstick: { name: 'FMA peak', unit: 'GFLOP/s', before, after: 100 },
    },
    { name: 'startup/help/cold', unit: 'ms', better: 'less', samples: [2], yardstick: null },
  ],
});

test('runs become one: all samples, mean yardsticks, every peak', () => {
  expect(merge([run([1, 2], 100, 0), run([3], 120, 1)])).toEqual({
    machine: { cpu: 'Some', fma_peak: [{ all_threads: 100 }, { all_threads: 120 }], others: 0.5 },
    benches: [
      {
        ...{ name: 'gemm/fc6/128', unit: 'GFLOP/s', better: 'more', samples: [1, 2, 3] },
        yardstick: { name: 'FMA peak', unit: 'GFLOP/s', before: 110, after: 100 },
      },
      { name: 'startup/help/cold', unit: 'ms', better: 'less', samples: [2, 2], yardstick: null },
    ],
  });
});

test('what starting costs is not counted, and a lost count is an error', () => {
  const printed = (total: number) => `==7== \n==7== Events    : Ir\n==7== Collected : ${total}\n`;
  expect(collected(printed(125_152_203))).toBe(125_152_203);
  expect(instructionsOfStep(1000, 1800, 2)).toBe(400);
  expect(() => collected('==7== Illegal instruction')).toThrow(/counted nothing[\s\S]*Illegal/);
});

test('a percent of instructions is a change, what repeats differ by is none', () => {
  const count = { net: 'n', base: 1_000_000 };
  expect(verdictOf({ ...count, now: 1_009_900 })).toBe('same');
  expect(verdictOf({ ...count, now: 1_010_100 })).toBe('worse');
  expect(verdictOf({ ...count, now: 989_900 })).toBe('better');
});

const findings: Findings = {
  base: 'aaa',
  now: 'bbb',
  machine: { cpu: 'Some', fma_peak: [{ all_threads: 236.4 }, { all_threads: 240 }], others: 0.04 },
  changes: [
    {
      name: 'conv/conv3/forward',
      unit: 'GFLOP/s',
      base: 200,
      now: 150,
      gain: -0.25,
      band: 0.05,
      verdict: 'worse',
    },
    { name: 'gemm/fc6/128', unit: 'GFLOP/s', base: 180, now: 181, gain: 0.005, band: 0.062, verdict: 'same' },
  ],
  only_base: [],
  only_now: ['lrn/norm1/forward'],
  counts: [{ net: '`cifar-80sec`, batch 4', base: 42_293_678.5, now: 42_296_069 }],
  notes: [],
};

test('the report shows what changed, and folds the rest away', () => {
  expect(report(findings)).toBe(`## Benchmarks: bbb against aaa

Some; FMA peak of all threads 236 to 240 GFLOP/s over the runs; other programs kept 0.0 cores busy. Gain: of the speed beside the yardstick of the same run.

| case | base | now | | gain | band | |
|---|---:|---:|---|---:|---:|---|
| \`conv/conv3/forward\` | 200 | 150 | GFLOP/s | −25.0 % | 5 % | ↓ worse |

Instructions (callgrind, one thread, the AVX2 kernels: it knows no AVX-512):

| training step | base | now | change | |
|---|---:|---:|---:|---|
| \`cifar-80sec\`, batch 4 | 42,293,679 | 42,296,069 | +0.01 % | = |

<details><summary>1 cases as before</summary>

| case | base | now | | gain | band | |
|---|---:|---:|---|---:|---:|---|
| \`gemm/fc6/128\` | 180 | 181 | GFLOP/s | +0.5 % | 6 % | = |

</details>

New: \`lrn/norm1/forward\`
`);
});

test('slower is worse, faster is a change, the same is neither', () => {
  expect(isWorse(findings)).toBe(true);
  const same = { ...findings, changes: findings.changes.slice(1) };
  expect([isWorse(same), isChanged(same)]).toEqual([false, false]);
  expect(report(same)).toContain('No case changed beyond its noise.');
  const faster = { ...same, counts: [{ net: 'n', base: 100, now: 90 }] };
  expect([isWorse(faster), isChanged(faster)]).toEqual([false, true]);
  const slower = { ...same, counts: [{ net: 'n', base: 100, now: 110 }] };
  expect([isWorse(slower), isChanged(slower)]).toEqual([true, true]);
  const apart = { ...same, changes: [], notes: ['The base has none.'] };
  expect([isWorse(apart), isChanged(apart)]).toEqual([false, true]);
  expect(report(apart)).toContain('**The base has none.**');
});
