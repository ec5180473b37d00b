/**
 * A picture as data, drawn for two places: for a page, with real text and the page's own colours, so that it follows light
 * and dark; and for a file, with letters as strokes, so that it is the same on machines without fonts.
 */
import type { Sharp } from 'sharp';
import { fit, text as textStrokes, textWidth } from './font.ts';
import { sharp } from './sharp.ts';

/** What a colour is for. In a page it is the CSS variable of that name. */
export type Role = 'ink' | 'muted' | 'grid' | 'paper' | 'soft' | 'first' | 'second';

/** Colours of files; those of pages are in `assets/page.css`, and the same on a light page. */
const colours: Record<Role, string> = {
  ink: '#1b1f24',
  muted: '#59636e',
  grid: '#d5dae1',
  paper: '#ffffff',
  soft: '#eef1f5',
  first: '#1f5fae',
  second: '#c2410c',
};

/** A point, px from the left and the top. */
export type Point = readonly [x: number, y: number];

/** A rectangle; `opacity` is of its fill. `tip` is told where a pointer rests on it. */
interface Rectangle {
  kind: 'rectangle';
  x: number;
  y: number;
  width: number;
  height: number;
  fill?: Role | undefined;
  stroke?: Role | undefined;
  opacity?: number | undefined;
  round?: number | undefined;
  tip?: string | undefined;
}

/** A line through points. */
interface Line {
  kind: 'line';
  points: readonly Point[];
  stroke: Role;
  width?: number | undefined;
  dashed?: boolean | undefined;
  opacity?: number | undefined;
}

/** A filled polygon. */
interface Area {
  kind: 'area';
  points: readonly Point[];
  fill: Role;
  opacity?: number | undefined;
}

/** A line of text; x, y are where its base line is anchored. */
interface Label {
  kind: 'label';
  x: number;
  y: number;
  content: string;
  /** Height of a line's letters as in CSS, px. */
  size: number;
  colour?: Role | undefined;
  anchor?: 'start' | 'middle' | 'end' | undefined;
  bold?: boolean | undefined;
  /** Degrees, clockwise about (x, y). */
  turn?: number | undefined;
  /** Longest it may be, px; what is longer ends with `..`. */
  room?: number | undefined;
}

/** What a picture is made of; later marks cover earlier ones. */
export type Mark = Rectangle | Line | Area | Label;

/** A picture. The title names it, the description says in a sentence or two what it shows. */
export interface Drawing {
  width: number;
  height: number;
  title: string;
  description: string;
  /** Pixels at the top that hold the title: a page, which has it as a heading, leaves them out. */
  heading: number;
  marks: readonly Mark[];
}

/** Pixels of a file for each px of the drawing. */
const density = 2;
/** Grid units of the stroke font for a CSS px of size: capitals are six units and .72 of the size high. */
const strokeScale = 0.12;

/** Inline SVG for a page: announced by title and description, as wide as there is room. */
export function toPage({ width, height, title, description, heading, marks }: Drawing): string {
  const body = marks.map((mark) => svg(mark, (role) => `var(--${role})`, pageLabel)).join('');
  return (
    `<svg class="drawing" viewBox="0 ${heading} ${width} ${height - heading}" width="${width}" height="${height - heading}" role="img" ` +
    `aria-label="${escapeMarkup(`${title}. ${description}`)}">${body}</svg>`
  );
}

/** An SVG document of its own, on white, without any font. */
export function toFile({ width, height, title, marks }: Drawing): string {
  const body = marks.map((mark) => svg(mark, (role) => colours[role], strokeLabel)).join('');
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
    `width="${width * density}" height="${height * density}"><title>${escapeMarkup(title)}</title>` +
    `<rect width="${width}" height="${height}" fill="${colours.paper}"/>${body}</svg>`
  );
}

/** The picture in pixels, two for each px. */
export function rasterise(drawing: Drawing): Sharp {
  return sharp(Buffer.from(toFile(drawing)));
}

