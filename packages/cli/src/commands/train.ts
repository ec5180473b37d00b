/** `ilsvrc train`: epochs of training and validation in a run directory. */
import { join } from 'node:path';
import { launched } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { CacheLimit, World } from '@ilsvrc/engine';
import { hasPictures } from '@ilsvrc/report';
import { type TrainEvent, train } from '@ilsvrc/trainer';
import { expectHeadFlags, trainHead } from '../box-head.ts';
import { checkpointSeconds, loadDefaults } from '../defaults.ts';
import { errorPage } from '../docs.ts';
import { EpochTable } from '../epoch-table.ts';
import { examples } from '../examples.ts';
import { adoptForeignShards } from '../foreign-shards.ts';
import { openLive } from '../live.ts';
import { cacheLimit, shuffle } from '../loading.ts';
import { machineOf, withMachine } from '../machine.ts';
import type { OutputOptions } from '../output.ts';
import { batchSize, globalBatchSize, oneOf, real, whole } from '../parse.ts';
import { firstAlone, launchAgain, outputOf, together } from '../ranks.ts';
import { chooseRun, type TrainFlags } from '../run-choice.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  withMachine(
    base
      .argument('[dataset]', 'a prepared data set (default: that of the config file, or of the newest run)')
      .optionsGroup('Network:')
      .option('--net <preset>', 'alexnet, alexnet-64, … (`ilsvrc summary` lists them; default: alexnet)')
      .option('--seed <n>', 'initial weights, order, augmentation, dropout (default: 0)', whole('--seed', 0))
      .option(
        '--head <kind>',
        'boxes: learn where things are, on the features of --model',
        oneOf('--head', ['boxes']),
      )
      .option('--model <file>', 'the model that gets the head (default: that of the newest run)')
      .option('--per-class', 'a box for each class instead of one for all')
      .optionsGroup('Learning (default: what the preset says):')
      .option('--batch <n>', 'images a step, of all ranks together', batchSize)
      .option(
        '--global-batch <n>',
        'the same, with the learning rate raised or lowered as much as the batch',
        globalBatchSize,
      )
      .option('--epochs <n>', 'passes over the training images', whole('--epochs', 1))
      .option('--lr <rate>', 'learning rate of the first epoch', real('--lr', 0, 1000))
      .option('--schedule <kind>', 'plateau, step or exp', oneOf('--schedule', ['plateau', 'step', 'exp']))
      .optionsGroup('Loading:')
      .option(
        '--shuffle <kind>',
        'full, or window:N: N shards at a time, read from end to end (default: full)',
        shuffle,
      )
      .option('--cache <size>', 'keep decoded images: ram (half of it) or as 8GB (default: none)', cacheLimit)
      .optionsGroup('Run:')
      .option('--run <name>', 'folder below runs/ (default: net and data set)')
      .option('--resume', 'go on from the last checkpoint')
      .option('--force', 'replace a run of the same name')
      .option(
        '--checkpoint-steps <n>',
        'save after every so many steps (default: every two minutes)',
        whole('--checkpoint-steps', 1),
      )
      .option(
        '--live [port]',
        'serve a page of curves to this machine while training (default: a free port)',
        whole('--live', 0, 65_535),
      )
      .optionsGroup('Machine:')
      .option('--launch <n>', 'start so many ranks on this host, by mpirun', whole('--launch', 2, 1024)),
  )
    .addHelpText(
      'after',
      examples([
        ['ilsvrc train data/photos', "the paper's network"],
        ['ilsvrc train data/photos-72 --net alexnet-64', 'a small one of the same shape, for CPUs'],
        ['ilsvrc train --resume', 'go on with the newest run'],
        ['mpirun -np 4 ilsvrc train data/photos', 'four ranks, on one host or several'],
        ['ilsvrc train data/photos --head boxes --model MODEL', 'where things are, from boxes'],
      ]),
    )
    .action(async (dataset, options) => {
      if (options.launch !== undefined && launched(process.env) === undefined) {
        process.exit(await launchAgain(options.launch));
      }
      if (options.head === 'boxes') {
        return together(
          async () => (await machineOf(options)).places,
          async (world) => {
            const output = outputOf(world, options);
            expectHeadFlags(options);
            if (dataset !== undefined)
              await firstAlone(world, () => adoptForeignShards(dataset, output, signal));
            const defaults = await loadDefaults();
            await trainHead(dataset, options, {
              defaults,
              machine: await machineOf(options),
              output,
              signal,
            });
            await output.finish();
          },
        );
      }
      const needsHead = options.perClass
        ? '--per-class'
        : options.model === undefined
          ? undefined
          : '--model';
      if (needsHead !== undefined) {
        throw new IlsvrcError('E0103', `${needsHead} goes with --head boxes`, { hint: 'add `--head boxes`' });
      }
      await together(
        async () => (await machineOf(options)).places,
        (world) => trainNet(dataset, options, world, signal),
      );
    });

export default verb;

/** What `trainNet` reads of the options. */
type Options = TrainFlags &
  OutputOptions &
  Parameters<typeof machineOf>[0] & {
    cache?: CacheLimit | undefined;
    checkpointSteps?: number | undefined;
    force?: true | undefined;
    live?: number | true | undefined;
  };

/** Trains; of several ranks, number 0 tells of it. */
async function trainNet(
  dataset: string | undefined,
  options: Options,
  world: World | undefined,
  signal: AbortSignal,
): Promise<void> {
  const isFirst = (world?.rank ?? 0) === 0;
  const output = outputOf(world, options);
  if (dataset !== undefined) await firstAlone(world, () => adoptForeignShards(dataset, output, signal));
  const choice = await chooseRun(dataset, options, await loadDefaults());
  if (!hasPictures) output.say(`no filters.png: the package sharp is not here (${errorPage('E0412')})`);
  const table = new EpochTable(output);
  const { live: asked, resume = false } = options;
  const port = asked === true ? 0 : asked;
  const live = port === undefined || !isFirst ? undefined : await openLive(choice, port, resume);
  // Nobody can guess the address, so it is told even to those who want to hear of errors only.
  if (live !== undefined) process.stderr.write(`live: ${live.url}\n`);
  let last = 'The training has stopped. What is here stays.';
  try {
    const end = await train({
      ...choice,
      run: join('runs', choice.run),
      resume,
      force: options.force ?? false,
      cache: options.cache,
      ...(await machineOf(options)),
      world,
      checkpoint:
        options.checkpointSteps === undefined
          ? { seconds: checkpointSeconds }
          : { steps: options.checkpointSteps },
      signal,
      onEvent: (event: TrainEvent) => {
        if (output.isJson) output.line(event);
        else table.show(event);
        live?.show(event);
      },
    });
    last = 'The training has ended. What is here stays.';
    output.next([`ilsvrc eval ${end.model} --top5`, `ilsvrc report runs/${choice.run}`]);
  } finally {
    table.stop();
    await live?.close(last);
  }
  await output.finish();
}
