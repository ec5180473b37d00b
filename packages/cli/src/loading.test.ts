import { expect, test } from 'vitest';
import { cacheLimit, shuffle } from './loading.ts';

test('--shuffle takes full and windows of shards', () => {
  expect(shuffle('full')).toBe('full');
  expect(shuffle('window:8')).toEqual({ window: 8 });
  for (const text of ['', 'window', 'window:', 'window:0', 'window:-1', 'window:1.5', 'window:1e3', 'none']) {
    expect(() => shuffle(text), text).toThrow(expect.objectContaining({ code: 'E0103' }));
  }
});

test('--cache takes ram and amounts of memory', () => {
  expect(cacheLimit('ram')).toBe('ram');
  expect(cacheLimit('8GB')).toEqual({ bytes: 8e9 });
  expect(cacheLimit('1.5 tb')).toEqual({ bytes: 1.5e12 });
  expect(cacheLimit('500kB')).toEqual({ bytes: 5e5 });
  for (const text of ['', 'disk', '8', 'GB', '0GB', '-1GB', '8GiB', '1e3MB', '99999999TB', 'NaNGB']) {
    expect(() => cacheLimit(text), text).toThrow(expect.objectContaining({ code: 'E0103' }));
  }
});
