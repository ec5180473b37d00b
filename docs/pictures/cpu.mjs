// Draws cpu.svg, the picture of ../cpu.md: `node docs/pictures/cpu.mjs`.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ink = '#24292f';
const grey = '#57606a';
const colours = {
  image: '#9ec5fe',
  window: '#4c8dff',
  weights: '#ffe69c',
  sums: '#8fd6a3',
  transformed: '#d3c4f3',
};

/** A text; `anchor` is start, middle or end. */
const text = (x, y, words, { size = 13, anchor = 'middle', weight = 400, colour = ink } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}" font-weight="${weight}" fill="${colour}">${words}</text>`;

const box = (x, y, width, height, fill, { stroke = ink, round = 0, thick = 1 } = {}) =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${round}" fill="${fill}" stroke="${stroke}" stroke-width="${thick}"/>`;

const arrow = (path) =>
  `<path d="${path}" fill="none" stroke="${ink}" stroke-width="1.5" marker-end="url(#head)"/>`;

/** Cells of `size` pixels; `fill` is given row and column. */
const grid = (x, y, rows, columns, size, fill) =>
  Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return box(x + column * size, y + row * size, size, size, fill(row, column), { stroke: '#8c959f' });
  }).join('');

/** Images as they lie, the packed panel, and the tile of sums in registers. */
function direct() {
  const inside = (row, column) => row > 0 && row < 8 && column > 0 && column < 8;
  return [
    text(20, 28, 'Directly: a product of matrices that are never made', {
      size: 15,
      anchor: 'start',
      weight: 600,
    }),
    grid(20, 60, 9, 9, 18, (row, column) => (inside(row, column) ? colours.image : '#fff')),
    box(56, 78, 54, 54, 'none', { stroke: '#d1242f', thick: 2.5 }),
    box(74, 78, 54, 54, 'none', { stroke: '#d1242f', thick: 2.5 }),
    text(20, 242, 'the padded image, read where it lies;', { anchor: 'start' }),
    text(20, 259, 'a row of the product is a window', { anchor: 'start' }),
    arrow('M190 140 L258 140'),
    text(224, 131, 'one number', { size: 12, colour: grey }),
    text(224, 157, 'broadcast', { size: 12, colour: grey }),
    grid(270, 84, 7, 1, 16, () => colours.window),
    text(278, 216, '14 windows', { size: 12, colour: grey }),
    text(305, 145, '×', { size: 18 }),
    grid(322, 132, 1, 8, 16, () => colours.weights),
    text(392, 122, 'a row of a panel', { size: 12, colour: grey }),
    text(386, 165, '2 vectors of weights,', { size: 12, colour: grey }),
    text(386, 181, 'packed once a call', { size: 12, colour: grey }),
    arrow('M458 140 L500 140'),
    grid(512, 84, 7, 8, 16, () => colours.sums),
    text(576, 74, 'the tile: 14 x 2 vectors of sums', { size: 12, colour: grey }),
    text(576, 216, 'stay in registers for all terms', { size: 12, colour: grey }),
    arrow('M648 140 L700 140'),
    text(674, 131, 'once', { size: 12, colour: grey }),
    text(782, 131, 'bias, activation,'),
    text(782, 149, 'store as NHWC'),
    text(576, 242, 'the micro-kernel: one for each instruction set'),
  ];
}

/** A tile of inputs, its 36 numbers, the 36 products, the outputs. */
function transformed() {
  const y = 330;
  const matrices = (x, fill) =>
    [2, 1, 0].map((i) => box(x + i * 10, y + 10 + i * 10, 78, 60, fill, { round: 2 })).join('');
  return [
    text(20, y - 28, 'By transforms: 36 smaller products', { size: 15, anchor: 'start', weight: 600 }),
    grid(20, y, 6, 6, 18, (row, column) =>
      row > 0 && row < 5 && column > 0 && column < 5 ? colours.window : colours.image,
    ),
    text(20, y + 128, '6 x 6 positions, for', { anchor: 'start' }),
    text(20, y + 145, '4 x 4 outputs of 3 x 3 kernels', { anchor: 'start' }),
    arrow(`M136 ${y + 54} L226 ${y + 54}`),
    text(181, y + 45, 'Bᵀ d B', { weight: 600 }),
    matrices(238, colours.transformed),
    text(315, y + 128, '36 matrices: a row a tile,'),
    text(315, y + 145, 'a column an input map'),
    text(356, y + 60, '×', { size: 18 }),
    matrices(374, colours.weights),
    text(424, y - 2, 'G g Gᵀ, packed', { weight: 600 }),
    arrow(`M480 ${y + 54} L540 ${y + 54}`),
    text(510, y + 45, 'tiles', { size: 12, colour: grey }),
    text(510, y + 71, 'as above', { size: 12, colour: grey }),
    matrices(552, colours.sums),
    text(602, y + 128, '36 sums of each'),
    text(602, y + 145, 'tile and output map'),
    arrow(`M666 ${y + 54} L736 ${y + 54}`),
    text(701, y + 45, 'Aᵀ m A', { weight: 600 }),
    grid(750, y + 18, 4, 4, 18, () => colours.sums),
    text(786, y + 128, 'outputs, with bias'),
    text(786, y + 145, 'and activation'),
  ];
}

const parts = [...direct(), ...transformed()];
writeFileSync(
  join(import.meta.dirname, 'cpu.svg'),
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 490" width="880" height="490" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif">
<title>A convolution as tiles and panels, directly and by transforms</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="${ink}"/></marker></defs>
<rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
</svg>
`,
);
