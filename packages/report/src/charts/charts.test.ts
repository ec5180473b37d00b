import { expect, test } from 'vitest';
import type { Drawing } from '../drawing.ts';
import { place, roundTicks } from './axes.ts';
import { drawBreakdown } from './breakdown.ts';
import { drawConfusion, worstClasses } from './confusion.ts';
import { drawCurves, type Epoch, rateDrops } from './curves.ts';
import { drawReliability } from './reliability.ts';
import { drawTraffic, towerLayers, trafficTotals } from './traffic.ts';

const labels = ({ marks }: Drawing) => marks.flatMap((mark) => (mark.kind === 'label' ? [mark.content] : []));
const rectangles = ({ marks }: Drawing) => marks.flatMap((mark) => (mark.kind === 'rectangle' ? [mark] : []));
const lines = ({ marks }: Drawing) => marks.flatMap((mark) => (mark.kind === 'line' ? [mark] : []));

const epoch = (number: number, loss: number, lr: number): Epoch => ({
  ...{ epoch: number, loss, val_loss: loss / 2, lr },
  ...{ train_top1_error: 0.5, top1_error: 0.4, top5_error: 0.1 },
});

test('ticks are round', () => {
  expect(roundTicks(0, 2.3, 5)).toEqual([0, 0.5, 1, 1.5, 2]);
  expect(roundTicks(0.5, 8.5, 8, 1)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  const axis = { title: '', low: 0, high: 10, ticks: [], format: String };
  expect(place({ left: 5, top: 10, width: 100, height: 50, x: axis, y: axis }, [5, 10])).toEqual([55, 10]);
});

test('curves fall where the loss does, and drops of the rate are marked with the new one', () => {
  const epochs = [epoch(1, 2, 0.01), epoch(2, 1, 0.01), epoch(3, 0.5, 0.001)];
  const [loss, error] = drawCurves(epochs);
  const training = lines(loss).find(({ stroke, points }) => stroke === 'first' && points.length === 3);
  const heights = training?.points.map(([, y]) => y) ?? [];
  // Twice the loss stands twice as far above the base line.
  expect((282 - (heights[0] ?? 0)) / (282 - (heights[1] ?? 0))).toBeCloseTo(2);
  expect(rateDrops(epochs)).toMatchObject([{ epoch: 3, lr: 0.001 }]);
  expect(labels(loss)).toContain('lr 0.001');
  expect(error.description).toContain('validation, top-1 40 %');
});

test('no epoch, one epoch and a loss that is not finite are drawn too', () => {
  for (const epochs of [[], [epoch(1, 2, 0.01)], [epoch(1, Number.NaN, 0.01), epoch(2, 1, 0.01)]]) {
    for (const chart of drawCurves(epochs)) {
      const numbers = JSON.stringify(chart.marks);
      expect(numbers).not.toContain('null');
    }
  }
});

test('the confusion of few classes is shown whole, that of many where most is mistaken', () => {
  const small = drawConfusion({ classes: 2, counts: Uint32Array.of(3, 1, 0, 4) }, ['dog', 'cat']);
  expect(labels(small)).toEqual(expect.arrayContaining(['dog', 'cat', '3', '1', '4']));
  expect(small.description).toContain('dog taken for cat, 1 times');
  const classes = 1000;
  const counts = new Uint32Array(classes * classes);
  for (let i = 0; i < classes; i++) counts[i * classes + i] = 50;
  counts[700 * classes + 30] = 9;
  counts[30 * classes + 999] = 8;
  const worst = worstClasses({ classes, counts }, 24);
  expect(worst).toHaveLength(24);
  expect(worst).toEqual(expect.arrayContaining([30, 700, 999]));
  const big = drawConfusion(
    { classes, counts },
    Array.from({ length: classes }, (_, i) => `class ${i}`),
  );
  expect(labels(big)[0]).toContain('24 of 1,000');
  // A shade a cell that is not empty: 24 right ones and two mistakes, on the ground.
  expect(rectangles(big)).toHaveLength(1 + 24 + 2);
});

test('a confident model that is wrong has a gap above its bar', () => {
  const bins = [
    { low: 0, high: 0.5, images: 0, confidence: 0, accuracy: 0 },
    { low: 0.5, high: 1, images: 10, confidence: 0.9, accuracy: 0.6 },
  ];
  const drawing = drawReliability({ bins, ece: 0.3 });
  expect(labels(drawing)).toContain('ECE 30.00 %');
  expect(drawing.description).toContain('30.0 points more confident than right');
  const bar = rectangles(drawing).find(({ fill, tip }) => fill === 'first' && tip);
  const gap = rectangles(drawing).find(({ fill, tip }) => fill === 'second' && tip);
  expect(bar?.height).toBeCloseTo(0.6 * 240);
  expect(gap?.height).toBeCloseTo(0.3 * 240);
  expect((gap?.y ?? 0) + (gap?.height ?? 0)).toBeCloseTo(bar?.y ?? 0);
});

test('what crosses is what a layer reads of the other tower; a joined layer reads it one way', () => {
  const net = {
    ...{ name: 'small', towers: 2, crop: 8 },
    layers: [
      { type: 'conv', name: 'conv1' },
      { type: 'max_pool' },
      { type: 'conv', name: 'conv2', reads: 'both' as const },
      { type: 'dense', name: 'fc3', reads: 'both' as const, joined: true },
    ],
  };
  const summary = [
    { shape: [8, 8, 4], towers: 2 },
    { shape: [4, 4, 4], towers: 2 },
    { shape: [4, 4, 2], towers: 2 },
    { shape: [10], towers: 1 },
  ];
  const layers = towerLayers(net, summary);
  expect(layers).toEqual([
    { name: 'conv1', shape: [4, 4, 4], towers: 2, own: 768, other: 0 },
    { name: 'conv2', shape: [4, 4, 2], towers: 2, own: 256, other: 256 },
    { name: 'fc3', shape: [10], towers: 1, own: 128, other: 128 },
  ]);
  expect(trafficTotals(layers)).toEqual({ inside: 2 * 256 + 128, across: 2 * 256 + 128 });
  expect(labels(drawTraffic(net, layers))).toEqual(expect.arrayContaining(['each way', 'one way']));
  const single = { ...net, towers: 1 };
  const alone = drawTraffic(single, towerLayers(single, summary));
  expect(alone.description).toContain('nothing crosses');
  expect(labels(alone)).not.toContain('crosses');
});

test('bars of a step are as long as their parts take, of the limit that holds them', () => {
  const part = { layer: 'conv1', kind: 'conv', pass: 'forward', seconds: 0.04, flops: 2e9, bytes: 1e6 };
  const step = {
    ...{ name: 'step/small/batch2', batch: 2, seconds: 0.1, rest: 0.01, fma_peak: 100, memory: 10 },
    parts: [
      part,
      { ...part, kind: 'norm+pool', seconds: 0.01, flops: 0, bytes: 5e7 },
      { ...part, pass: 'weight-gradient', seconds: 0.04 },
    ],
  };
  const drawing = drawBreakdown(step);
  const bars = rectangles(drawing).filter(({ tip }) => tip !== undefined);
  expect(bars.map(({ tip }) => tip)).toEqual([
    'conv1 forward: 40.0 ms',
    'conv1 weight-gradient: 40.0 ms',
    'conv1 norm+pool forward: 10.0 ms',
    'rest: 10.0 ms',
  ]);
  const widths = bars.map(({ width }) => width);
  expect((widths[0] ?? 0) / (widths[2] ?? 1)).toBeCloseTo(4);
  expect(bars[1]?.x).toBeCloseTo((bars[0]?.x ?? 0) + (widths[0] ?? 0));
  // 4 GFLOP in 80 ms are 50 GFLOP/s, 50 MB in 10 ms are 5 GB/s.
  expect(labels(drawing)).toEqual(
    expect.arrayContaining(['80.0 %, 50 % of FMA peak', '10.0 %, 50 % of memory', '10.0 %']),
  );
  expect(drawing.description).toContain('100 ms, 20.0 images/s');
  const tiny = (layer: string) => ({ ...part, layer, kind: 'dropout', seconds: 0.0001 });
  const folded = drawBreakdown({ ...step, parts: [...step.parts, tiny('fc6'), tiny('fc7')] });
  expect(labels(folded)).toEqual(expect.arrayContaining(['2 shorter ones', '0.2 %']));
  expect(labels(folded)).not.toContain('fc6 dropout');
});
