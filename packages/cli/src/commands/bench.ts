/** `ilsvrc bench`: what this machine reaches, beside its limits. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type BenchName, type BenchProgress, bench, benches, machine } from '@ilsvrc/engine';
import { formatBytes, formatCount } from '@ilsvrc/terminal';
import { compare, expectNothingWorse, showComparison } from '../bench/compare.ts';
import { benchEntry } from '../bench/entry.ts';
import { documentVersion, readSaved, type Saved } from '../bench/saved.ts';
import { feedLine, showEntries } from '../bench/table.ts';
import { examples } from '../examples.ts';
import { type CountedProgress, Output } from '../output.ts';
import { oneOf } from '../parse.ts';
import type { Verb } from '../verb.ts';
import { wrap } from '../wrap.ts';

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
    .option('--filter <text>', 'only cases whose name contains it, as conv3 or step/alexnet')
    .option('--list', 'name the cases and measure nothing')
    .option('--from <dir>', 'a prepared data set: what its disk and these cores feed (only load)')
    .optionsGroup('Comparison:')
    .option('--compare <file>', 'an earlier --json: exit with 5 where a case is worse beyond the noise')
    .option('--now <file>', 'compare this --json with it, and measure nothing')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc bench', 'everything, some minutes'],
        ['ilsvrc bench load --from data/imagenet', 'whether disk and cores keep up with a GPU'],
        ['ilsvrc bench --quick --json > base.json', 'for programs'],
        ['ilsvrc bench --quick --compare base.json', 'what has become slower since'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const chosen = chooseNames(given, options);
      const base = options.compare === undefined ? undefined : await readSaved(options.compare);
      const now =
        options.now === undefined
          ? await measure(chosen, options, signal, output)
          : part(await readSaved(options.now), given, options.filter);
      if (now === undefined) return;
      const comparison = base && compare(part(base, given, options.filter), now);
      if (base !== undefined) warnOfDifferences(base, now, output);
      if (output.isJson) output.document({ ...now, ...(comparison && { comparison }) });
      else if (comparison !== undefined) showComparison(comparison, output);
      await output.finish();
      if (comparison !== undefined) expectNothingWorse(comparison, options.compare ?? '');
    });

export default verb;

interface Options {
  quick?: true | undefined;
  filter?: string | undefined;
  list?: true | undefined;
  from?: string | undefined;
  compare?: string | undefined;
  now?: string | undefined;
}

/** The benchmarks to run; refuses options that have nothing to do with each other. */
function chooseNames(given: BenchName[], { from, compare, now, list }: Options): BenchName[] {
  if (now !== undefined && compare === undefined) {
    throw new IlsvrcError('E0101', '`--now` goes with `--compare`', {
      hint: `\`ilsvrc bench --compare base.json --now ${now}\``,
    });
  }
  if (list && compare !== undefined) {
    throw new IlsvrcError('E0101', '`--list` measures nothing that `--compare` could compare');
  }
  const all = from === undefined ? names : (['load'] satisfies BenchName[]);
  const chosen = given.length === 0 ? all : [...new Set(given)];
  if (from !== undefined && !chosen.includes('load')) {
    throw new IlsvrcError('E0101', '`--from` goes with the benchmark `load`', {
      hint: `\`ilsvrc bench load --from ${from}\``,
    });
  }
  return chosen;
}

/** The document of a run, which is also printed; nothing where cases were only listed. */
async function measure(
  chosen: BenchName[],
  { quick, filter, list, from }: Options,
  signal: AbortSignal,
  output: Output,
) {
  const progress = phases(output);
  const { measurements, cases, ...report } = await bench(
    { names: chosen, quick: quick ?? false, filter, list, from },
    { signal, onProgress: (state) => progress.update(state) },
  ).finally(() => progress.stop());
  if (list) {
    if (output.isJson) output.document({ version: documentVersion, cases });
    for (const name of cases) output.data(name);
    return undefined;
  }
  if (measurements.length === 0) {
    throw new IlsvrcError('E0103', `no case has \`${filter ?? ''}\` in its name`, {
      info: `there are ${cases.join(', ')}`,
    });
  }
  const entries = measurements.map(benchEntry);
  output.data(machineLine(report.machine, output.width));
  if (report.photos !== null) output.data(photosLine(report.photos));
  output.data('');
  showEntries(entries, output);
  if (report.feed !== null) output.data(feedLine(report.feed));
  return {
    version: documentVersion,
    quick: quick ?? false,
    ...report,
    machine: { ...machine(), ...report.machine },
    benches: entries,
  };
}

/** Those figures of a document that are asked for. */
function part(saved: Saved, given: readonly string[] = [], filter = ''): Saved {
  const isAsked = (name: string) =>
    (given.length === 0 || given.includes(name.split('/')[0] ?? '')) && name.includes(filter);
  return { ...saved, benches: saved.benches.filter(({ name }) => isAsked(name)) };
}

/** Says what makes a comparison doubtful. */
function warnOfDifferences(base: Saved, now: Pick<Saved, 'quick' | 'machine'>, output: Output): void {
  if (base.machine.cpu !== now.machine.cpu) output.warn('the base was measured on another processor');
  if (base.quick !== now.quick) output.warn('one of the two runs is a --quick one');
}

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

function machineLine({ fma_peak, others }: Report['machine'], width: number): string {
  const { cpu, cores, memory_gib, system, node } = machine();
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

function photosLine({ count, size, mean_bytes }: NonNullable<Report['photos']>): string {
  return `${formatCount(count)} photos of ${size.join(' x ')} pixels, ${formatBytes(mean_bytes)} each, drawn for this`;
}
