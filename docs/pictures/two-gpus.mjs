// Draws exchange.svg and streams.svg, the pictures of ../two-towers.md: `node docs/pictures/two-gpus.mjs`.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ink = '#24292f';
const colours = {
  tower: ['#9ec5fe', '#ffc078'],
  forward: '#bcd6ff',
  input: '#ffc9a8',
  weight: '#ffe69c',
  other: '#dfe3e8',
  exchange: '#8fd6a3',
  copy: '#d3c4f3',
};

/** A text; `anchor` is start, middle or end. */
const text = (x, y, words, { size = 13, anchor = 'middle', weight = 400, colour = ink } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}" font-weight="${weight}" fill="${colour}">${words}</text>`;

const box = (x, y, width, height, fill, { stroke = ink, dash = '', round = 3 } = {}) =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${round}" fill="${fill}" stroke="${stroke}"${dash && ` stroke-dasharray="${dash}"`}/>`;

const arrow = (path, colour = ink) =>
  `<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.5" marker-end="url(#head)"/>`;

const picture = (width, height, title, parts) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif">
<title>${title}</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="${ink}"/></marker></defs>
<rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
</svg>
`;

/** Maps of several positions, side by side: each position is a run of cells in the colours of the towers. */
const positions = (x, y, towers, count, cell) =>
  Array.from({ length: count * towers.length }, (_, index) =>
    box(x + index * cell, y, cell, 26, colours.tower[towers[index % towers.length]], { round: 0 }),
  ).join('');

/** What crosses the gap on the way forward and on the way back. */
function exchange() {
  const [left, width, right] = [[20, 550], 390, 940];
  const parts = [];
  /** Four positions of maps beside the gap, and what they are. */
  const row = (gpu, y, tower, label) => {
    const x = gpu === 0 ? left[0] + width - 158 : left[1] + 14;
    const [at, anchor] = gpu === 0 ? [x - 12, 'end'] : [x + 156, 'start'];
    parts.push(positions(x, y, [tower], 4, 36), text(at, y + 18, label, { anchor }));
  };
  const gathered = (gpu, y, label) => {
    const middle = left[gpu] + width / 2;
    parts.push(positions(middle - 144, y, [0, 1], 4, 36), text(middle, y + 44, label));
  };
  /** Copies in both directions, from rows at `from` to rows at `to`. */
  const copies = (from, to) => {
    const [a, b] = [left[0] + width - 14, left[1] + 14];
    parts.push(
      arrow(`M${a + 4} ${from + 13} L${b - 6} ${to + 13}`),
      arrow(`M${b - 4} ${from + 13} L${a + 6} ${to + 13}`),
      text(right / 2 + 10, from + 4, 'copies', { colour: '#1a7f37', weight: 600 }),
    );
  };
  for (const gpu of [0, 1]) {
    const [x, beside] = [left[gpu], gpu === 0 ? left[0] + width - 86 : left[1] + 86];
    const [at, anchor] = gpu === 0 ? [beside - 12, 'end'] : [beside + 12, 'start'];
    const down = (y, to, label) =>
      parts.push(arrow(`M${beside} ${y} L${beside} ${to}`), text(at, (y + to) / 2 + 4, label, { anchor }));
    parts.push(
      box(x, 34, width, 520, '#f6f8fa', { stroke: '#afb8c1', round: 8 }),
      text(x + width / 2, 22, `GPU ${gpu}: tower ${gpu}`, { size: 15, weight: 600 }),
      text(x + 14, 58, 'Forward, before conv3', { anchor: 'start', weight: 600 }),
    );
    row(gpu, 74, gpu, 'maps of conv2');
    row(gpu, 124, 1 - gpu, 'staging buffer');
    down(154, 180, 'interleave both');
    gathered(gpu, 184, 'tower 0’s maps, then tower 1’s, at each position');
    parts.push(
      `<line x1="${x + 14}" x2="${x + width - 14}" y1="250" y2="250" stroke="#afb8c1"/>`,
      text(x + 14, 276, 'Backward, after conv3', { anchor: 'start', weight: 600 }),
    );
    gathered(gpu, 290, 'gradient of what conv3 has read');
    down(340, 366, 'pack');
    row(gpu, 370, 1 - gpu, 'the other tower’s share');
    row(gpu, 426, gpu, 'staging buffer');
    down(456, 490, 'add the own share, in tower order');
    row(gpu, 494, gpu, 'gradient of the maps of conv2');
  }
  copies(74, 124);
  copies(370, 426);
  return picture(960, 570, 'What two GPUs exchange', parts);
}

/** A layer with weights: how long its forward pass and its gradients take, in pixels; `gather` where it reads both towers. */
const layers = [
  { name: 'conv1', forward: 50, weight: 52 },
  { name: 'conv2', forward: 62, input: 58, weight: 60 },
  { name: 'conv3', forward: 46, input: 46, weight: 54, gather: 26 },
  { name: 'conv4', forward: 40, input: 40, weight: 42 },
  { name: 'conv5', forward: 38, input: 38, weight: 38 },
  { name: 'fc6', forward: 26, input: 22, weight: 28, gather: 14 },
  { name: 'fc7', forward: 24, input: 20, weight: 24, gather: 12 },
  { name: 'fc8', forward: 24, input: 18, weight: 20, gather: 12, alone: true },
];

/** When each stream does what, one GPU like the other but for fc8: events decide, nothing else. */
function schedule() {
  const streams = ['compute', 'exchange', 'copy'];
  const done = [0, 1].map(() => Object.fromEntries(streams.map((stream) => [stream, []])));
  const now = [0, 0];
  /** The exchange under way on each GPU ends then. */
  const met = [0, 0];
  const compute = (gpu, words, kind, length) => {
    done[gpu].compute.push({ words, kind, at: now[gpu], length });
    now[gpu] += length;
  };
  const both = (layer, act) => [0, 1].filter((gpu) => gpu === 0 || !layer.alone).forEach(act);
  const meet = (length, gpus) => {
    const at = Math.max(...now);
    for (const gpu of gpus) {
      done[gpu].exchange.push({ words: '', kind: 'exchange', at, length });
      met[gpu] = at + length;
    }
    return at;
  };
  const wait = (gpu) => {
    now[gpu] = Math.max(now[gpu], met[gpu]);
  };
  const marks = [];

  for (const gpu of [0, 1]) compute(gpu, '', 'other', 12);
  for (const gpu of [0, 1])
    done[gpu].copy.push({ words: 'next batch', kind: 'copy', at: now[gpu], length: 420 });
  for (const layer of layers) {
    if (layer.gather) {
      const at = meet(layer.gather, layer.alone ? [0] : [0, 1]);
      if (layer.name === 'conv3') marks.push({ at, to: met[0] });
    }
    both(layer, (gpu) => {
      wait(gpu);
      compute(gpu, layer.name, 'forward', layer.forward);
    });
  }
  for (const layer of layers.toReversed()) {
    both(layer, (gpu) => {
      wait(gpu);
      if (layer.input) compute(gpu, layer.name, 'input', layer.input);
    });
    if (layer.gather) {
      const at = meet(layer.gather, layer.alone ? [1] : [0, 1]);
      if (layer.name === 'conv3') marks.push({ at, to: met[0] });
    }
    both(layer, (gpu) => compute(gpu, layer.name, 'weight', layer.weight));
  }
  for (const gpu of [0, 1]) compute(gpu, 'update', 'other', 52);
  return { done, marks };
}

/** What the streams of both GPUs do during a step. */
function streams() {
  const { done, marks } = schedule();
  const [x0, lane, top] = [128, 38, [64, 208]];
  const names = ['compute', 'exchange', 'copy'];
  const parts = [];
  for (const gpu of [0, 1]) {
    const y = top[gpu];
    parts.push(
      box(10, y - 9, 1130, 3 * lane + 10, '#f6f8fa', { stroke: '#afb8c1', round: 8 }),
      `<g transform="rotate(-90 34 ${y + 54})">${text(34, y + 54, `GPU ${gpu}`, { size: 15, weight: 600 })}</g>`,
    );
    names.forEach((name, index) => {
      const at = y + index * lane;
      parts.push(text(x0 - 10, at + 20, name, { anchor: 'end' }));
      for (const { words, kind, at: from, length } of done[gpu][name]) {
        parts.push(box(x0 + from, at, length, 30, colours[kind], { round: 1 }));
        if (words) parts.push(text(x0 + from + length / 2, at + 19, words, { size: length < 40 ? 10 : 12 }));
      }
    });
  }
  const notes = ['the maps of conv2 cross', 'the gradient crosses while that of conv3’s weights is computed'];
  marks.forEach(({ at }, index) => {
    const x = x0 + at;
    parts.push(
      `<path d="M${x} ${top[0] - 24} V${top[1] + lane + 30}" stroke="#1a7f37" stroke-dasharray="4 3"/>`,
      text(x, top[0] - 30, notes[index], { colour: '#1a7f37' }),
    );
  });
  const legend = [
    ['forward', 'forward'],
    ['input', 'gradient of a layer’s input'],
    ['weight', 'gradient of its weights'],
    ['exchange', 'exchange with the other GPU'],
    ['copy', 'host to device'],
    ['other', 'crops; update'],
  ];
  let x = x0;
  for (const [kind, words] of legend) {
    parts.push(
      box(x, 350, 16, 16, colours[kind], { round: 1 }),
      text(x + 22, 363, words, { anchor: 'start' }),
    );
    x += 52 + words.length * 6.4;
  }
  parts.push(text(1130, 350 - 8, 'time →', { anchor: 'end' }));
  return picture(1150, 384, 'What the streams of two GPUs do during a training step', parts);
}

writeFileSync(join(import.meta.dirname, 'exchange.svg'), exchange());
writeFileSync(join(import.meta.dirname, 'streams.svg'), streams());
