/** Sixels (DEC 1983): bands of six rows, each drawn colour by colour; a character is a column of six pixels of one colour. */
import type { Raster } from './raster.ts';

/** Levels of each channel: 216 colours, as terminals have at least 256 registers. */
const levels = 6;
/** Thresholds of an ordered dither (B. Bayer 1973), 4 x 4. */
const bayer = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5];

/** The picture from the cursor on. */
export function toSixel({ width, height, pixels }: Raster): string {
  const colours = dither({ width, height, pixels });
  const used = new Set(colours);
  const palette = [...used].map((colour) => `#${colour};2;${channels(colour).map(percent).join(';')}`);
  const bands: string[] = [];
  for (let top = 0; top < height; top += 6) {
    const band = colours.subarray(top * width, Math.min(top + 6, height) * width);
    bands.push([...new Set(band)].map((colour) => drawColour(band, width, colour)).join('$'));
  }
  // 1:1 pixels; what is not drawn keeps its colour.
  return `\u001bP0;1;0q"1;1;${width};${height}${palette.join('')}${bands.join('-')}\u001b\\`;
}

/** One colour of a band, repeated characters as `!n`. */
function drawColour(band: Uint8Array, width: number, colour: number): string {
  let text = '';
  let run = { sign: '', length: 0 };
  const flush = () => {
    text += run.length > 3 ? `!${run.length}${run.sign}` : run.sign.repeat(run.length);
  };
  for (let x = 0; x < width; x++) {
    let bits = 0;
    for (let y = 0; y * width + x < band.length; y++) if (band[y * width + x] === colour) bits |= 1 << y;
    const sign = String.fromCharCode(63 + bits);
    if (sign === run.sign) run.length += 1;
    else {
      flush();
      run = { sign, length: 1 };
    }
  }
  flush();
  return `#${colour}${text}`;
}

/** The number of a colour for each pixel. */
function dither({ width, height, pixels }: Raster): Uint8Array {
  const numbers = new Uint8Array(width * height);
  for (let i = 0; i < numbers.length; i++) {
    const threshold = (bayer[(Math.floor(i / width) % 4) * 4 + ((i % width) % 4)] ?? 0) / 16;
    const level = (channel: number) =>
      Math.min(Math.floor(((pixels[3 * i + channel] ?? 0) / 255) * (levels - 1) + threshold), levels - 1);
    numbers[i] = (level(0) * levels + level(1)) * levels + level(2);
  }
  return numbers;
}

const channels = (colour: number) => [
  Math.floor(colour / levels ** 2),
  Math.floor(colour / levels) % levels,
  colour % levels,
];

const percent = (level: number) => Math.round((100 * level) / (levels - 1));
