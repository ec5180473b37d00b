import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { files, render } from './results.ts';
import { contest, type Group, type Row, resultsFolder, type Skipped, table } from './tools.ts';

const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-results-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('the page is what `node bench/results.ts` makes of the files', () => {
  expect(readFileSync(join(resultsFolder, 'README.md'), 'utf8')).toBe(render(resultsFolder));
});

test('every file has its command, and what was measured says where and with what', () => {
  cpSync(resultsFolder, folder, { recursive: true });
  const lines = render(folder).split('\n');
  for (const { name, command } of files) {
    expect(lines.find((line) => line.startsWith(`| ${name} | `))).toContain(`\`${command}\``);
  }
  writeFileSync(
    join(folder, 'epoch.json'),
    JSON.stringify({
      date: '2026-01-02',
      command: '',
      machine: { cpu: 'Some', cores: 2, memory_gib: 8, system: 'Linux 6', node: 'v24', others: 0.25 },
      versions: ['engine AVX2'],
      fma_peak: [{ before: 200.4, after: 210.6 }],
      skipped: [{ peer: 'somebody', reason: 'not to be had\nfor a reason' }],
      rows: [],
    }),
  );
  expect(render(folder)).toContain(
    '- `epoch.json`, 2026-01-02; Some, 2 cores, 8 GiB; Linux 6, node v24; engine AVX2; FMA peak 200, 211 GFLOP/s; ' +
      'others kept 0.3 cores busy meanwhile; not measured: somebody (not to be had).',
  );
});

test('seconds become figures, the fastest of a group is held against the bar, and who fails is named', async () => {
  const after = (seconds: number[]) => () => seconds;
  const groups: Group[] = [
    {
      bar: 3,
      peers: [
        { who: 'slow', run: after([8, 8]) },
        { who: 'fast', run: after([4, 5]) },
        {
          who: 'absent',
          run: () => {
            throw new Error('no compiler');
          },
        },
      ],
    },
    { peers: [{ who: 'unheld', run: after([1]) }] },
  ];
  const skipped: Skipped[] = [];
  const work = { name: 'w', batch: 10, unit: 'images/s' as const, rounds: 2 };
  const rows = await contest(work, { who: 'ours', run: after([1, 2, 1]) }, groups, skipped);
  expect(skipped).toEqual([{ peer: 'absent', reason: 'no compiler' }]);
  expect(rows.map(({ who, n, median, ratio, bar }) => ({ who, n, median, ratio, bar }))).toEqual([
    { who: 'ours', n: 6, median: 10, ratio: undefined, bar: undefined },
    { who: 'slow', n: 4, median: 1.25, ratio: 8, bar: undefined },
    { who: 'fast', n: 4, median: 2.25, ratio: 10 / 2.25, bar: 3 },
    { who: 'unheld', n: 2, median: 10, ratio: 1, bar: undefined },
  ]);
  const latency = await contest(
    { ...work, unit: 'ms' },
    { who: 'ours', run: after([0.02]) },
    [{ peers: [{ who: 'theirs', run: after([0.05]) }] }],
    skipped,
  );
  expect(latency.map(({ median, ratio }) => [median, ratio])).toEqual([
    [20, undefined],
    [50, 2.5],
  ]);
});

test('a bar that is not met stands out', () => {
  const row: Row = { work: 'w', who: 'p', unit: 'images/s', n: 5, median: 1234.5, low: 1, high: 2 };
  const lines = table([
    { ...row, ratio: 1.19, bar: 1.2 },
    { ...row, ratio: 1.2, bar: 1.2 },
    { ...row, of_limit: { name: 'FMA peak', share: 0.812 } },
  ]).split('\n');
  expect(lines[2]).toBe('| w | p | 5 | 1,235 images/s | 1.00 - 2.00 |  | 1.19x | 1.2x | **no** |');
  expect(lines[3]).toBe('|  | p | 5 | 1,235 images/s | 1.00 - 2.00 |  | 1.20x | 1.2x | yes |');
  expect(lines[4]).toContain('| 81 % of FMA peak |');
  const held = table([
    { ...row, of_limit: { name: 'FMA peak', share: 0.79 }, held: { share: 0.8 } },
    { ...row, unit: 'ms', median: 149, held: { most: 150 } },
  ]).split('\n');
  expect(held[2]).toContain('| 79 % of FMA peak |  | 80 % | **no** |');
  expect(held[3]).toContain('| 149 ms | 1.00 - 2.00 |  |  | at most 150 ms | yes |');
});
