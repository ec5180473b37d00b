/** Where the time of a step goes, as a table and as a picture. */
import type { Breakdown, PartTime } from '@ilsvrc/engine';
import { drawBreakdown, rasterise, writePng } from '@ilsvrc/report';
import { formatPercent } from '@ilsvrc/terminal';
import type { Output } from '../output.ts';
import { wrap } from '../wrap.ts';
import { formatFigure } from './entry.ts';

/** Prints the parts in the order of the step. */
export function showBreakdown(step: Breakdown, output: Output): void {
  const isWide = output.width >= 60;
  const row = (name: string, seconds: number, rate: string[], of: string) => [
    name,
    ...(isWide ? [formatFigure(seconds * 1000), ...rate] : []),
    formatPercent(seconds / step.seconds, 1),
    of,
  ];
  const rows = step.parts.map((part) => {
    const { rate, unit, of } = rateOf(part, step);
    return row(partName(part), part.seconds, [formatFigure(rate), unit], formatPercent(of, 0));
  });
  rows.push(row('rest', step.rest, ['', ''], ''), row('step', step.seconds, ['', ''], ''));
  output.data(output.bold(`${step.name}, part by part`));
  output.table(isWide ? ['part', 'ms', 'rate', '', 'of step', 'of limit'] : ['part', 'step', 'limit'], rows);
  output.data(
    wrap(
      [
        `means of ${step.steps} steps`,
        'both towers together',
        `limit of products: FMA peak ${formatFigure(step.fma_peak)} GFLOP/s`,
        `of the rest: reading memory at ${formatFigure(step.memory)} GB/s`,
      ],
      output.width,
    ),
  );
}

/** Writes the picture. */
export async function writeBreakdown(step: Breakdown, path: string): Promise<void> {
  await writePng(rasterise(drawBreakdown(step)), path);
}

const partName = ({ layer, kind, pass }: PartTime) => {
  const what = kind === 'conv' || kind === 'local' || kind === 'dense' ? '' : kind;
  return [layer, what, pass].filter((word) => word !== '').join(' ');
};

/** Products are held against the arithmetic, the rest against the memory. */
function rateOf({ flops, bytes, seconds }: PartTime, { fma_peak, memory }: Breakdown) {
  const [amount, unit, limit] = flops > 0 ? [flops, 'GFLOP/s', fma_peak] : [bytes, 'GB/s', memory];
  const rate = amount / 1e9 / seconds;
  return { rate, unit, of: rate / limit };
}
