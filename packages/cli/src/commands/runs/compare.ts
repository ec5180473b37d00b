/** `ilsvrc runs compare`: settings that differ, and how the curves of each run end. */
import { isDeepStrictEqual } from 'node:util';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { formatDuration, formatPercent } from '@ilsvrc/terminal';
import { type EpochEvent, readMetrics, type StoredRun } from '@ilsvrc/trainer';
import { examples } from '../../examples.ts';
import { Output } from '../../output.ts';
import { flatten } from '../../report/facts.ts';
import { pathFromHere } from '../../report/paths.ts';
import { describeRun, epochsOf, findRuns, lowest } from '../../stored-runs.ts';
import type { Verb } from '../../verb.ts';

const verb: Verb = (base) =>
  base
    .argument('<run...>', 'two runs or more, by name')
    .addHelpText('after', examples([['ilsvrc runs compare first second', 'two runs below runs/']]))
    .action(async (names, options) => {
      const output = new Output(options);
      const runs = await findRuns(names);
      if (runs.length < 2) {
        throw new IlsvrcError('E0104', 'another run to compare with is missing', {
          hint: '`ilsvrc runs compare A B`; `ilsvrc runs` lists them',
        });
      }
      for (const { problem, settings } of runs) if (settings === null && problem !== null) throw problem;
      const ends = await Promise.all(runs.map(readEnd));
      const differences = differ(runs);
      if (output.isJson) {
        output.document({
          version: 1,
          runs: runs.map((run, index) => ({ ...describeRun(run), end: ends[index]?.json ?? null })),
          differences,
        });
      } else {
        const titles = runs.map(({ name }) => name);
        if (differences.length === 0) output.data('the same settings\n');
        else
          output.table(
            ['setting', ...titles],
            differences.map(({ setting, values }) => [setting, ...values.map((value) => value ?? '')]),
          );
        output.table(
          ['', ...titles],
          rows.map(([title, value]) => [title, ...runs.map((run, index) => value(run, ends[index]))]),
        );
      }
      await output.finish();
    });

export default verb;

/** The last epoch of a run, and the time that all took. */
interface End {
  last: EpochEvent;
  seconds: number;
  json: object;
}

async function readEnd({ directory }: StoredRun): Promise<End | undefined> {
  const { epochs } = await readMetrics(directory);
  const last = epochs.at(-1);
  if (last === undefined) return undefined;
  const seconds = epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  const { loss, train_top1_error, val_loss, top1_error, top5_error, lr, images_per_second } = last;
  const json = {
    ...{ epoch: last.epoch, loss, train_top1_error, val_loss, top1_error, top5_error, lr },
    ...{ images_per_second, seconds },
  };
  return { last, seconds, json };
}

type Row = [title: string, value: (run: StoredRun, end: End | undefined) => string];

const atEnd =
  (show: (end: End) => string): Row[1] =>
  (_, end) =>
    end === undefined ? '' : show(end);

const best =
  (figure: 'top1' | 'top5'): Row[1] =>
  (run) => {
    const found = lowest(run, figure);
    return found === undefined ? '' : `${formatPercent(found.value)} (${found.epoch})`;
  };

const rows: Row[] = [
  ['epochs', (run) => `${epochsOf(run).done} of ${epochsOf(run).all}`],
  ['train loss', atEnd(({ last }) => last.loss.toFixed(4))],
  ['val loss', atEnd(({ last }) => last.val_loss.toFixed(4))],
  ['train top-1 err', atEnd(({ last }) => formatPercent(last.train_top1_error))],
  ['top-1 err', atEnd(({ last }) => formatPercent(last.top1_error))],
  ['top-5 err', atEnd(({ last }) => formatPercent(last.top5_error))],
  ['best top-1 (epoch)', best('top1')],
  ['best top-5 (epoch)', best('top5')],
  ['lr', atEnd(({ last }) => String(Number(last.lr.toPrecision(3))))],
  ['images/s', atEnd(({ last }) => last.images_per_second.toFixed(0))],
  ['time', atEnd(({ seconds }) => formatDuration(seconds))],
];

/** Settings that are not the same in all runs. What is inside of nets is told where they have the same name. */
function differ(runs: readonly StoredRun[]): { setting: string; values: (string | null)[] }[] {
  const nets = runs.map(({ settings }) => settings?.net.name);
  const isOneNet = nets.every((name) => name === nets[0]);
  const tables = runs.map(({ settings }) => {
    if (settings === null) return new Map<string, string>();
    const { net, recipe, dataset, dataset_hash, ...others } = settings;
    const inner = isOneNet ? flatten({ net }) : [['net', net.name] as const];
    const data: [string, string][] = [
      ['data set', pathFromHere(dataset)],
      ['data set, hash', dataset_hash.slice(0, 12)],
    ];
    return new Map<string, string>([...data, ...inner, ...flatten(recipe), ...flatten(others)]);
  });
  const settings = [...new Set(tables.flatMap((table) => [...table.keys()]))];
  return settings
    .map((setting) => ({ setting, values: tables.map((table) => table.get(setting) ?? null) }))
    .filter(({ values }) => values.some((value) => !isDeepStrictEqual(value, values[0])));
}
