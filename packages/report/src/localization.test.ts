import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, test } from 'vitest';
import { type BoxedPhoto, writeLocalizations } from './localization.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-boxes-picture-'));
afterAll(() => rmSync(place, { recursive: true }));

const guessColour = [0xe4, 0x57, 0x2e];
const truthColour = [0x1f, 0x9d, 0x55];

/** A grey photo, upright after its orientation is obeyed. */
const grey = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: '#808080' } });

async function draw(...photos: BoxedPhoto[]) {
  const path = join(place, 'panel.png');
  await writeLocalizations(photos, path);
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) => [
    ...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3),
  ];
  return { at, info };
}

test('boxes stand where they are in the photo, the predicted one in its own colour', async () => {
  const { at, info } = await draw({
    photo: await grey(144, 72).jpeg().toBuffer(),
    isTurned: false,
    size: { width: 144, height: 72 },
    truth: { name: 'cat <b>', boxes: [[100, 10, 140, 60]] },
    guess: { name: 'dog', box: [10, 20, 60, 50] },
    overlap: 0.5,
  });
  // Drawn at twice the size, from (20, 20): frames are four wide, one inside the box.
  expect(info.width).toBe(20 + 288 + 20 + 20 - 20);
  expect(at(20 + 20 + 3, 20 + 70)).toEqual(guessColour);
  expect(at(20 + 120 - 3, 20 + 70)).toEqual(guessColour);
  expect(at(20 + 60, 20 + 40 + 3)).toEqual(guessColour);
  expect(at(20 + 200 + 3, 20 + 70)).toEqual(truthColour);
  expect(at(20 + 60, 20 + 70)).toEqual([128, 128, 128]);
});

test('a smaller copy of a part of the photo, and boxes that reach beyond it', async () => {
  const { at } = await draw({
    photo: await grey(72, 72).png().toBuffer(),
    isTurned: false,
    size: { width: 400, height: 200 },
    part: [100, 0, 300, 200],
    guess: { name: 'cat', box: [50, 50, 200, 150] },
  });
  // 200 photo pixels are 288 of the picture.
  expect(at(20 + 3, 20 + 144)).toEqual(guessColour);
  expect(at(20 + 144 - 3, 20 + 144)).toEqual(guessColour);
});

test('a photo is turned as its boxes were', async () => {
  const photo = await grey(100, 50).jpeg().withMetadata({ orientation: 6 }).toBuffer();
  const size = { width: 50, height: 100 };
  const { at } = await draw({ photo, isTurned: true, size, guess: { name: 'cat', box: [0, 0, 50, 100] } });
  expect(at(20 + 72 + 3, 20 + 144)).toEqual(guessColour);
  expect(at(20 + 60, 20 + 144)).toEqual([255, 255, 255]);
});
