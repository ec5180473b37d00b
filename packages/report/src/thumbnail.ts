/** Photos small enough that dozens fit into a page. */
import sharp from 'sharp';

/** Pixels a side: sharp on the page's panels, some kilobytes each. */
const side = 192;

/** The middle square of a photo as WebP. */
export async function thumbnail(photo: Uint8Array): Promise<{ type: 'webp'; bytes: Uint8Array }> {
  const bytes = await sharp(photo, { failOn: 'none' })
    .resize(side, side, { fit: 'cover' })
    .toColourspace('srgb')
    .webp({ quality: 80 })
    .toBuffer();
  return { type: 'webp', bytes };
}
