/** `ilsvrc bench`: what this machine reaches, beside its limits. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type BenchName, type BenchProgress, bench, benches, machine } from '@ilsvrc/engine';
import { formatBytes, formatCount } from '@ilsvrc/terminal';
import { benchEntry, benchTable, feedLine } from '../bench-table.ts';
import { examples } from '../examples.ts';
import { type CountedProgress, Output } from '../output.ts';
import { oneOf } from '../parse.ts';
import type { Verb } from '../verb.ts';

const names = Object.keys(benches) as BenchName[];
const benchName = oneOf('ilsvrc bench', names);
const list = names.map((name) => `${name}: ${benches[name]}`).join('; ');

const verb: Verb = (base, { interrupts: { signal } }) =>
  base
    .argument('[name...]', `${list} (default: all)`, (text: string, before: BenchName[] | undefined) => [
      ...(before ?? []),
      benchName(text),
    ])
    .option('--quick', 'a fraction of the work, for a first look')
    .option('--from <dir>', 'a prepared data set: what its disk and these cores feed (only load)')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc bench', 'everything, some minutes'],
        ['ilsvrc bench load --from data/imagenet', 'whether disk and cores keep up with a GPU'],
        ['ilsvrc bench prep --json > prep.json', 'for programs'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const { from, quick = false } = options;
      const all = from === undefined ? names : (['load'] satisfies BenchName[]);
      const chosen = given.length === 0 ? all : [...new Set(given)];
      if (from !== undefined && !chosen.includes('load')) {
        throw new IlsvrcError('E0101', '`--from` goes with the benchmark `load`', {
          hint: `\`ilsvrc bench load --from ${from}\``,
        });
      }
      const progress = phases(output);
      const report = await bench(
        { names: chosen, quick, from },
        { signal, onProgress: (state) => progress.update(state) },
      ).finally(() => progress.stop());
      const entries = report.measurements.map(benchEntry);
      const { measurements: _, machine: measured, ...rest } = report;
      if (output.isJson) {
        output.document({ version: 1, machine: { ...machine(), ...measured }, ...rest, benches: entries });
      } else {
        output.data(machineLine(measured));
        if (report.photos !== null) output.data(photosLine(report.photos));
        output.data('');
        const { titles, rows } = benchTable(entries);
        output.table(titles, rows);
        if (report.feed !== null) output.data(feedLine(report.feed));
      }
      await output.finish();
    });

export default verb;

/** A progress line for each phase: drawing photos, and then a benchmark after the other. */
function phases(output: Output) {
  let phase: string | undefined;
  let line: CountedProgress | undefined;
  return {
    update({ step, done, total }: BenchProgress): void {
      const [title = '', detail] = step.split(': ');
      if (title !== phase) {
        line?.stop();
        line = output.progress(title);
        phase = title;
      }
      line?.update(done, total, detail);
    },
    stop: () => line?.stop(),
  };
}

type Report = Awaited<ReturnType<typeof bench>>;

function machineLine({ fma_peak, others }: Report['machine']): string {
  const { cpu, cores, memory_gib, system, node } = machine();
  const peaks = (key: 'one_thread' | 'all_threads') =>
    fma_peak.map((peak) => formatCount(peak[key])).join(' and ');
  return (
    `${cpu}, ${cores} cores, ${memory_gib} GiB; ${system}, node ${node}; FMA peak before and after: ` +
    `${peaks('one_thread')} GFLOP/s of one thread, ${peaks('all_threads')} of all; ` +
    `others kept ${others.toFixed(1)} cores busy`
  );
}

function photosLine({ count, size, mean_bytes }: NonNullable<Report['photos']>): string {
  return `${formatCount(count)} photos of ${size.join(' x ')} pixels, ${formatBytes(mean_bytes)} each, drawn for this`;
}
