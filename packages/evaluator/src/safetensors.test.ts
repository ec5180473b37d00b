import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { fromHalf, toHalf } from './half.ts';
import { openSafetensors, writeSafetensors } from './safetensors.ts';

const folder = await mkdtemp(join(tmpdir(), 'ilsvrc-safetensors-'));
afterAll(() => rm(folder, { recursive: true }));

test('halves: every one survives, and what lies between is rounded to the nearest', () => {
  for (let half = 0; half < 1 << 16; half++) {
    const value = fromHalf(half);
    if (!Number.isNaN(value)) expect(toHalf(value)).toBe(half);
  }
  // IEEE 754: 1, the largest, the smallest normal and subnormal ones.
  expect([0x3c00, 0x7bff, 0x0400, 0x0001].map(fromHalf)).toEqual([1, 65504, 2 ** -14, 2 ** -24]);
  expect(toHalf(1 / 3)).toBe(0x3555);
  expect(fromHalf(toHalf(1 + 2 ** -11))).toBe(1); // a tie goes to the even one
  expect(fromHalf(toHalf(1 + 3 * 2 ** -11))).toBe(1 + 2 ** -9);
  expect(toHalf(65519)).toBe(0x7bff);
  expect(toHalf(65520)).toBe(0x7c00);
  expect(toHalf(2 ** -25)).toBe(0);
  expect(toHalf(1.5 * 2 ** -25)).toBe(1);
  expect(fromHalf(toHalf(Number.NaN))).toBeNaN();
});

test('a file is what the format says, and comes back', async () => {
  const path = join(folder, 'good');
  const bytes = Uint8Array.of(1, 2, 3);
  await writeSafetensors(path, { who: 'me' }, [
    { name: 'a', type: 'U8', shape: [3], bytes: () => [bytes.subarray(0, 1), bytes.subarray(1)] },
    { name: 'b', type: 'U8', shape: [0, 4], bytes: () => [] },
  ]);
  const raw = await readFile(path);
  const header = Number(raw.readBigUInt64LE());
  expect(header % 8).toBe(0);
  expect(JSON.parse(raw.subarray(8, 8 + header).toString())).toEqual({
    __metadata__: { who: 'me' },
    a: { dtype: 'U8', shape: [3], data_offsets: [0, 3] },
    b: { dtype: 'U8', shape: [0, 4], data_offsets: [3, 3] },
  });
  expect(raw.length).toBe(8 + header + 3);
  const file = await openSafetensors(path);
  expect(file.metadata).toEqual({ who: 'me' });
  expect(file.shape('b', 'U8')).toEqual([0, 4]);
  expect(file.shape('a', 'F16')).toBeUndefined();
  expect(await file.read('a', 'U8')).toEqual(bytes);
  await expect(file.read('c', 'U8')).rejects.toMatchObject({ code: 'E0507' });
  await file.close();
});

function raw(header: string, data = 0, length = BigInt(Buffer.byteLength(header))): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length);
  return Buffer.concat([prefix, Buffer.from(header), Buffer.alloc(data)]);
}

test.each([
  ['nothing', Buffer.alloc(0), 'it has 0 bytes'],
  ['half a length', Buffer.alloc(5), 'it has 5 bytes'],
  ['a header beyond the end', raw('{}', 0, 3n), /said to have 3 bytes/],
  ['a header beyond all memory', raw('{}', 0, 2n ** 64n - 1n), /said to have 18446744073709551615 bytes/],
  ['no JSON', raw('not json'), 'its header is no JSON'],
  ['no object', raw('[1]'), /malformed/],
  ['a shape below 0', raw('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', 1), /malformed/],
  ['a shape too large', raw('{"a":{"dtype":"U8","shape":[1e300],"data_offsets":[0,1]}}', 1), /malformed/],
  [
    'a product beyond numbers',
    raw('{"a":{"dtype":"U8","shape":[9e15,9e15],"data_offsets":[0,1]}}', 1),
    /has 1 bytes/,
  ],
  [
    'an end beyond the file',
    raw('{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}', 1),
    /ends at 9 of 1/,
  ],
  [
    'a begin after the end',
    raw('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}', 1),
    /ends at 0 of 1/,
  ],
  [
    'a shape of other length',
    raw('{"a":{"dtype":"F16","shape":[3],"data_offsets":[0,4]}}', 4),
    /has 4 bytes/,
  ],
  ['metadata that is no text', raw('{"__metadata__":{"a":1}}'), /malformed/],
])('hostile: %s', async (_, bytes, info) => {
  const path = join(folder, 'bad');
  await writeFile(path, bytes);
  await expect(openSafetensors(path)).rejects.toMatchObject({
    code: 'E0507',
    info: typeof info === 'string' ? info : expect.stringMatching(info),
  });
});
