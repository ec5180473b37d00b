import { expect, test } from 'vitest';
import { describeStages } from './stages.ts';

const epoch = {
  limiting_stage: 'decode',
  images_per_second: 1840.4,
  ceiling_images_per_second: 2100,
  stages: { read: 0.05, decode: 0.876, copy: 0.011, train: 0.4 },
} as const;

test('an epoch says what held it back, and how close it came to the ceiling', () => {
  const line = 'decode-bound: 1,840 of 2,100 images/s (busy: read 5 %, decode 88 %, copy 1 %, train 40 %';
  expect(describeStages(epoch, [{ name: '0', device: 'a GPU', replica: 0, towers: [0, 1] }])).toBe(
    `${line})`,
  );
  expect(describeStages(epoch, [{ name: 'cpu', device: 'AVX2', replica: 0, towers: [0, 1] }])).toBe(
    `${line}; decoding and training share the cores)`,
  );
});
