/** `ilsvrc runs clean`: deletes runs, after saying which and asking. What is not a run's own stays. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { canAsk, confirm, formatBytes, formatCount } from '@ilsvrc/terminal';
import { readRuns, type StoredRun } from '@ilsvrc/trainer';
import { examples } from '../../examples.ts';
import { Output } from '../../output.ts';
import { findRuns, formatTime, runsFolder, stateOf } from '../../stored-runs.ts';
import type { Verb } from '../../verb.ts';

/** A run that was written within so many minutes may be under way: it is deleted only by its name. */
const restMinutes = 10;

const verb: Verb = (base, { interrupts: { signal } }) =>
  base
    .argument('[run...]', 'runs by name (default: those without a checkpoint)')
    .option('--yes', 'delete without asking')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc runs clean', 'what never got as far as a checkpoint'],
        ['ilsvrc runs clean first second', 'these two, whatever they hold'],
        ['ilsvrc runs clean --yes', 'for scripts'],
      ]),
    )
    .action(async (names, { yes, ...options }) => {
      const output = new Output(options);
      const chosen = names.length > 0 ? await findRuns(names) : await abandoned(output);
      const bytes = chosen.reduce((sum, run) => sum + run.bytes, 0);
      if (chosen.length === 0) output.say('nothing to delete');
      for (const run of chosen)
        output.say(`  ${run.directory.path}: ${formatBytes(run.bytes)}, ${facts(run)}`);
      const question = `Delete ${count(chosen.length)}, ${formatBytes(bytes)}?`;
      const isWanted = chosen.length > 0 && (yes === true || (await ask(question, options.input, signal)));
      const deleted = [];
      for (const run of isWanted ? chosen : []) {
        const kept = await run.directory.remove();
        deleted.push({ name: run.name, path: run.directory.path, bytes: run.bytes, kept });
        if (kept.length > 0)
          output.say(`${run.directory.path} stays with what is not the run's: ${kept.join(', ')}`);
      }
      if (output.isJson) output.document({ version: 1, deleted, bytes: isWanted ? bytes : 0 });
      else if (isWanted) output.data(`deleted ${count(chosen.length)}, ${formatBytes(bytes)}`);
      else if (chosen.length > 0) output.data('nothing was deleted');
      await output.finish();
    });

export default verb;

const count = (runs: number): string => `${formatCount(runs)} ${runs === 1 ? 'run' : 'runs'}`;

/** Runs without a checkpoint that nobody has written to for a while. */
async function abandoned(output: Output): Promise<StoredRun[]> {
  const runs = (await readRuns(runsFolder)).filter(({ hasCheckpoint }) => !hasCheckpoint);
  const isFresh = ({ written }: StoredRun) => Date.now() - written.getTime() < restMinutes * 60_000;
  for (const { name } of runs.filter(isFresh)) {
    output.say(
      `${name} was written to in the last ${restMinutes} minutes and may be under way: it stays unless named`,
    );
  }
  return runs.filter((run) => !isFresh(run));
}

const facts = (run: StoredRun): string => `${stateOf(run)}, last written ${formatTime(run.written)}`;

/** A person's yes or no; without one nothing is deleted. */
async function ask(question: string, mayAsk: boolean, signal: AbortSignal): Promise<boolean> {
  if (mayAsk && canAsk()) return confirm({ message: question, signal });
  throw new IlsvrcError('E0109', 'nothing was deleted: nobody could be asked', {
    info: mayAsk ? 'this is no terminal' : '--no-input was given',
    hint: 'add `--yes` to delete these runs',
  });
}
