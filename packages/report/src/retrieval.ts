/** Retrieval rows as the talk's slides draw them: the queries down the first column, beside each its nearest images. */
import { fit, text, textWidth } from './font.ts';
import { writePng } from './png.ts';
import { sharp } from './sharp.ts';

/** A picture and what stands below it. */
export interface Retrieved {
  /** An encoded image of any size. */
  photo: Uint8Array;
  /** Name of its class, where it is known. */
  class: string | undefined;
}

/** A query and its neighbours, the nearest first. */
export interface RetrievedRow {
  query: Retrieved & { name: string };
  neighbours: (Retrieved & { distance: number })[];
}

const side = 160;
const margin = 20;
const gap = 12;
/** Between the queries and their neighbours: twice, with a line in the middle. */
const aisle = 22;
const titleHeight = 34;
const captionHeight = 46;
const scale = 1.7;
const small = 1.45;
/** Above the neighbours: the first one that has room. */
const headings = [
  "nearest images and their distances; a bar below those of the query's class",
  'nearest images and their distances',
  'nearest images',
];
const colours = { text: '#1a1a1a', muted: '#767676', right: '#e4572e', line: '#c8c8c8' };

/** Draws rows below each other and writes the picture. Neighbours of the query's class have a bar below them. */
export async function writeRetrieval(rows: RetrievedRow[], path: string): Promise<void> {
  const columns = Math.max(1, ...rows.map(({ neighbours }) => neighbours.length));
  const first = margin + side + 2 * aisle;
  const width = first + columns * (side + gap) - gap + margin;
  const pitch = side + captionHeight;
  const height = margin + titleHeight + rows.length * pitch + margin - gap;
  const heading = { y: margin + 14, scale: small, colour: colours.muted };
  const parts = [
    text('query', { x: margin, ...heading }),
    text(headings.find((it) => textWidth(it) * small <= width - first - margin) ?? '', {
      x: first,
      ...heading,
    }),
    `<path d="M${margin + side + aisle} ${margin}V${height - margin}" stroke="${colours.line}"/>`,
  ];
  const pictures: { photo: Uint8Array; left: number; top: number }[] = [];
  for (const [index, { query, neighbours }] of rows.entries()) {
    const top = margin + titleHeight + index * pitch;
    pictures.push({ photo: query.photo, left: margin, top });
    parts.push(caption(query.class ?? query.name, margin, top));
    for (const [place, neighbour] of neighbours.entries()) {
      const left = first + place * (side + gap);
      const isRight = query.class !== undefined && neighbour.class === query.class;
      pictures.push({ photo: neighbour.photo, left, top });
      parts.push(caption(neighbour.class ?? '', left, top, formatDistance(neighbour.distance), isRight));
    }
  }
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${parts.join('')}</svg>`;
  const placed = await Promise.all(
    pictures.map(async ({ photo, left, top }) => ({
      input: await sharp(photo, { failOn: 'none' })
        .resize(side, side, { fit: 'cover', kernel: 'lanczos3' })
        .toColourspace('srgb')
        .png()
        .toBuffer(),
      left,
      top,
    })),
  );
  const page = sharp({ create: { width, height, channels: 3, background: 'white' } });
  await writePng(page.composite([...placed, { input: Buffer.from(svg), left: 0, top: 0 }]), path);
}

/** The class below a picture, and its distance at the right end. */
function caption(name: string, left: number, top: number, distance = '', isRight = false): string {
  const y = top + side + 22;
  const room = side - (distance === '' ? 0 : textWidth(distance) * small + 8);
  const parts = [text(fit(name, room / scale), { x: left, y, scale, colour: colours.text })];
  if (isRight)
    parts.push(`<rect x="${left}" y="${top + side}" width="${side}" height="4" fill="${colours.right}"/>`);
  if (distance !== '') {
    const x = left + side - textWidth(distance) * small + 1.7 * small;
    parts.push(text(distance, { x, y, scale: small, colour: colours.muted }));
  }
  return parts.join('');
}

/** Three digits: distances tell more or less, not how much exactly. */
export function formatDistance(distance: number): string {
  if (distance === 0) return '0';
  return distance < 1000
    ? distance.toPrecision(3)
    : distance < 1e6
      ? distance.toFixed(0)
      : distance.toExponential(2);
}
