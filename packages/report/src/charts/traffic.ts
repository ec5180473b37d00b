/** What crosses between the towers, layer by layer, against what stays inside: two rows as in the paper's figure 2. */
import type { Drawing, Mark, Point } from '../drawing.ts';

/** A layer with weights: what it makes, and what each tower reads for one image. Bytes are of f32 numbers. */
export interface TowerLayer {
  name: string;
  /** What one tower makes, after the pool that may follow: `[rows, columns, maps]` or `[units]`. */
  shape: readonly number[];
  /** Towers that compute it: 1 where it is joined. */
  towers: number;
  /** What each tower that computes it reads of its own maps. */
  own: number;
  /** What each tower that computes it reads of the other's. */
  other: number;
}

/** What a description says of a layer, as far as traffic goes. */
interface DescribedLayer {
  type: string;
  name?: string;
  reads?: 'own' | 'both' | undefined;
  joined?: boolean | undefined;
}

const bytesPerNumber = 4;

/**
 * The layers with weights, from the description of a net and its summary, which lists the same layers in the same order.
 * The first one reads the image, which both towers are given: nothing of it crosses.
 */
export function towerLayers(
  net: { towers: number; crop: number; layers: readonly DescribedLayer[] },
  summary: readonly { shape: readonly number[]; towers: number }[],
): TowerLayer[] {
  const found: TowerLayer[] = [];
  let input = net.crop * net.crop * 3;
  let isImage = true;
  for (const [index, layer] of net.layers.entries()) {
    const { shape = [], towers = 1 } = summary[index] ?? {};
    const elements = shape.reduce((product, side) => product * side, 1);
    if (layer.name !== undefined) {
      const crosses = !isImage && net.towers === 2 && (layer.reads === 'both' || layer.joined === true);
      const bytes = input * bytesPerNumber;
      found.push({ name: layer.name, shape, towers, own: bytes, other: crosses ? bytes : 0 });
      isImage = false;
    } else {
      const last = found.at(-1);
      if (last !== undefined) last.shape = shape;
    }
    input = elements;
  }
  return found;
}

/** Sums over the layers after the first, which reads the image: bytes an image on the way forward. */
export function trafficTotals(layers: readonly TowerLayer[]): { inside: number; across: number } {
  const sum = (value: (layer: TowerLayer) => number) =>
    layers.slice(1).reduce((total, layer) => total + layer.towers * value(layer), 0);
  return { inside: sum(({ own }) => own), across: sum(({ other }) => other) };
}

const box = { width: 76, height: 58, gap: 52 };
const rows = [92, 232] as const;
const left = 20;

/** The diagram. */
export function drawTraffic(net: { name: string; towers: number }, layers: readonly TowerLayer[]): Drawing {
  const step = box.width + box.gap;
  const { inside, across } = trafficTotals(layers);
  const towers = Array.from({ length: net.towers }, (_, tower) => tower);
  const marks: Mark[] = [
    { kind: 'label', x: left, y: 26, content: 'What crosses between the towers', size: 16, bold: true },
    { kind: 'label', x: left, y: 48, content: headline(net, inside, across), size: 12, colour: 'muted' },
    ...drawKey(net.towers),
  ];
  const isJoined = (index: number) => (layers[index]?.towers ?? net.towers) < net.towers;
  const top = (index: number, tower: number) => (isJoined(index) ? rows[0] : (rows[tower] ?? rows[0]));
  for (const [index, layer] of layers.entries()) {
    const x = left + 70 + index * step;
    for (const tower of towers) {
      const from: Point = [index === 0 ? left + 52 : x - box.gap, (rows[tower] ?? rows[0]) + box.height / 2];
      const reads = (target: number) => !isJoined(index) || target === 0;
      if (reads(tower))
        marks.push(...arrow(from, [x, top(index, tower) + box.height / 2], 'first', layer.own));
      if (layer.other > 0 && reads(1 - tower)) {
        const slope = tower === 0 ? 12 : -12;
        const to: Point = [x, top(index, 1 - tower) + box.height / 2 - slope];
        const start: Point = [from[0], from[1] + (isJoined(index) ? 0 : slope)];
        marks.push(...arrow(start, to, 'second', layer.other));
      }
    }
    for (const tower of towers.slice(0, layer.towers)) marks.push(...drawBox(layer, x, top(index, tower)));
    marks.push(...drawBytes(layer, index === 0 ? x - 24 : x - box.gap / 2, index === 0, net.towers));
  }
  for (const tower of towers) {
    const y = (rows[tower] ?? rows[0]) + box.height / 2;
    marks.push({ kind: 'label', x: left, y: y - 4, content: `tower ${tower}`, size: 12, bold: true });
    marks.push({ kind: 'label', x: left, y: y + 12, content: 'image', size: 12, colour: 'muted' });
  }
  return {
    width: left + 70 + layers.length * step - box.gap + left,
    height: net.towers === 2 ? 376 : 236,
    title: 'What crosses between the towers',
    description: headline(net, inside, across),
    heading: 54,
    marks,
  };
}

