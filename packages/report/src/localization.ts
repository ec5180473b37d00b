/** The localization panel of the talk's slides: photos with the true boxes and the predicted one in two colours. */
import { fit, text, textWidth } from './font.ts';
import { writePng } from './png.ts';
import { sharp } from './sharp.ts';

/** Left, top, right, bottom in pixels of the photo. */
type Box = [left: number, top: number, right: number, bottom: number];

/** A photo with what is known and what was guessed of it. */
export interface BoxedPhoto {
  /** An encoded image. */
  photo: Uint8Array;
  /** Turn it as its EXIF orientation says: boxes are of the photo after that. */
  isTurned: boolean;
  /** Of the photo that boxes are of; the image may be a smaller copy of it, or of its `part`. */
  size: { width: number; height: number };
  /** The part of that photo which the image shows; all of it where absent. */
  part?: Box | undefined;
  truth?: { name: string; boxes: Box[] } | undefined;
  guess: { name: string; box: Box };
  /** How well both boxes agree, 0 to 1. */
  overlap?: number | undefined;
}

const side = 288;
const margin = 20;
const line = 28;
const scale = 2;
const most = 4;
const stroke = 4;
const colours = { text: '#1a1a1a', muted: '#767676', truth: '#1f9d55', guess: '#e4572e', halo: '#ffffff' };

/** A photo as large as it is drawn, and where. */
interface Cell {
  boxed: BoxedPhoto;
  /** The part of the photo that the image shows, and pixels of the picture for one of the photo. */
  part: Box;
  zoom: number;
  width: number;
  height: number;
}

/** Lays photos out, up to four in a row, rows as high as their highest photo, and writes the picture. */
export async function writeLocalizations(all: readonly BoxedPhoto[], path: string): Promise<void> {
  const columns = Math.min(most, all.length);
  const cells = all.map(toCell);
  const rows = Array.from({ length: Math.ceil(cells.length / columns) }, (_, row) =>
    cells.slice(row * columns, (row + 1) * columns),
  );
  const captionHeight = line * (all.some(({ truth }) => truth !== undefined) ? 2 : 1) + 4;
  const placed: { cell: Cell; left: number; top: number; base: number }[] = [];
  let top = margin;
  for (const row of rows) {
    const base = top + Math.max(...row.map(({ height }) => height));
    for (const [column, cell] of row.entries()) {
      const left = margin + column * (side + margin);
      placed.push({ cell, left, top: base - cell.height, base });
    }
    top = base + captionHeight + margin;
  }
  const size = { width: columns * (side + margin) + margin, height: top };
  const drawing = placed.map(({ cell, left, top: photoTop, base }) => {
    const photoLeft = left + Math.floor((side - cell.width) / 2);
    return drawBoxes(cell, photoLeft, photoTop) + captions(cell.boxed, left, base);
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}">${drawing.join('')}</svg>`;
  const photos = await Promise.all(
    placed.map(async ({ cell, left, top: photoTop }) => ({
      input: await toImage(cell),
      left: left + Math.floor((side - cell.width) / 2),
      top: photoTop,
    })),
  );
  const page = sharp({ create: { ...size, channels: 3, background: 'white' } });
  await writePng(page.composite([...photos, { input: Buffer.from(svg), left: 0, top: 0 }]), path);
}

function toCell(boxed: BoxedPhoto): Cell {
  const part: Box = boxed.part ?? [0, 0, boxed.size.width, boxed.size.height];
  const [left, top, right, bottom] = part;
  const zoom = side / Math.max(right - left, bottom - top);
  const drawn = (length: number) => Math.max(1, Math.round(length * zoom));
  return { boxed, part, zoom, width: drawn(right - left), height: drawn(bottom - top) };
}

async function toImage({ boxed, width, height }: Cell): Promise<Buffer> {
  const image = sharp(boxed.photo, { failOn: 'none' });
  return (boxed.isTurned ? image.autoOrient() : image)
    .resize(width, height, { fit: 'fill' })
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .png()
    .toBuffer();
}

/** True boxes below the predicted one; what a crop cut off ends at its edge. */
function drawBoxes({ boxed, part, zoom, width, height }: Cell, left: number, top: number): string {
  const x = (value: number) => left + Math.min(Math.max((value - part[0]) * zoom, 0), width);
  const y = (value: number) => top + Math.min(Math.max((value - part[1]) * zoom, 0), height);
  const place = ([x1, y1, x2, y2]: Box): Box => [x(x1), y(y1), x(x2), y(y2)];
  return [
    ...(boxed.truth?.boxes ?? []).map((box) => outline(place(box), colours.truth)),
    outline(place(boxed.guess.box), colours.guess),
  ].join('');
}

/** A frame inside its box, with a light edge on either side so that it is seen on any photo. */
function outline([left, top, right, bottom]: Box, colour: string): string {
  const inset = stroke / 2 + 1;
  const frame = (pen: string, width: number) =>
    `<rect x="${(left + inset).toFixed(1)}" y="${(top + inset).toFixed(1)}" width="${Math.max(right - left - 2 * inset, 1).toFixed(1)}" height="${Math.max(bottom - top - 2 * inset, 1).toFixed(1)}" fill="none" stroke="${pen}" stroke-width="${width}" stroke-linejoin="round"/>`;
  return frame(colours.halo, stroke + 2) + frame(colour, stroke);
}

/** The names beside the colours of their boxes, the true one first; how well they agree at the right. */
function captions({ truth, guess, overlap }: BoxedPhoto, left: number, top: number): string {
  const score = overlap === undefined ? '' : `IoU ${overlap.toFixed(2)}`;
  const scoreWidth = textWidth(score) * scale;
  const entry = (name: string, colour: string, y: number, room: number) =>
    `<rect x="${left}" y="${y - 13}" width="14" height="14" rx="2" fill="${colour}"/>${text(fit(name, (room - 22) / scale), { x: left + 22, y, scale, colour: colours.text })}`;
  const first = top + 26;
  const y = truth === undefined ? first : first + line;
  return [
    truth === undefined ? '' : entry(truth.name, colours.truth, first, side),
    entry(guess.name, colours.guess, y, side - scoreWidth - 8),
    text(score, { x: left + side - scoreWidth, y, scale, colour: colours.muted }),
  ].join('');
}
