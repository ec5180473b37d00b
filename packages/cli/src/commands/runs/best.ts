/** `ilsvrc runs best`: the run with the lowest error, and the model file that has it. */
import { resolve } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { formatPercent } from '@ilsvrc/terminal';
import { readRuns, type StoredRun } from '@ilsvrc/trainer';
import { examples } from '../../examples.ts';
import { Output } from '../../output.ts';
import { oneOf } from '../../parse.ts';
import { pathFromHere } from '../../report/paths.ts';
import { describeRun, epochsOf, type Figure, figures, lowest, runsFolder } from '../../stored-runs.ts';
import type { Verb } from '../../verb.ts';

const verb: Verb = (base) =>
  base
    .option(
      '--by <figure>',
      'of validation, the centre view: top1, top5 or loss',
      oneOf('--by', ['top1', 'top5', 'loss']),
      'top1',
    )
    .option('--data <dir>', 'only runs on this data set (default: all of them)')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc runs best', 'by the top-1 error'],
        ['ilsvrc runs best --by loss --data data/photos', 'of the runs on one data set'],
      ]),
    )
    .action(async ({ by, data, ...options }) => {
      const output = new Output(options);
      const runs = (await readRuns(runsFolder))
        .filter(({ settings }) => data === undefined || settings?.dataset === resolve(data))
        .flatMap((run) => {
          const found = lowest(run, by);
          return found === undefined ? [] : [{ run, ...found }];
        })
        .sort((a, b) => a.value - b.value);
      const [first] = runs;
      if (first === undefined) {
        throw new IlsvrcError('E0110', 'no run has been validated yet', {
          info: `of those below ${runsFolder}/${data === undefined ? '' : ` on ${data}`}`,
          hint: 'train one for an epoch: `ilsvrc train DATASET`',
        });
      }
      const { run, value, epoch } = first;
      const sets = new Set(runs.map((other) => other.run.settings?.dataset_hash));
      if (sets.size > 1)
        output.warn(
          `these runs are on ${sets.size} data sets, whose errors do not compare; --data chooses one`,
        );
      const model = keptModel(run, epoch);
      if (output.isJson) {
        output.document({ version: 1, by, value, epoch, model: model ?? null, run: describeRun(run) });
      } else {
        const shown = by === 'loss' ? value.toFixed(4) : formatPercent(value);
        const where =
          run.settings === null ? '' : `, ${run.settings.net.name} on ${pathFromHere(run.settings.dataset)}`;
        output.data(
          `${run.name}: ${figures[by]} ${shown} after epoch ${epoch} of ${epochsOf(run).all}${where}`,
        );
        output.data(
          model ??
            `no model of epoch ${epoch} was kept: a run keeps that of its lowest top-1 error and its last`,
        );
      }
      await output.finish();
    });

export default verb;

/** The file with the weights after that epoch: a run keeps those of its lowest top-1 error and of its last epoch. */
function keptModel(run: StoredRun, epoch: number): string | undefined {
  if (lowest(run, 'top1' satisfies Figure)?.epoch === epoch) return run.directory.bestModel;
  return run.validation.length === epoch ? run.directory.model : undefined;
}