function headline(
  { name, towers }: { name: string; towers: number },
  inside: number,
  across: number,
): string {
  if (towers < 2) return `${name} has one tower: nothing crosses.`;
  const share = across / (inside + across || 1);
  return `${name}, forward in f32: ${kilobytes(across)} an image cross, ${kilobytes(inside)} stay inside; ${(100 * share).toFixed(1)} % crosses. Training sends as much back.`;
}

function drawKey(towers: number): Mark[] {
  const key: Mark[] = [
    {
      kind: 'line',
      points: [
        [left, 68],
        [left + 24, 68],
      ],
      stroke: 'first',
      width: 3,
    },
    { kind: 'label', x: left + 30, y: 72, content: 'stays inside', size: 12 },
    {
      kind: 'line',
      points: [
        [left + 124, 68],
        [left + 148, 68],
      ],
      stroke: 'second',
      width: 3,
    },
    { kind: 'label', x: left + 154, y: 72, content: 'crosses', size: 12 },
  ];
  return key.slice(0, 2 * towers);
}

function drawBox({ name, shape }: TowerLayer, x: number, y: number): Mark[] {
  const [rows = 1, columns = 1, maps] = shape;
  const size = maps === undefined ? `${rows}` : `${rows} x ${columns} x ${maps}`;
  const label = { x: x + box.width / 2, anchor: 'middle', room: box.width - 6 } as const;
  return [
    {
      kind: 'rectangle',
      x,
      y,
      width: box.width,
      height: box.height,
      fill: 'soft',
      stroke: 'muted',
      round: 5,
    },
    { kind: 'label', ...label, y: y + 26, content: name, size: 14, bold: true },
    { kind: 'label', ...label, y: y + 44, content: size, size: 10, colour: 'muted' },
  ];
}

/** Under the arrows: what each tower gets of its own and of the other's. */
function drawBytes({ own, other, towers }: TowerLayer, x: number, isImage: boolean, all: number): Mark[] {
  const y = (all === 2 ? rows[1] : rows[0]) + box.height + 34;
  const label = { x, size: 11, anchor: 'middle' } as const;
  const ways = towers < all ? 'one way' : 'each way';
  return [
    { kind: 'label', ...label, y, content: kilobytes(own), colour: 'first' },
    ...(isImage && all === 2
      ? ([{ kind: 'label', ...label, y: y + 15, content: 'each', colour: 'muted' }] as const)
      : []),
    ...(other > 0
      ? ([
          { kind: 'label', ...label, y: y + 20, content: kilobytes(other), colour: 'second', bold: true },
          { kind: 'label', ...label, y: y + 35, content: ways, colour: 'second' },
        ] as const)
      : []),
  ];
}

/** As thick as the square root of the bytes, so that small flows are seen beside large ones. */
function arrow(from: Point, to: Point, role: 'first' | 'second', bytes: number): Mark[] {
  const width = Math.min(Math.max(Math.sqrt(bytes) / 60, 1.2), 7);
  const head = 4 + width;
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
  const [dx, dy] = [(to[0] - from[0]) / length, (to[1] - from[1]) / length];
  const neck: Point = [to[0] - dx * head, to[1] - dy * head];
  const side = (sign: number): Point => [neck[0] - sign * dy * head * 0.6, neck[1] + sign * dx * head * 0.6];
  return [
    { kind: 'line', points: [from, neck], stroke: role, width: Math.round(width * 10) / 10 },
    { kind: 'area', points: [to, side(1), side(-1)], fill: role },
  ];
}

const kilobytes = (bytes: number) => {
  const value = bytes / 1000;
  return `${value >= 100 ? Math.round(value).toLocaleString('en-US') : Number(value.toPrecision(2))} kB`;
};
