/**
 * Is a model right as often as it says it is? Bars of the accuracy by confidence, the gap to the diagonal in another
 * colour (A. Niculescu-Mizil, R. Caruana 2005), and below how many images have that confidence.
 */
import type { Drawing, Mark, Point } from '../drawing.ts';
import { drawFrame, type Frame, place } from './axes.ts';

/** Images whose highest probability lies between `low` and `high`. */
interface ConfidenceBin {
  low: number;
  high: number;
  images: number;
  /** Mean of their highest probabilities, 0 to 1. */
  confidence: number;
  /** Share of them that are right. */
  accuracy: number;
}

/** What is drawn: the bins and their expected calibration error, 0 to 1. */
export interface Calibration {
  bins: readonly ConfidenceBin[];
  ece: number;
}

const percent = (value: number) => `${Math.round(100 * value)} %`;
const tenths = [0, 0.2, 0.4, 0.6, 0.8, 1];

/** The diagram and the histogram under it. */
export function drawReliability({ bins, ece }: Calibration): Drawing {
  const x = { title: '', low: 0, high: 1, ticks: tenths, format: percent };
  const y = { title: 'accuracy', low: 0, high: 1, ticks: tenths, format: percent };
  const upper: Frame = { left: 72, top: 66, width: 370, height: 240, x: { ...x, ticks: [] }, y };
  const most = Math.max(...bins.map(({ images }) => images), 1);
  const share = { title: 'images', low: 0, high: most, ticks: [], format: String };
  const lower: Frame = {
    left: 72,
    top: 322,
    width: 370,
    height: 70,
    x: { ...x, title: 'confidence' },
    y: share,
  };
  const diagonal: Point[] = [place(upper, [0, 0]), place(upper, [1, 1])];
  const marks: Mark[] = [
    { kind: 'label', x: 18, y: 26, content: 'Reliability', size: 16, bold: true },
    { kind: 'label', x: 442, y: 26, content: `ECE ${(100 * ece).toFixed(2)} %`, size: 14, anchor: 'end' },
    ...legend,
    ...drawFrame(upper),
    ...bins.flatMap((bin) => (bin.images === 0 ? [] : drawBin(upper, bin))),
    { kind: 'line', points: diagonal, stroke: 'ink', dashed: true },
    ...drawFrame(lower),
    ...bins.map((bin) => drawCount(lower, bin)),
  ];
  const verdict = verdictOf(bins);
  return {
    ...{ width: 460, height: 440, title: 'Reliability of the confidences', heading: 32 },
    description: `Expected calibration error ${(100 * ece).toFixed(2)} %. ${verdict}`,
    marks,
  };
}

const legend: readonly Mark[] = [
  { kind: 'rectangle', x: 72, y: 40, width: 12, height: 12, fill: 'first' },
  { kind: 'label', x: 90, y: 50, content: 'accuracy', size: 12 },
  { kind: 'rectangle', x: 162, y: 40, width: 12, height: 12, fill: 'second', opacity: 0.45 },
  { kind: 'label', x: 180, y: 50, content: 'gap to the confidence', size: 12 },
];

/** Accuracy as a bar, and from there to the mean confidence the gap. */
function drawBin(frame: Frame, { low, high, images, confidence, accuracy }: ConfidenceBin): Mark[] {
  const bar = (from: number, to: number) => {
    const [left, top] = place(frame, [low, Math.max(from, to)]);
    const [right, bottom] = place(frame, [high, Math.min(from, to)]);
    return { x: left + 1, y: top, width: right - left - 2, height: bottom - top };
  };
  const tip = `confidence ${percent(low)} to ${percent(high)}: ${images} images, ${percent(accuracy)} right, ${percent(confidence)} said`;
  const [left, top] = place(frame, [low, accuracy]);
  const [right] = place(frame, [high, accuracy]);
  const edge: Point[] = [
    [left + 1, top],
    [right - 1, top],
  ];
  return [
    { kind: 'rectangle', ...bar(0, accuracy), fill: 'first', tip },
    { kind: 'rectangle', ...bar(accuracy, confidence), fill: 'paper' },
    { kind: 'rectangle', ...bar(accuracy, confidence), fill: 'second', opacity: 0.45, tip },
    { kind: 'line', points: edge, stroke: 'first', width: 3 },
  ];
}

function drawCount(frame: Frame, { low, high, images }: ConfidenceBin): Mark {
  const [left, top] = place(frame, [low, images]);
  const [right, bottom] = place(frame, [high, 0]);
  const tip = `confidence ${percent(low)} to ${percent(high)}: ${images} images`;
  return {
    ...{ kind: 'rectangle', x: left + 1, y: top, width: right - left - 2, height: bottom - top },
    ...{ fill: 'muted', opacity: 0.55, tip },
  };
}

/** Whether it says too much or too little, on the average. */
function verdictOf(bins: readonly ConfidenceBin[]): string {
  const images = bins.reduce((sum, bin) => sum + bin.images, 0);
  const excess =
    bins.reduce((sum, bin) => sum + bin.images * (bin.confidence - bin.accuracy), 0) / (images || 1);
  const points = `${Math.abs(100 * excess).toFixed(1)} points`;
  return excess > 0
    ? `On the average it is ${points} more confident than right.`
    : `On the average it is ${points} less confident than right.`;
}
