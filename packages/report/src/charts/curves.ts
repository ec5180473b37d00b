/** Loss and error against epochs, of training and of validation, with the learning rate's drops marked. */
import { beside, type Drawing, type Mark, type Point, type Role } from '../drawing.ts';
import { drawFrame, type Frame, place, roundTicks } from './axes.ts';

/** An epoch, as the run's metrics have it. Errors are fractions. */
export interface Epoch {
  epoch: number;
  loss: number;
  train_top1_error: number;
  val_loss: number;
  top1_error: number;
  top5_error: number;
  lr: number;
}

/** A line of a chart. */
interface Series {
  name: string;
  colour: Role;
  dashed?: boolean;
  value(epoch: Epoch): number;
}

const size = { width: 460, height: 340 };
const plot = { left: 72, top: 82, width: 370, height: 200 };

/** The two charts of a run: loss, then error. */
export function drawCurves(epochs: readonly Epoch[]): [loss: Drawing, error: Drawing] {
  const loss: Series[] = [
    { name: 'training', colour: 'first', value: ({ loss }) => loss },
    { name: 'validation', colour: 'second', value: ({ val_loss }) => val_loss },
  ];
  const error: Series[] = [
    { name: 'training, top-1', colour: 'first', value: ({ train_top1_error }) => train_top1_error },
    { name: 'validation, top-1', colour: 'second', value: ({ top1_error }) => top1_error },
    { name: 'top-5', colour: 'second', dashed: true, value: ({ top5_error }) => top5_error },
  ];
  return [
    drawChart('Loss', 'cross-entropy, nats', loss, epochs, (value) => String(Number(value.toPrecision(3)))),
    drawChart(
      'Error',
      'share of images',
      error,
      epochs,
      (value) => `${Number((100 * value).toPrecision(3))} %`,
    ),
  ];
}

/** Both charts as one picture. */
export function drawCurvesTogether(epochs: readonly Epoch[]): Drawing {
  return beside(drawCurves(epochs), 20);
}

/** Epochs whose learning rate is lower than that of the one before. */
export function rateDrops(epochs: readonly Pick<Epoch, 'epoch' | 'lr'>[]): { epoch: number; lr: number }[] {
  return epochs.filter(({ lr }, index) => lr < (epochs[index - 1]?.lr ?? 0));
}

function drawChart(
  title: string,
  unit: string,
  series: readonly Series[],
  epochs: readonly Epoch[],
  format: (value: number) => string,
): Drawing {
  const values = series.flatMap(({ value }) => epochs.map(value)).filter(Number.isFinite);
  const frame = frameOf(epochs, Math.max(...values, 1e-3), unit, format);
  const marks: Mark[] = [
    { kind: 'label', x: 18, y: 26, content: title, size: 16, bold: true },
    ...drawLegend(series),
    ...drawFrame(frame),
    ...drawDrops(frame, epochs),
    ...series.flatMap((one) => drawLine(frame, one, epochs)),
  ];
  const last = epochs.at(-1);
  const ends = last
    ? series.map(({ name, value }) => `${name} ${format(value(last))}`).join(', ')
    : 'none yet';
  return {
    ...size,
    title: `${title} against epochs`,
    heading: 0,
    description: `After epoch ${last?.epoch ?? 0}: ${ends}.`,
    marks,
  };
}

function frameOf(
  epochs: readonly Epoch[],
  top: number,
  title: string,
  format: (value: number) => string,
): Frame {
  const [first, last] = [epochs[0]?.epoch ?? 1, epochs.at(-1)?.epoch ?? 1];
  const low = Math.max(first - 0.5, 0.5);
  const y = { title, low: 0, high: top * 1.05, ticks: roundTicks(0, top * 1.05, 5), format };
  const x = {
    title: 'epoch',
    low,
    high: last + 0.5,
    ticks: roundTicks(low, last + 0.5, 8, 1),
    format: String,
  };
  return { ...plot, x, y };
}

function drawLegend(series: readonly Series[]): Mark[] {
  return series.flatMap(({ name, colour, dashed }, index): Mark[] => {
    const left = plot.left + index * 132;
    const points: Point[] = [
      [left, 46],
      [left + 20, 46],
    ];
    return [
      { kind: 'line', points, stroke: colour, width: 2.5, dashed },
      { kind: 'label', x: left + 26, y: 50, content: name, size: 12, room: 106 },
    ];
  });
}

/** A line where the rate falls, with the new rate where there is room for it. */
function drawDrops(frame: Frame, epochs: readonly Epoch[]): Mark[] {
  let free = Number.NEGATIVE_INFINITY;
  return rateDrops(epochs).flatMap(({ epoch, lr }): Mark[] => {
    const [x] = place(frame, [epoch - 0.5, 0]);
    const points: Point[] = [
      [x, frame.top],
      [x, frame.top + frame.height],
    ];
    const line: Mark = { kind: 'line', points, stroke: 'muted', dashed: true };
    const content = `lr ${Number(lr.toPrecision(2))}`;
    const half = content.length * 3.4;
    if (x - half < free) return [line];
    free = x + half + 4;
    return [
      line,
      { kind: 'label', x, y: frame.top - 6, content, size: 11, colour: 'muted', anchor: 'middle' },
    ];
  });
}

/** A line of the values; one alone is a dot. Values that are not finite break nothing: they are left out. */
function drawLine(frame: Frame, { colour, dashed, value }: Series, epochs: readonly Epoch[]): Mark[] {
  const known = epochs.filter((epoch) => Number.isFinite(value(epoch)));
  const points = known.map((epoch) => place(frame, [epoch.epoch, value(epoch)]));
  const line: Mark = { kind: 'line', points, stroke: colour, width: 2.5, dashed };
  const dots = known.length > 30 ? [] : points;
  return [
    line,
    ...dots.map(
      ([x, y]): Mark => ({
        kind: 'rectangle',
        x: x - 3,
        y: y - 3,
        width: 6,
        height: 6,
        round: 3,
        fill: colour,
      }),
    ),
  ];
}
