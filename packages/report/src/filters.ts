/** The first layer as a picture: every kernel in colour, one tower above the other, as in the paper's figure 3. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Sharp } from 'sharp';
import { writePng } from './png.ts';
import { sharp } from './sharp.ts';

/** A tower's first-layer weights, OIHW. */
export interface Kernels {
  /** `[filters, 3, size, size]`. */
  shape: number[];
  data: Float32Array;
}

/** RGB pixels. */
interface Raster {
  width: number;
  height: number;
  pixels: Uint8Array;
}

/** As the paper's figure. */
const usual = 16;
/** Pixels between kernels; white, as the paper's. */
const gap = 1;
/** The picture is enlarged until a kernel has about this side. */
const visible = 44;

/** Lays the kernels of all towers out, 16 a row or fewer. One black and one white for the whole picture, so that strengths compare. */
export function drawFilters(towers: Kernels[], perRow = usual): Raster {
  const [, channels, size] = towers[0]?.shape ?? [];
  if (size === undefined || channels !== 3) {
    throw new IlsvrcError('E0901', `the first layer of shape ${towers[0]?.shape} is not made of RGB kernels`);
  }
  const rows = towers.map(({ shape }) => Math.ceil((shape[0] ?? 0) / perRow));
  const columns = Math.min(perRow, Math.max(...towers.map(({ shape }) => shape[0] ?? 0)));
  const width = columns * (size + gap) + gap;
  const height = rows.reduce((sum, count) => sum + count, 0) * (size + gap) + gap;
  const pixels = new Uint8Array(width * height * 3).fill(255);
  const [low, high] = range(towers);
  let row = 0;
  for (const [number, { shape, data }] of towers.entries()) {
    for (let filter = 0; filter < (shape[0] ?? 0); filter++) {
      const left = gap + (filter % perRow) * (size + gap);
      const top = gap + (row + Math.floor(filter / perRow)) * (size + gap);
      for (let channel = 0; channel < 3; channel++) {
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            const value = data[((filter * 3 + channel) * size + y) * size + x] ?? 0;
            pixels[((top + y) * width + left + x) * 3 + channel] = Math.round(
              (255 * (value - low)) / (high - low),
            );
          }
        }
      }
    }
    row += rows[number] ?? 0;
  }
  return { width, height, pixels };
}

/** The picture, enlarged so that single weights are seen. */
export function filterPicture(towers: Kernels[]): Sharp {
  const { width, height, pixels } = drawFilters(towers);
  const scale = Math.max(1, Math.round(visible / (towers[0]?.shape[2] ?? visible)));
  const picture = sharp(pixels, { raw: { width, height, channels: 3 } });
  return picture.resize(width * scale, height * scale, { kernel: 'nearest' });
}

/** Writes the picture. */
export async function writeFilters(towers: Kernels[], path: string): Promise<void> {
  await writePng(filterPicture(towers), path);
}

function range(towers: Kernels[]): [low: number, high: number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { data } of towers) {
    for (const value of data) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  // Weights that are all equal are drawn in black rather than divided by nothing.
  return high > low ? [low, high] : [low, low + 1];
}
