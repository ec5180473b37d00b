/** The classification panel of the talk's slides: photos, their true class below, and the five likeliest as bars. */
import { fit, text, textWidth } from './font.ts';
import { writePng } from './png.ts';
import { sharp } from './sharp.ts';

/** A photo and what a model says of it. */
export interface Guessed {
  /** An encoded image of any size. */
  photo: Uint8Array;
  /** Name of the true class, where it is known. */
  truth?: string | undefined;
  /** The likeliest first. */
  guesses: { name: string; probability: number }[];
}

const side = 256;
const margin = 20;
const row = 30;
const titleHeight = 40;
const most = 4;
const scale = 2;
const colours = { text: '#1a1a1a', muted: '#767676', right: '#e4572e', wrong: '#7da7d9', frame: '#c8c8c8' };

/** Lays photos out, up to four in a row, and writes the picture. */
export async function writePanel(all: Guessed[], path: string): Promise<void> {
  const columns = Math.min(most, all.length);
  const bars = Math.max(...all.map(({ guesses }) => guesses.length));
  const cell = { width: side + margin, height: side + titleHeight + bars * row + margin };
  const width = columns * cell.width + margin;
  const height = Math.ceil(all.length / columns) * cell.height + margin;
  const places = all.map((guessed, index) => ({
    guessed,
    left: margin + (index % columns) * cell.width,
    top: margin + Math.floor(index / columns) * cell.height,
  }));
  const drawing = places.map(({ guessed, left, top }) => drawGuesses(guessed, left, top + side)).join('');
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${drawing}</svg>`;
  const photos = await Promise.all(
    places.map(async ({ guessed, left, top }) => ({
      input: await sharp(guessed.photo, { failOn: 'none' })
        .resize(side, side, { fit: 'cover' })
        .toColourspace('srgb')
        .png()
        .toBuffer(),
      left,
      top,
    })),
  );
  const page = sharp({ create: { width, height, channels: 3, background: 'white' } });
  await writePng(page.composite([...photos, { input: Buffer.from(svg), left: 0, top: 0 }]), path);
}

/** The true class, centred, and a bar a guess whose length is its probability. */
function drawGuesses({ truth, guesses }: Guessed, left: number, top: number): string {
  const title = fit(truth ?? '(not known)', side / scale);
  const centred = left + (side - textWidth(title) * scale) / 2;
  const parts = [
    text(title, {
      x: centred,
      y: top + 26,
      scale,
      colour: truth === undefined ? colours.muted : colours.text,
    }),
    `<rect x="${left - 0.5}" y="${top + titleHeight - 0.5}" width="${side + 1}" height="${guesses.length * row + 1}" fill="none" stroke="${colours.frame}"/>`,
  ];
  for (const [index, { name, probability }] of guesses.entries()) {
    const y = top + titleHeight + index * row;
    const colour = name === truth ? colours.right : colours.wrong;
    parts.push(
      `<rect x="${left}" y="${y + 3}" width="${(probability * side).toFixed(1)}" height="${row - 6}" fill="${colour}"/>`,
      text(fit(name, side / scale - 8), { x: left + 8, y: y + 21, scale, colour: colours.text }),
    );
  }
  return parts.join('');
}
