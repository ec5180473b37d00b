import { expect, test } from 'vitest';
import { imagesIn, stepsBefore, stepsIn } from './epochs.ts';

test('all images, where none are held out', () => {
  const all = { images: 50_000, batch: 128 };
  expect([imagesIn(all, 0), stepsIn(all, 0), stepsBefore(all, 3)]).toEqual([50_000, 391, 1173]);
});

test('a share is left out until so many epochs are done', () => {
  const held = { images: 50_000, batch: 128, held_out: { share: 0.2, epochs: 2 } };
  expect([0, 1, 2, 3].map((epoch) => imagesIn(held, epoch))).toEqual([40_000, 40_000, 50_000, 50_000]);
  expect([0, 1, 2, 3].map((epoch) => stepsIn(held, epoch))).toEqual([313, 313, 391, 391]);
  // What comes before is the sum of what each had.
  for (let epoch = 0; epoch < 5; epoch++) {
    expect(stepsBefore(held, epoch + 1) - stepsBefore(held, epoch)).toBe(stepsIn(held, epoch));
  }
});

test('one image stays', () => {
  expect(imagesIn({ images: 2, batch: 1, held_out: { share: 0.99, epochs: 1 } }, 0)).toBe(1);
});
