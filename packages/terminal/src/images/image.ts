/** A picture among lines of text. */
import { toBlocks } from './blocks.ts';
import { toKitty } from './kitty.ts';
import type { ImageProtocol } from './protocol.ts';
import { type Raster, resize } from './raster.ts';
import { toSixel } from './sixel.ts';

/** Pixels of a cell, where they cannot be asked for: as small as they come, so that a picture never covers text. */
const cell = { width: 8, height: 16 };
/** Cells between a picture and the text beside it. */
const gap = 2;

/** The picture in so many columns, on lines of its own; its text ends with a newline. */
export function formatImage(image: Raster, protocol: ImageProtocol, columns: number): string {
  const rows = rowsOf(image, columns);
  if (isBlocks(protocol)) return `${blocks(image, protocol, columns, rows).join('\n')}\n`;
  return `${reserve(rows)}${pixels(image, protocol, columns, rows)}${below(rows)}`;
}

/** Lines of text to the right of a picture of so many columns; the longer of the two says how many lines there are. */
export function besideImage(
  image: Raster,
  lines: readonly string[],
  protocol: ImageProtocol,
  columns: number,
): string {
  const rows = rowsOf(image, columns);
  const height = Math.max(rows, lines.length);
  const at = (row: number) => lines[row] ?? '';
  if (isBlocks(protocol)) {
    const drawn = blocks(image, protocol, columns, rows);
    const empty = ' '.repeat(columns);
    return Array.from({ length: height }, (_, row) =>
      `${drawn[row] ?? empty}${at(row) === '' ? '' : ' '.repeat(gap)}${at(row)}\n`.replace(/ +\n$/, '\n'),
    ).join('');
  }
  const texts = lines.map((line) => `\u001b[${columns + gap}C${line}\n`).join('');
  return `${reserve(height)}${pixels(image, protocol, columns, rows)}${texts}${'\n'.repeat(height - lines.length)}`;
}

/** Lines that a picture takes: a cell is about twice as high as wide. */
function rowsOf({ width, height }: Raster, columns: number): number {
  return Math.max(Math.round((columns * height) / width / 2), 1);
}

const isBlocks = (protocol: ImageProtocol) => protocol === 'blocks' || protocol === 'blocks256';

function blocks(image: Raster, protocol: ImageProtocol, columns: number, rows: number): string[] {
  return toBlocks(resize(image, columns, 2 * rows), protocol === 'blocks');
}

/** The picture's pixels; the cursor is where it was. */
function pixels(image: Raster, protocol: ImageProtocol, columns: number, rows: number): string {
  const [width, height] = [columns * cell.width, rows * cell.height];
  // A terminal that enlarges by itself makes single pixels blurred.
  const isSmall = image.width < width;
  const drawn =
    protocol === 'kitty'
      ? toKitty(isSmall ? resize(image, width, height) : image, columns, rows)
      : toSixel(resize(image, width, height));
  return `\u001b7${drawn}\u001b8`;
}

/** Room for so many lines: a picture at the lower edge would scroll the screen and shift what is beside it. */
const reserve = (rows: number) => `${'\n'.repeat(rows)}\u001b[${rows}A`;

const below = (rows: number) => `\u001b[${rows}B\r`;
