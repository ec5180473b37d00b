import { afterEach, beforeEach, expect, test } from 'vitest';
import { Output } from '../output.ts';
import { showBreakdown } from './breakdown.ts';
import { printed } from './printed.testing.ts';

const part = {
  layer: 'conv1',
  kind: 'conv',
  pass: 'forward' as const,
  seconds: 0.04,
  flops: 2e9,
  bytes: 1e6,
};
const step = {
  ...{ name: 'step/small/batch2', steps: 3, batch: 2, seconds: 0.1, rest: 0.01, fma_peak: 100, memory: 10 },
  parts: [
    part,
    { ...part, kind: 'norm+pool', pass: 'gradient' as const, seconds: 0.05, flops: 0, bytes: 1e8 },
  ],
};
const width = process.stdout.columns;

beforeEach(() => printed.start());
afterEach(() => {
  printed.stop();
  process.stdout.columns = width;
});

test('parts have their share of the step and of what limits them', () => {
  process.stdout.columns = 100;
  showBreakdown(step, new Output({ color: 'never' }));
  expect(printed.text().split('\n').slice(0, 6)).toEqual([
    'step/small/batch2, part by part',
    'part                       ms  rate           of step  of limit',
    'conv1 forward              40    50  GFLOP/s   40.0 %      50 %',
    'conv1 norm+pool gradient   50     2  GB/s      50.0 %      20 %',
    'rest                       10                  10.0 %',
    'step                      100                 100.0 %',
  ]);
});

test('on 40 columns shares are all there is room for', () => {
  process.stdout.columns = 40;
  showBreakdown(step, new Output({ color: 'never' }));
  const lines = printed.text().split('\n');
  expect(lines[1]).toBe('part                         step  limit');
  expect(lines[3]).toBe('conv1 norm+pool gradient   50.0 %   20 %');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
});
