import { expect, test } from 'vitest';
import { nearest } from './suggest.ts';

const verbs = ['prep', 'train', 'eval', 'predict', 'filters', 'summary'];

test('slips of the fingers are understood', () => {
  expect(nearest('tarin', verbs)).toBe('train');
  expect(nearest('evl', verbs)).toBe('eval');
  expect(nearest('pred', verbs)).toBe('predict');
  expect(nearest('sumary', verbs)).toBe('summary');
});

test('other words are not', () => {
  expect(nearest('deploy', verbs)).toBeUndefined();
});
