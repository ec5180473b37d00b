import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Output } from '../output.ts';
import { benchEntry, formatFigure } from './entry.ts';
import { printed } from './printed.testing.ts';
import { feedLine, showEntries } from './table.ts';

const whole = {
  name: 'prep/whole/2',
  unit: 'images/s',
  better: 'more' as const,
  samples: [900, 1200, 1000, 1100],
  limit: { name: 'prep/stages/ceiling x 2', value: 1250 },
  yardstick: { name: 'FMA peak of 2 threads', unit: 'GFLOP/s', before: 200, after: 210 },
};
const latency = { ...whole, name: 'latency/alexnet/batch1', unit: 'ms', better: 'less' as const };

describe('a measurement', () => {
  test('is its median, with the spread and the share of the limit', () => {
    expect(benchEntry(whole)).toEqual({
      ...whole,
      value: 1050,
      range: '900 – 1,200',
      extra: '84 % of prep/stages/ceiling x 2',
      of_limit: 0.84,
    });
  });

  test('may be a time, whose limit is below it', () => {
    const limit = { name: 'reading', value: 10 };
    expect(benchEntry({ ...latency, samples: [20], limit }).of_limit).toBe(0.5);
  });

  test('may have no limit', () => {
    const { extra, of_limit, value } = benchEntry({ ...whole, samples: [3, 1, 2], limit: null });
    expect([extra, of_limit, value]).toEqual(['', null, 2]);
  });

  test('has three digits', () => {
    expect([0.05234, 9.876, 92.71, 1217.4, 0].map(formatFigure)).toEqual([
      '0.0523',
      '9.88',
      '92.7',
      '1,217',
      '0',
    ]);
  });
});

describe('a table', () => {
  const entries = [whole, { ...whole, name: 'prep/stages/ceiling', limit: null }, latency].map(benchEntry);
  const output = () => new Output({ color: 'never' });
  const width = process.stdout.columns;
  beforeEach(() => printed.start());
  afterEach(() => {
    printed.stop();
    process.stdout.columns = width;
  });

  test('has a group for each area and a row for each case', () => {
    process.stdout.columns = 120;
    showEntries(entries, output());
    const lines = printed.text().split('\n');
    expect(lines[0]).toMatch(/^benchmark +median +lowest – highest +n +of limit +limit$/);
    expect(lines.slice(1, 4).map((line) => line.trimEnd())).toEqual([
      'prep',
      expect.stringMatching(
        /^ {2}whole\/2 +1,050 +images\/s +900 – 1,200 +4 +84 % +prep\/stages\/ceiling x 2: 1,250$/,
      ),
      expect.stringMatching(/^ {2}stages\/ceiling +1,050 +images\/s +900 – 1,200 +4$/),
    ]);
    expect(lines[4]).toBe('latency');
  });

  test('fits 40 columns', () => {
    process.stdout.columns = 40;
    showEntries(entries, output());
    const lines = printed.text().split('\n');
    expect(lines.slice(0, 4)).toEqual([
      'prep',
      '  whole/2',
      '    1,050 images/s, 900 – 1,200 (n 4),',
      '    84 % of prep/stages/ceiling x 2',
    ]);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
  });
});

test('what a disk feeds is said with what limits it, and what is not known', () => {
  const feed = {
    images_per_second: 2560,
    batch: 128,
    steps_per_second: 20,
    limited_by: 'disk',
    cold: true,
  } as const;
  expect(feedLine(feed)).toBe('2,560 images/s feed 20.0 GPU steps a second at batch 128: the disk limits it');
  expect(feedLine({ ...feed, limited_by: 'cores' })).toContain('the cores limit it');
  expect(feedLine({ ...feed, limited_by: 'cores', cold: false })).toContain(
    'what the disk gives is not known',
  );
});