/** Pictures side by side as one, tops in line. */
export function beside(drawings: readonly Drawing[], gap: number): Drawing {
  let left = 0;
  const marks = drawings.flatMap((drawing) => {
    const moved = drawing.marks.map((mark) => move(mark, left));
    left += drawing.width + gap;
    return moved;
  });
  return {
    width: left - gap,
    height: Math.max(...drawings.map(({ height }) => height)),
    title: drawings.map(({ title }) => title).join('; '),
    description: drawings.map(({ description }) => description).join(' '),
    heading: Math.min(...drawings.map(({ heading }) => heading)),
    marks,
  };
}

/** Text with what SVG and HTML take as markup made harmless; for contents and quoted attributes. */
export function escapeMarkup(text: string): string {
  return (
    text
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll("'", '&#39;')
      // Control characters are no part of XML: one of them would make the whole picture unreadable.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
      .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, '\ufffd')
  );
}

function move(mark: Mark, by: number): Mark {
  if ('points' in mark) return { ...mark, points: mark.points.map(([x, y]) => [x + by, y] as const) };
  return { ...mark, x: mark.x + by };
}

function svg(mark: Mark, colour: (role: Role) => string, label: typeof pageLabel): string {
  switch (mark.kind) {
    case 'rectangle': {
      const { x, y, width, height, fill, stroke, opacity, round, tip } = mark;
      const shape =
        `<rect x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}"` +
        `${attribute('rx', round)} fill="${fill === undefined ? 'none' : colour(fill)}"` +
        `${attribute('fill-opacity', opacity)}${attribute('stroke', stroke && colour(stroke))}`;
      return tip === undefined ? `${shape}/>` : `${shape}><title>${escapeMarkup(tip)}</title></rect>`;
    }
    case 'line':
      return (
        `<path d="${path(mark.points)}" fill="none" stroke="${colour(mark.stroke)}" stroke-width="${mark.width ?? 1}"` +
        `${attribute('stroke-dasharray', mark.dashed ? '4 4' : undefined)}` +
        `${attribute('stroke-opacity', mark.opacity)} stroke-linejoin="round"/>`
      );
    case 'area':
      return `<path d="${path(mark.points)}Z" fill="${colour(mark.fill)}"${attribute('fill-opacity', mark.opacity)}/>`;
    case 'label':
      return label(mark, colour(mark.colour ?? 'ink'));
  }
}

function pageLabel({ x, y, content, size, anchor, bold, turn, room }: Label, colour: string): string {
  // The strokes are wider than the letters of common fonts, so what fits here fits there.
  const shown = room === undefined ? content : fit(content, room / (size * strokeScale));
  return (
    `<text x="${short(x)}" y="${short(y)}" font-size="${size}" fill="${colour}"${attribute('text-anchor', anchor)}` +
    `${attribute('font-weight', bold ? 600 : undefined)}` +
    `${attribute('transform', turn && `rotate(${turn} ${short(x)} ${short(y)})`)}>${escapeMarkup(shown)}</text>`
  );
}

function strokeLabel({ x, y, content, size, anchor, bold, turn, room }: Label, colour: string): string {
  const scale = size * strokeScale;
  const shown = room === undefined ? content : fit(content, room / scale);
  const shift = { start: 0, middle: 0.5, end: 1 }[anchor ?? 'start'] * textWidth(shown) * scale;
  const strokes = textStrokes(shown, { x: x - shift, y, scale, colour, pen: bold ? 1.15 : 0.75 });
  return turn === undefined
    ? strokes
    : `<g transform="rotate(${turn} ${short(x)} ${short(y)})">${strokes}</g>`;
}

function path(points: readonly Point[]): string {
  return points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${short(x)} ${short(y)}`).join('');
}

const attribute = (name: string, value: string | number | undefined) =>
  value === undefined ? '' : ` ${name}="${value}"`;

/** A coordinate to a hundredth of a px. */
const short = (value: number) => String(Math.round(value * 100) / 100);
