import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, test } from 'vitest';
import { formatDistance, writeRetrieval } from './index.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-retrieval-'));
afterAll(() => rmSync(place, { recursive: true }));

const photo = (background: string) =>
  sharp({ create: { width: 30, height: 20, channels: 3, background } })
    .png()
    .toBuffer();

test('a row a query, and a bar below neighbours of its class alone', async () => {
  const [red, blue] = await Promise.all(['#ff0000', '#0000ff'].map(photo));
  if (red === undefined || blue === undefined) throw new Error('two photos');
  const neighbours = [
    { photo: blue, class: 'cat', distance: 0 },
    { photo: blue, class: '<dog>', distance: 12.345 },
  ];
  const known = { photo: red, class: 'cat', name: 'a.jpg' };
  const path = join(place, 'rows.png');
  await writeRetrieval(
    [
      { query: known, neighbours },
      { query: { ...known, class: undefined }, neighbours },
    ],
    path,
  );
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  const pixel = (x: number, y: number) => [
    ...data.subarray((y * info.width + x) * info.channels).subarray(0, 3),
  ];
  const [row, cells] = [54, [20, 224, 396]];
  expect(cells.map((left) => pixel(left + 80, row + 80))).toEqual([
    [255, 0, 0],
    [0, 0, 255],
    [0, 0, 255],
  ]);
  const bars = [row, row + 206].map((top) => cells.map((left) => pixel(left + 80, top + 161)[2] !== 255));
  expect(bars).toEqual([
    [false, true, false],
    [false, false, false],
  ]);
});

test('the words above the neighbours end before the picture does', async () => {
  const neighbour = { photo: await photo('#0000ff'), class: 'cat', distance: 1 };
  const query = { photo: await photo('#ff0000'), class: 'cat', name: 'a.jpg' };
  for (const count of [1, 2, 6]) {
    const path = join(place, `${count}.png`);
    await writeRetrieval([{ query, neighbours: Array.from({ length: count }, () => neighbour) }], path);
    const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
    const isInk = (x: number) =>
      Array.from({ length: 34 }, (_, y) => data[((20 + y) * info.width + x) * info.channels]).some(
        (value) => (value ?? 255) < 200,
      );
    const columns = Array.from({ length: info.width }, (_, x) => x).filter(isInk);
    expect(Math.max(...columns)).toBeGreaterThan(224);
    expect(Math.max(...columns)).toBeLessThan(info.width - 18);
  }
});

test('distances have three digits', () => {
  expect([0, 0.001234, 8, 12.345, 5678.9, 1.5e7].map(formatDistance)).toEqual([
    '0',
    '0.00123',
    '8.00',
    '12.3',
    '5679',
    '1.50e+7',
  ]);
});
