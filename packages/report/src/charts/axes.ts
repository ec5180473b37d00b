/** The frame of a chart: a plot area, round numbers along its sides, and where values lie in it. */
import type { Mark, Point } from '../drawing.ts';

/** Where a plot lies in its picture, and what its sides mean. */
export interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
  x: Axis;
  y: Axis;
}

/** A side of a plot. */
interface Axis {
  title: string;
  low: number;
  high: number;
  /** Values that are labelled. */
  ticks: readonly number[];
  format(value: number): string;
}

/** Where a pair of values lies, px. */
export function place({ left, top, width, height, x, y }: Frame, [a, b]: Point): Point {
  return [
    left + ((a - x.low) / (x.high - x.low)) * width,
    top + height - ((b - y.low) / (y.high - y.low)) * height,
  ];
}

/** Grid lines, labels and titles. */
export function drawFrame(frame: Frame): Mark[] {
  const { left, top, width, height, x, y } = frame;
  const marks: Mark[] = [];
  for (const value of y.ticks) {
    const [, at] = place(frame, [x.low, value]);
    const points = [
      [left, at],
      [left + width, at],
    ] as const;
    marks.push(
      { kind: 'line', points, stroke: 'grid' },
      {
        kind: 'label',
        x: left - 8,
        y: at + 4,
        content: y.format(value),
        size: 12,
        colour: 'muted',
        anchor: 'end',
      },
    );
  }
  for (const value of x.ticks) {
    const [at] = place(frame, [value, y.low]);
    const label = { x: at, y: top + height + 19, content: x.format(value), size: 12 };
    marks.push({ kind: 'label', ...label, colour: 'muted', anchor: 'middle' });
  }
  const bottom = [
    [left, top + height],
    [left + width, top + height],
  ] as const;
  marks.push(
    { kind: 'line', points: bottom, stroke: 'muted' },
    {
      ...{ kind: 'label', x: left + width / 2, y: top + height + 40, content: x.title },
      ...{ size: 12, colour: 'muted', anchor: 'middle' },
    },
    {
      ...{ kind: 'label', x: left - 54, y: top + height / 2, content: y.title },
      ...{ size: 12, colour: 'muted', anchor: 'middle', turn: -90 },
    },
  );
  return marks;
}

/** Round values, about `count` of them, from `low` to `high`; steps are 1, 2 or 5 times a power of ten. */
export function roundTicks(low: number, high: number, count: number, smallest = 0): number[] {
  const raw = Math.max((high - low) / count, smallest, Number.EPSILON);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => (first + i) * step);
}
