/** Pictures as pixels. */

/** RGB pixels, row after row. */
export interface Raster {
  width: number;
  height: number;
  /** `width x height x 3`. */
  pixels: Uint8Array;
}

/** The picture with other sides; each pixel is the mean of those it covers, or the nearest one where it covers none. */
export function resize({ width, height, pixels }: Raster, columns: number, rows: number): Raster {
  const result = new Uint8Array(columns * rows * 3);
  for (let y = 0; y < rows; y++) {
    const [top, bottom] = covered(y, rows, height);
    for (let x = 0; x < columns; x++) {
      const [left, right] = covered(x, columns, width);
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let row = top; row < bottom; row++) {
          for (let column = left; column < right; column++) {
            sum += pixels[(row * width + column) * 3 + channel] ?? 0;
          }
        }
        result[(y * columns + x) * 3 + channel] = Math.round(sum / ((bottom - top) * (right - left)));
      }
    }
  }
  return { width: columns, height: rows, pixels: result };
}

/** The first of the old pixels that a new one covers, and the one after the last. */
function covered(index: number, count: number, of: number): [first: number, end: number] {
  const first = Math.floor((index * of) / count);
  return [first, Math.max(Math.floor(((index + 1) * of) / count), first + 1)];
}
