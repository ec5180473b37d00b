/** The graphics protocol of kitty: raw pixels in base64. https://sw.kovidgoyal.net/kitty/graphics-protocol/ */
import type { Raster } from './raster.ts';

/** Longest piece of the data in one escape code. */
const piece = 4096;

/** Shows the picture in so many cells from the cursor on, which stays where it is (`C=1`). */
export function toKitty({ width, height, pixels }: Raster, columns: number, rows: number): string {
  const data = Buffer.from(pixels).toString('base64');
  const pieces = data.match(new RegExp(`.{1,${piece}}`, 'g')) ?? [];
  return pieces
    .map((text, index) => {
      const more = index < pieces.length - 1 ? 1 : 0;
      const first = `a=T,f=24,s=${width},v=${height},c=${columns},r=${rows},C=1,q=2,`;
      return `\u001b_G${index === 0 ? first : ''}m=${more};${text}\u001b\\`;
    })
    .join('');
}
