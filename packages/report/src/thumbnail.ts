/** Small copies of photos: for pages, of which dozens fit into one, and for terminals. */
import type { Sharp } from 'sharp';
import type { Embedded } from './page/report.ts';
import { sharp } from './sharp.ts';

/** Pixels a side: sharp on the page's panels, some kilobytes each. */
const side = 192;

/** The most pixels a row that a picture has in a page. */
const widest = 1600;

/** A picture of any kind as WebP, small enough for a page. */
export async function pagePicture(picture: Uint8Array): Promise<Embedded> {
  const fitted = sharp(picture).resize({ width: widest, withoutEnlargement: true });
  return { type: 'webp', bytes: await fitted.webp({ quality: 85 }).toBuffer() };
}

/** The middle square of a photo as WebP. */
export async function thumbnail(photo: Uint8Array): Promise<Embedded> {
  return { type: 'webp', bytes: await middleSquare(photo, side).webp({ quality: 80 }).toBuffer() };
}

/** The middle square of a photo as RGB pixels, `side` in each direction. */
export async function squarePixels(
  photo: Uint8Array,
  side: number,
): Promise<{ width: number; height: number; pixels: Uint8Array }> {
  const square = middleSquare(photo, side).flatten({ background: 'white' });
  return { width: side, height: side, pixels: await square.raw().toBuffer() };
}

function middleSquare(photo: Uint8Array, side: number): Sharp {
  return sharp(photo, { failOn: 'none' }).resize(side, side, { fit: 'cover' }).toColourspace('srgb');
}
