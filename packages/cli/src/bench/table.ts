/** Measurements as people read them: a group for each area, on a terminal of 40 columns too. */
import type { Feed } from '@ilsvrc/engine';
import { formatBytes, formatCount, formatPercent } from '@ilsvrc/terminal';
import type { Output } from '../output.ts';
import { wrap } from '../wrap.ts';
import { type BenchEntry, formatFigure } from './entry.ts';
import type { Measured } from './measure.ts';

/** Prints figures with what limits them. */
export function showEntries(entries: readonly BenchEntry[], output: Output): void {
  showCases(entries, output, {
    titles: ['median', '', 'lowest – highest', 'n', 'of limit', 'limit'],
    cells: ({ value, unit, range, samples, limit, of_limit }) => [
      formatFigure(value),
      unit,
      range,
      String(samples.length),
      of_limit === null ? '' : formatPercent(of_limit, 0),
      limit === null ? '' : `${limit.name}: ${formatFigure(limit.value)}`,
    ],
    facts: ({ value, unit, range, samples, extra }) => [
      `${formatFigure(value)} ${unit}`,
      ...(samples.length > 1 ? [`${range} (n ${samples.length})`] : []),
      ...(extra === '' ? [] : [extra]),
    ],
  });
}

/** How a case is shown: as cells of a row, or as facts below its name. */
interface Shown<Case> {
  titles: string[];
  cells(of: Case): string[];
  facts(of: Case): string[];
}

/** Prints cases below the names of their areas: a row each, or where a terminal has no room for rows lines of their own. */
export function showCases<Case extends { name: string }>(
  cases: readonly Case[],
  output: Output,
  { titles, cells, facts }: Shown<Case>,
): void {
  const areas = [...Map.groupBy(cases, ({ name }) => name.split('/')[0] ?? '')];
  const rest = (area: string, name: string) => `  ${name.slice(area.length + 1)}`;
  const head = ['benchmark', ...titles];
  const rows = areas.flatMap(([area, some]) => [
    [area, ...titles.map(() => '')],
    ...some.map((each) => [rest(area, each.name), ...cells(each)]),
  ]);
  const gap = 2;
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const needed = widths.reduce((sum, width) => sum + width + gap, -gap);
  // A pipe has room for any row.
  if (needed <= (process.stdout.columns || needed)) {
    const isArea = (cell: string) => !cell.startsWith(' ');
    const shown = rows.map(([first = '', ...others]) => [
      isArea(first) ? output.bold(first) : first,
      ...others,
    ]);
    output.table(head, shown);
    return;
  }
  for (const [area, some] of areas) {
    output.data(output.bold(area));
    for (const each of some) {
      output.data(rest(area, each.name));
      output.data(wrap(facts(each), output.width - 4).replaceAll(/^/gm, '    '));
    }
  }
  output.data('');
}

/** What a data set can feed, in a sentence. */
export function feedLine({ images_per_second, batch, steps_per_second, limited_by, cold }: Feed): string {
  const feeds = `${formatCount(images_per_second)} images/s feed ${steps_per_second.toFixed(1)} GPU steps a second at batch ${batch}`;
  const why = cold ? `the ${limited_by} limit${limited_by === 'disk' ? 's' : ''} it` : 'from memory';
  const unknown = cold ? '' : '; the system keeps the shards in memory, so what the disk gives is not known';
  return `${feeds}: ${why}${unknown}`;
}

/** What it was measured on, and how busy that was. */
export function machineLine(measured: Measured['machine'], width: number): string {
  const { cpu, cores, memory_gib, system, node, fma_peak, others } = measured;
  const peaks = (key: 'one_thread' | 'all_threads') =>
    fma_peak.map((peak) => formatCount(peak[key])).join(' and ');
  return wrap(
    [
      cpu,
      `${cores} cores`,
      `${memory_gib} GiB`,
      system,
      `node ${node}`,
      `FMA peak before and after: ${peaks('one_thread')} GFLOP/s of one thread`,
      `${peaks('all_threads')} of all`,
      `others kept ${others.toFixed(1)} cores busy`,
    ],
    width,
  );
}

/** What the photos were. */
export function photosLine({ count, size, mean_bytes }: NonNullable<Measured['photos']>): string {
  return `${formatCount(count)} photos of ${size.join(' x ')} pixels, ${formatBytes(mean_bytes)} each, drawn for this`;
}
