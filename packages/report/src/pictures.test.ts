import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, test } from 'vitest';
import { drawFilters } from './filters.ts';
import { fit, text, textWidth } from './font.ts';
import { writeMean, writePanel } from './index.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-pictures-'));
afterAll(() => rmSync(place, { recursive: true }));

/** Kernels of 2 x 2 whose every weight is the filter's number plus `first`. */
function kernels(filters: number, first: number) {
  const data = Float32Array.from({ length: filters * 12 }, (_, i) => first + Math.floor(i / 12));
  return { shape: [filters, 3, 2, 2], data };
}

test('filters stand 16 a row, towers one above the other, on one scale of grey', () => {
  const { width, height, pixels } = drawFilters([kernels(18, 0), kernels(3, 18)]);
  expect([width, height]).toEqual([16 * 3 + 1, 3 * 3 + 1]);
  const red = (column: number, row: number) => pixels[((1 + 3 * row) * width + 1 + 3 * column) * 3];
  expect(red(0, 0)).toBe(0);
  expect(red(1, 1)).toBe(Math.round((255 * 17) / 20));
  expect(red(2, 2)).toBe(255);
  expect(red(0, 2)).toBe(Math.round((255 * 18) / 20));
  // The gaps are white.
  expect(pixels.slice(0, 3)).toEqual(Uint8Array.of(255, 255, 255));
});

test('kernels that are all equal are drawn, and those without colours are not', () => {
  expect(drawFilters([{ shape: [1, 3, 1, 1], data: new Float32Array(3) }]).pixels).toContain(0);
  expect(() => drawFilters([{ shape: [1, 4, 1, 1], data: new Float32Array(4) }])).toThrow(/RGB/);
});

test('the font draws all of ASCII as strokes, and other letters without their accents', () => {
  const all = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  for (const character of all) {
    const path = / d="(M[^"]+)"/.exec(text(character, { x: 0, y: 0, scale: 1, colour: 'black' }))?.[1];
    expect(path, character).toMatch(/^(M-?\d+\.\d -?\d+\.\d(L-?\d+\.\d -?\d+\.\d)+)+$/);
  }
  expect(textWidth('Käfer')).toBe(textWidth('Kafer'));
  expect(textWidth('猫')).toBe(textWidth('?'));
});

test('texts are cut to fit', () => {
  expect(fit('tench', 100)).toBe('tench');
  const cut = fit('a very long name of a class', 40);
  expect(cut).toMatch(/^a very.*\.\.$/);
  expect(textWidth(cut)).toBeLessThanOrEqual(40);
});

test('a panel has a photo, its name and a bar a guess; the true class has a colour of its own', async () => {
  const photo = await sharp({ create: { width: 90, height: 60, channels: 3, background: '#00ff00' } })
    .jpeg()
    .toBuffer();
  const guesses = [
    { name: 'dog', probability: 0.75 },
    { name: 'cat & <co>', probability: 0.25 },
  ];
  const path = join(place, 'panel.png');
  await writePanel(Array(5).fill({ photo, truth: 'dog', guesses }), path);
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([4 * 276 + 20, 2 * (256 + 40 + 60 + 20) + 20]);
  const at = (x: number, y: number) => [
    ...data.subarray((y * info.width + x) * info.channels).subarray(0, 3),
  ];
  expect(at(20 + 128, 20 + 128)[1]).toBeGreaterThan(240);
  // Near the right ends of the bars, where no letter is.
  expect(at(20 + 190, 20 + 256 + 40 + 5)).toEqual([0xe4, 0x57, 0x2e]);
  expect(at(20 + 62, 20 + 256 + 40 + 30 + 4)).toEqual([0x7d, 0xa7, 0xd9]);
  // The title is dark somewhere.
  const title = Array.from({ length: 256 }, (_, x) => at(20 + x, 20 + 256 + 20)[0] ?? 255);
  expect(Math.min(...title)).toBeLessThan(80);
});

test('the mean image is drawn from its array, and a cut one is refused', async () => {
  const header = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${' '.repeat(54)}`, 'latin1');
  header.writeUInt16LE(54, 8);
  const values = Buffer.from(Float32Array.from({ length: 12 }, (_, i) => 20 * i).buffer);
  writeFileSync(join(place, 'mean.npy'), Buffer.concat([header, values]));
  await writeMean(place, 2);
  const pixels = await sharp(join(place, 'mean.png')).raw().toBuffer();
  expect([...pixels]).toEqual(Array.from({ length: 12 }, (_, i) => 20 * i));
  await expect(writeMean(place, 3)).rejects.toMatchObject({ code: 'E0205' });
});
