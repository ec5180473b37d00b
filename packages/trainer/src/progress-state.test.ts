import { expect, test } from 'vitest';
import { advance, finishEpoch, freshState, parseState } from './progress-state.ts';

const report = {
  steps: 2,
  stopped: false,
  images: 20,
  loss: 1.5,
  top1_error: 0.5,
  seconds: 3,
  images_per_second: 7,
  stages: { read: 0, decode: 0, copy: 0, train: 1 },
  limiting_stage: 'train',
  ceiling_images_per_second: 7,
  traffic: null,
} as const;

test('a state survives a checkpoint, sums and all', () => {
  const state = freshState();
  advance(state, report);
  advance(state, { ...report, images: 10, loss: 3 });
  expect(state).toMatchObject({ step: 4, sums: { images: 30, loss: 60, top1_error: 15 } });
  expect(parseState(JSON.stringify(state), 'x')).toEqual(state);
  finishEpoch(state, { loss: 1, top1_error: 0.4, top5_error: 0.1 });
  expect(state).toMatchObject({ epoch: 1, step: 0, sums: { images: 0 }, seconds: { epoch: 0, before: 6 } });
});

test('a state that is missing or damaged is refused', () => {
  for (const text of [undefined, '{', '{"epoch":-1}']) {
    expect(() => parseState(text, 'checkpoint')).toThrow(expect.objectContaining({ code: 'E0302' }));
  }
});
