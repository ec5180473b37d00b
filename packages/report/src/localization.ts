/** The localization panel of the talk's slides: photos with the true boxes and the predicted one in two colours. */
import sharp from 'sharp';
import { fit, text, textWidth } from './font.ts';
import { writePng } from './png.ts';

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

/** Lays photos out, up to four in a row, and writes the picture. */
export async function writeLocalizations(all: readonly BoxedPhoto[], path: string): Promise<void> {
  const columns = Math.min(most, all.length);
  const captions = all.some(({ truth }) => truth !== undefined) ? 2 : 1;
  const cell = { width: side + margin, height: side + captions * line + margin };
  const width = columns * cell.width + margin;
  const height = Math.ceil(all.length / columns) * cell.height + margin;
  const cells = await Promise.all(
    all.map((boxed, index) =>
      drawCell(boxed, {
        left: margin + (index % columns) * cell.width,
        top: margin + Math.floor(index / columns) * cell.height,
      }),
    ),
  );
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${cells.map(({ drawing }) => drawing).join('')}</svg>`;
  const page = sharp({ create: { width, height, channels: 3, background: 'white' } });
  await writePng(
    page.composite([...cells.map(({ photo }) => photo), { input: Buffer.from(svg), left: 0, top: 0 }]),
    path,
  );
}

/** A photo in the middle of its square cell, its boxes, and the captions below. */
async function drawCell(boxed: BoxedPhoto, corner: { left: number; top: number }) {
  const [left, top, right, bottom] = boxed.part ?? [0, 0, boxed.size.width, boxed.size.height];
  const zoom = side / Math.max(right - left, bottom - top);
  const shown = {
    width: Math.max(1, Math.round((right - left) * zoom)),
    height: Math.max(1, Math.round((bottom - top) * zoom)),
  };
  const image = sharp(boxed.photo, { failOn: 'none' });
  const input = await (boxed.isTurned ? image.autoOrient() : image)
    .resize(shown.width, shown.height, { fit: 'fill' })
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .png()
    .toBuffer();
  const photo = {
    input,
    left: corner.left + Math.floor((side - shown.width) / 2),
    top: corner.top + Math.floor((side - shown.height) / 2),
  };
  // What a crop cut off ends at its edge.
  const place = ([x1, y1, x2, y2]: Box): Box => [
    photo.left + Math.min(Math.max((x1 - left) * zoom, 0), shown.width),
    photo.top + Math.min(Math.max((y1 - top) * zoom, 0), shown.height),
    photo.left + Math.min(Math.max((x2 - left) * zoom, 0), shown.width),
    photo.top + Math.min(Math.max((y2 - top) * zoom, 0), shown.height),
  ];
  const boxes = [
    ...(boxed.truth?.boxes ?? []).map((box) => outline(place(box), colours.truth)),
    outline(place(boxed.guess.box), colours.guess),
  ];
  return { photo, drawing: boxes.join('') + captions(boxed, corner) };
}

/** A frame inside its box, with a light edge on either side so that it is seen on any photo. */
function outline([left, top, right, bottom]: Box, colour: string): string {
  const inset = stroke / 2 + 1;
  const frame = (pen: string, width: number) =>
    `<rect x="${(left + inset).toFixed(1)}" y="${(top + inset).toFixed(1)}" width="${Math.max(right - left - 2 * inset, 1).toFixed(1)}" height="${Math.max(bottom - top - 2 * inset, 1).toFixed(1)}" fill="none" stroke="${pen}" stroke-width="${width}" stroke-linejoin="round"/>`;
  return frame(colours.halo, stroke + 2) + frame(colour, stroke);
}

/** The names in the colours of their boxes; how well they agree at the right. */
function captions({ truth, guess, overlap }: BoxedPhoto, corner: { left: number; top: number }): string {
  const y = corner.top + side + 22;
  const score = overlap === undefined ? '' : `IoU ${overlap.toFixed(2)}`;
  const scoreWidth = textWidth(score) * scale;
  const entry = (name: string, colour: string, base: number, room: number) =>
    `<rect x="${corner.left}" y="${base - 13}" width="14" height="14" rx="2" fill="${colour}"/>${text(fit(name, (room - 22) / scale), { x: corner.left + 22, y: base, scale, colour: colours.text })}`;
  const lines = [
    entry(guess.name, colours.guess, truth === undefined ? y : y + line, side - scoreWidth - 8),
    text(score, {
      x: corner.left + side - scoreWidth,
      y: truth === undefined ? y : y + line,
      scale,
      colour: colours.muted,
    }),
  ];
  if (truth !== undefined) lines.push(entry(truth.name, colours.truth, y, side));
  return lines.join('');
}
