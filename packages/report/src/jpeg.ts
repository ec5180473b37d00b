/** Photos in other formats than JPEG, and the library that reads them. */
import { hasPictures, sharp } from './sharp.ts';

/** The photo as a JPEG: what already is one stays as it is, others are encoded with little loss. */
export async function asJpeg(photo: Uint8Array): Promise<Uint8Array> {
  const isJpeg = photo[0] === 0xff && photo[1] === 0xd8;
  if (isJpeg) return photo;
  // Undecodable content is handed on: the engine says what is wrong with it, as for a JPEG.
  return sharp(photo)
    .flatten({ background: 'white' })
    .jpeg({ quality: 95, chromaSubsampling: '4:4:4' })
    .toBuffer()
    .catch(() => photo);
}

/** Name and version of the library that draws. */
export function pictureLibrary(): string {
  if (!hasPictures) sharp('');
  return `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`;
}
