/** The mean image of a data set as a picture. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { writePng } from './png.ts';
import { sharp } from './sharp.ts';

/** Draws `mean.npy` of a prepared data set (f32, `size x size x 3`, 0-255) as `mean.png` beside it. */
export async function writeMean(dataset: string, size: number): Promise<void> {
  const source = join(dataset, 'mean.npy');
  const file = await readFile(source);
  // NumPy's format: a 6-byte magic, 2 of version, 2 of header length, the header, then the values.
  const start = 10 + file.readUInt16LE(8);
  const count = size * size * 3;
  if (file.length !== start + 4 * count) {
    throw new IlsvrcError('E0205', `${source} has ${file.length} bytes, not ${start + 4 * count}`);
  }
  const pixels = Uint8Array.from({ length: count }, (_, i) => Math.round(file.readFloatLE(start + 4 * i)));
  await writePng(
    sharp(pixels, { raw: { width: size, height: size, channels: 3 } }),
    join(dataset, 'mean.png'),
  );
}
