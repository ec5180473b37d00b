/**
 * A stroke font of our own: pictures carry text on machines without fonts, and look the same on all of them.
 *
 * A glyph is polylines on a grid: each point two digits, x (0-4) and y (0 top of capitals, 2 top of small letters, 6 base
 * line, 8 below it); strokes are divided by spaces; a stroke of one point twice is a dot.
 */

/** ASCII from `!` to `~`. */
const glyphs = `
0004 0606|0002 2022|1016 3036 0242 0444|413010010213334445361605 2026|4006 0010110100 3545463635|4612112031320405162644|0002
10010516|00111506|2125 0244 0442|2125 0343|151607|0333|0606|0640
100105163645413010|011016 0626|01103041420646|004022324345361605|36300444|400002324345361605|30100105163645433212 1203
004016|103041423313020110 130405163645443313|1636454130100103143443|0202 0606|1212 151607|310335|0242 0444|013305|01103041422324 2626
3432221324344341301001051646|062046 1434|00063645443303 0030414233 0333|4130100105163645|00063645413000|40000646 0333|400006 0333
413010010516364543 2343|0006 4046 0343|0020 1016 0626|4045361605|0006 4004 1346|000646|0600234046|06004640|100105163645413010
06003041423303|100105163645413010 2446|06003041423303 2346|413010010213334445361605|0040 2026|000516364540|002640
0016233640|0046 4006|002340 2326|00400646|10000616|0046|00101606|022042|0747|0011
12223336 341405162635|0006 0312223335261605|3322120305162635|3036 3322120305162635|043433221203051636|201116 0222|32372808 3322120305162635
0006 0312223336|0206 0000|121708 1010|0006 3205 1436|000516|0206 03122326 23324346|0206 0312223336|120305162635332212
0208 0312223335261605|3238 3322120305162635|0206 031222|3212031424352606|101526 0222|0205162635 3236|022642|0216233642|0236 3206
0226 4218|02320636|20111203141526|0007|00111223141506|03122332
`;

const strokes: string[][] = glyphs
  .trim()
  .split(/[|\n]/)
  .map((glyph) => glyph.split(' '));

const space = 3;
/** Between the right edge of a glyph and the next one. */
const gap = 1.7;

function glyph(character: string): string[] | undefined {
  return strokes[character.charCodeAt(0) - '!'.charCodeAt(0)];
}

function width(character: string): number {
  const xs = glyph(character)?.flatMap((stroke) => points(stroke).map(([x]) => x));
  return xs === undefined ? space : Math.max(...xs) + gap;
}

function points(stroke: string): [x: number, y: number][] {
  return (stroke.match(/../g) ?? []).map((pair) => [Number(pair[0]), Number(pair[1])]);
}

/** The text in the font's characters: letters lose their accents, what is left over becomes `?`. */
function drawable(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^ -~]/gu, '?');
}

/** Width of a text in grid units. */
export function textWidth(text: string): number {
  return [...drawable(text)].reduce((sum, character) => sum + width(character), 0);
}

/** As much of the text as fits, with `..` where something was left out. */
export function fit(text: string, units: number): string {
  if (textWidth(text) <= units) return text;
  let end = text.length;
  while (end > 0 && textWidth(`${text.slice(0, end)}..`) > units) end--;
  return `${text.slice(0, end).trimEnd()}..`;
}

/** Where and how a text is drawn. */
export interface TextStyle {
  /** Left end of the base line, px. */
  x: number;
  y: number;
  /** Pixels a grid unit; capitals are six units high. */
  scale: number;
  colour: string;
  /** Width of the strokes in grid units. @default 0.75 */
  pen?: number;
}

/** An SVG path of the text. */
export function text(content: string, { x, y, scale, colour, pen = 0.75 }: TextStyle): string {
  const at = ([px, py]: [number, number], left: number) =>
    `${(x + (left + px) * scale).toFixed(1)} ${(y + (py - 6) * scale).toFixed(1)}`;
  let left = 0;
  let path = '';
  for (const character of drawable(content)) {
    for (const stroke of glyph(character) ?? []) {
      path += `M${points(stroke)
        .map((point) => at(point, left))
        .join('L')}`;
    }
    left += width(character);
  }
  return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${(pen * scale).toFixed(2)}" stroke-linecap="round" stroke-linejoin="round"/>`;
}
