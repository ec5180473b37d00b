import { expect, test } from 'vitest';
import { peakMemory } from './peak-memory.ts';

test('the peak is at least what is held now, and stays when that is given back', () => {
  const before = peakMemory();
  expect(before).toBeGreaterThan(process.memoryUsage().rss / 2);
  const size = 300e6;
  let block: Buffer | undefined = Buffer.alloc(size, 1);
  const held = peakMemory();
  expect(held).toBeGreaterThanOrEqual(process.memoryUsage().rss - size / 10);
  expect(block.at(-1)).toBe(1);
  block = undefined;
  expect(peakMemory()).toBeGreaterThanOrEqual(held);
});
