/** Where the time of a training step goes: a bar for each layer and what follows it, with the share of the hardware's limit. */
import type { Drawing, Mark, Role } from '../drawing.ts';

/** A step in parts, as `ilsvrc bench step --breakdown` measures it. Seconds, operations and bytes are of a whole step. */
export interface StepTimes {
  name: string;
  batch: number;
  seconds: number;
  /** Seconds that no part covers. */
  rest: number;
  /** GFLOP/s. */
  fma_peak: number;
  /** GB/s. */
  memory: number;
  parts: readonly StepPart[];
}

interface StepPart {
  kind: string;
  layer: string;
  pass: string;
  seconds: number;
  flops: number;
  bytes: number;
}

/** The parts that share a bar. */
interface Row {
  title: string;
  parts: StepPart[];
}

const [left, plot, pitch, top] = [170, 330, 22, 96];
const right = 190;

/** Forward, what goes to the layer before, and what goes to the weights. */
const passes: Record<string, { colour: Role; opacity?: number; about: string }> = {
  forward: { colour: 'first', about: 'forward' },
  'input-gradient': { colour: 'second', about: 'gradient of the input' },
  'weight-gradient': { colour: 'second', opacity: 0.5, about: 'gradient of the weights' },
};
const shades = Object.values(passes);

/** The bars, in the order of the forward pass. */
export function drawBreakdown(step: StepTimes): Drawing {
  const rest = { kind: 'rest', layer: '', pass: '', seconds: Math.max(step.rest, 0), flops: 0, bytes: 0 };
  const rows = foldSmall(rowsOf([...step.parts, rest]), step.seconds);
  const longest = Math.max(...rows.map(({ parts }) => sum(parts, 'seconds')));
  const title = 'Where the time of a training step goes';
  const rate = (step.batch / step.seconds).toFixed(1);
  const headline = `${step.name}: ${(step.seconds * 1000).toFixed(0)} ms, ${rate} images/s; both towers together`;
  const marks: Mark[] = [
    { kind: 'label', x: 18, y: 26, content: title, size: 16, bold: true },
    { kind: 'label', x: 18, y: 48, content: headline, size: 12, colour: 'muted' },
  ];
  for (const [index, { colour, opacity, about }] of shades.entries()) {
    const x = left + index * 150;
    marks.push(
      { kind: 'rectangle', x, y: 64, width: 12, height: 12, fill: colour, opacity },
      { kind: 'label', x: x + 18, y: 74, content: about, size: 12 },
    );
  }
  for (const [index, { title, parts }] of rows.entries()) {
    const y = top + index * pitch;
    marks.push({ kind: 'label', x: left - 8, y: y + 12, content: title, size: 12, anchor: 'end' });
    let x = left;
    for (const { pass, seconds } of parts) {
      const width = (plot * seconds) / longest;
      const { colour, opacity } = shadeOf(pass);
      const tip = `${`${title} ${pass}`.trim()}: ${(seconds * 1000).toFixed(1)} ms`;
      marks.push({ kind: 'rectangle', x, y, width, height: pitch - 6, fill: colour, opacity, tip });
      x += width;
    }
    const share = `${((100 * sum(parts, 'seconds')) / step.seconds).toFixed(1)} %`;
    const content = [share, ofLimit(parts, step)].filter((text) => text !== '').join(', ');
    marks.push({ kind: 'label', x: x + 8, y: y + 12, content, size: 12, colour: 'muted' });
  }
  const [first] = rows.toSorted((a, b) => sum(b.parts, 'seconds') - sum(a.parts, 'seconds'));
  return {
    width: left + plot + right,
    height: top + rows.length * pitch + 12,
    title,
    description: `${headline}. The longest part is ${first?.title ?? 'none'}.`,
    heading: 34,
    marks,
  };
}

/** Parts of one layer, what is done to its outputs, and each that belongs to none. */
function rowsOf(parts: readonly StepPart[]): Row[] {
  const rows = Map.groupBy(parts, ({ kind, layer }) =>
    kind === 'conv' || kind === 'local' || kind === 'dense' ? layer : `${layer} ${kind}`.trim(),
  );
  return [...rows].map(([title, parts]) => ({ title, parts }));
}

/** A bar of less than this share of the step is too short to see. */
const smallest = 0.004;

/** Puts what is too short to see into one bar at the end. */
function foldSmall(rows: Row[], seconds: number): Row[] {
  const isSmall = ({ parts }: Row) => sum(parts, 'seconds') < smallest * seconds;
  const small = rows.filter(isSmall);
  if (small.length < 2) return rows;
  const all = small.reduce((total, { parts }) => total + sum(parts, 'seconds'), 0);
  const together = { kind: '', layer: '', pass: '', seconds: all, flops: 0, bytes: 0 };
  return [
    ...rows.filter((row) => !isSmall(row)),
    { title: `${small.length} shorter ones`, parts: [together] },
  ];
}

/** Products are held against the arithmetic, the rest against the memory. */
function ofLimit(parts: readonly StepPart[], { fma_peak, memory }: StepTimes): string {
  const share = (amount: number, limit: number) =>
    `${Math.round((100 * amount) / 1e9 / sum(parts, 'seconds') / limit)} %`;
  const [flops, bytes] = [sum(parts, 'flops'), sum(parts, 'bytes')];
  if (flops > 0) return `${share(flops, fma_peak)} of FMA peak`;
  return bytes > 0 ? `${share(bytes, memory)} of memory` : '';
}

/** A gradient without weights is one of its input; what is neither counts as forward. */
const shadeOf = (pass: string): (typeof shades)[number] =>
  passes[pass === 'gradient' ? 'input-gradient' : pass] ?? { colour: 'muted', about: pass };

const sum = (parts: readonly StepPart[], what: 'seconds' | 'flops' | 'bytes') =>
  parts.reduce((total, part) => total + part[what], 0);
