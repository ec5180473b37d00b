/** `ilsvrc bench`: what this machine reaches, beside its limits. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { benches } from '@ilsvrc/engine';
import { showBreakdown, writeBreakdown } from '../bench/breakdown.ts';
import { compare, expectNothingWorse, showComparison } from '../bench/compare.ts';
import { benchEntry } from '../bench/entry.ts';
import { type Measured, measure } from '../bench/measure.ts';
import { processBenches } from '../bench/processes.ts';
import { documentVersion, readSaved, type Saved } from '../bench/saved.ts';
import { feedLine, machineLine, photosLine, showEntries } from '../bench/table.ts';
import { examples } from '../examples.ts';
import { Output } from '../output.ts';
import { oneOf, suggesting } from '../parse.ts';
import type { Verb } from '../verb.ts';

const about = { ...benches, ...processBenches };
type Name = keyof typeof about;
const names = Object.keys(about) as Name[];
const benchName = oneOf('ilsvrc bench', names);
const benchNames = suggesting(
  (text: string, before: Name[] | undefined) => [...(before ?? []), benchName(text)],
  names,
);
const list = names.map((name) => `${name}: ${about[name]}`).join('; ');

const verb: Verb = (base, { interrupts: { signal } }) =>
  base
    .argument('[name...]', `${list} (default: all)`, benchNames)
    .option('--quick', 'a fraction of the work, for a first look')
    .option('--filter <text>', 'only cases whose name contains it, as conv3 or step/alexnet')
    .option('--list', 'name the cases and measure nothing')
    .option('--from <dir>', 'a prepared data set: what its disk and these cores feed (only load)')
    .option('--breakdown', 'where the time of a training step goes (only step)')
    .option('--picture <file>', 'a PNG of the breakdown')
    .option('--force', 'replace it if it is there')
    .optionsGroup('Comparison:')
    .option('--compare <file>', 'an earlier --json: exit with 5 where a case is worse beyond the noise')
    .option('--now <file>', 'compare this --json with it, and measure nothing')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc bench', 'everything, some minutes'],
        ['ilsvrc bench step --breakdown', "where the time of the paper's net goes"],
        ['ilsvrc bench load --from data/imagenet', 'whether disk and cores keep up with a GPU'],
        ['ilsvrc bench --quick --json > base.json', 'for programs'],
        ['ilsvrc bench --quick --compare base.json', 'what has become slower since'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const { filter, picture } = options;
      const chosen = chooseNames(given ?? [], options);
      if (picture !== undefined) await output.expectAbsent(picture, options.force);
      const base = options.compare === undefined ? undefined : await readSaved(options.compare);
      let now: Saved;
      if (options.now === undefined) {
        const measured = await measure(chosen, options, signal, output);
        if (options.list) return await listCases(measured.cases, output);
        now = await show(measured, options, output);
      } else now = part(await readSaved(options.now), given, filter);
      const comparison = base && compare(part(base, given, filter), now);
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
  breakdown?: true | undefined;
  picture?: string | undefined;
  compare?: string | undefined;
  now?: string | undefined;
}

/** The benchmarks to run; refuses options that have nothing to do with each other. */
function chooseNames(given: Name[], { from, compare, now, list, breakdown, picture }: Options): Name[] {
  const refuse = (message: string, hint: string) => new IlsvrcError('E0101', message, { hint });
  if (now !== undefined && compare === undefined)
    throw refuse('`--now` goes with `--compare`', `\`ilsvrc bench --compare base.json --now ${now}\``);
  if (list && compare !== undefined)
    throw refuse('`--list` measures nothing that `--compare` could compare', 'leave one of them out');
  if (picture !== undefined && !breakdown)
    throw refuse(
      '`--picture` goes with `--breakdown`',
      `\`ilsvrc bench step --breakdown --picture ${picture}\``,
    );
  const all = from === undefined ? names : (['load'] satisfies Name[]);
  const chosen = given.length === 0 ? all : [...new Set(given)];
  if (from !== undefined && !chosen.includes('load'))
    throw refuse('`--from` goes with the benchmark `load`', `\`ilsvrc bench load --from ${from}\``);
  if (breakdown && (!chosen.includes('step') || now !== undefined))
    throw refuse('`--breakdown` goes with the benchmark `step`', '`ilsvrc bench step --breakdown`');
  return chosen;
}

/** Names the cases that there are. */
async function listCases(cases: readonly string[], output: Output): Promise<void> {
  if (output.isJson) output.document({ version: documentVersion, cases });
  for (const name of cases) output.data(name);
  await output.finish();
}

/** Prints what was measured; the document that says the same. */
async function show(
  measured: Measured,
  { quick, filter, breakdown, picture }: Options,
  output: Output,
): Promise<Saved> {
  const { measurements, cases, ...report } = measured;
  if (measurements.length === 0) {
    throw new IlsvrcError('E0103', `no case has \`${filter ?? ''}\` in its name`, {
      info: `there are ${cases.join(', ')}`,
    });
  }
  if (breakdown && report.breakdown === null) {
    throw new IlsvrcError('E0103', `no case of \`step\` has \`${filter ?? ''}\` in its name`, {
      hint: '`ilsvrc bench step --breakdown --filter step/alexnet/`',
    });
  }
  const benches = measurements.map(benchEntry);
  output.data(machineLine(report.machine, output.width));
  if (report.photos !== null) output.data(photosLine(report.photos));
  output.data('');
  showEntries(benches, output);
  if (report.breakdown !== null) showBreakdown(report.breakdown, output);
  if (report.breakdown !== null && picture !== undefined) {
    await writeBreakdown(report.breakdown, picture);
    output.say(`wrote ${picture}`);
  }
  if (report.feed !== null) output.data(feedLine(report.feed));
  return { version: documentVersion, quick: quick ?? false, ...report, benches };
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
