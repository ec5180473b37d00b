import { describe, expect, test } from 'vitest';
import { benchEntry, benchTable, feedLine } from './bench-table.ts';

const whole = {
  name: 'prep/whole/2',
  unit: 'images/s',
  samples: [900, 1200, 1000, 1100],
  limit: { name: 'prep/stages/ceiling x 2', value: 1250 },
};

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

  test('may have no limit', () => {
    const { extra, of_limit, value } = benchEntry({ ...whole, samples: [3, 1, 2], limit: null });
    expect([extra, of_limit, value]).toEqual(['', null, 2]);
  });

  test('is a row', () => {
    expect(benchTable([benchEntry(whole)]).rows).toEqual([
      ['prep/whole/2', '1,050', 'images/s', '900 – 1,200', '84 %', 'prep/stages/ceiling x 2: 1,250'],
    ]);
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
