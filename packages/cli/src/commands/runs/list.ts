/** `ilsvrc runs`: the runs below `runs/`, those written last first. */
import { formatBytes, formatPercent } from '@ilsvrc/terminal';
import { readRuns, type StoredRun } from '@ilsvrc/trainer';
import { examples } from '../../examples.ts';
import { Output } from '../../output.ts';
import { pathFromHere } from '../../report/paths.ts';
import { describeRun, epochsOf, formatTime, lowest, runsFolder, stateOf } from '../../stored-runs.ts';
import type { Verb } from '../../verb.ts';

const verb: Verb = (base) =>
  base
    .addHelpText(
      'after',
      examples([
        ['ilsvrc runs', 'all of them'],
        ['ilsvrc runs compare first second', 'what differs, and what came of it'],
        ['ilsvrc runs best --by top5', 'the one with the lowest top-5 error'],
        ['ilsvrc runs clean', 'delete those without a checkpoint, after asking'],
      ]),
    )
    .action(async (options) => {
      const output = new Output(options);
      const runs = await readRuns(runsFolder);
      if (output.isJson) output.document({ version: 1, runs: runs.map(describeRun) });
      else if (runs.length === 0) {
        output.say(`there are no runs below ${runsFolder}/`);
        output.next(['ilsvrc train DATASET']);
      } else {
        output.table(
          ['run', 'net', 'data set', 'epochs', 'best top-1', 'best top-5', 'size', 'written', 'state'],
          runs.map(row),
        );
      }
      await output.finish();
    });

export default verb;

function row(run: StoredRun): string[] {
  const { done, all } = epochsOf(run);
  const error = (figure: 'top1' | 'top5') => {
    const best = lowest(run, figure);
    return best === undefined ? '' : formatPercent(best.value);
  };
  return [
    run.name,
    run.settings?.net.name ?? '',
    run.settings === null ? '' : pathFromHere(run.settings.dataset),
    run.settings === null ? '' : `${done} of ${all}`,
    error('top1'),
    error('top5'),
    formatBytes(run.bytes),
    formatTime(run.written),
    stateOf(run),
  ];
}
