/** `ilsvrc estimate`: what a net and a run of it will take, before it begins: memory, and with a data set time and disk. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { estimate } from '@ilsvrc/engine';
import { links } from '@ilsvrc/trainer';
import { estimateTable, verdict } from '../estimate-table.ts';
import { examples } from '../examples.ts';
import { machineOf, withMachine } from '../machine.ts';
import { chooseNet, netArgument } from '../net-choice.ts';
import { Output } from '../output.ts';
import { batchSize, oneOf, suggesting, whole } from '../parse.ts';
import { planRun, showPlan } from '../run-plan.ts';
import { parseLink } from '../run-scaling.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  withMachine(
    base
      .argument('[net]', netArgument)
      .optionsGroup('Net:')
      .option(
        '--classes <n>',
        'classes of a preset (default: 1000, or those of --data)',
        whole('--classes', 2, 1_000_000),
      )
      .option('--batch <n>', 'images a pass (default: 128, or what the recipe says)', batchSize)
      .option('--inference', 'for eval and predict: less is kept than for training')
      .optionsGroup('Run, for its time and disk:')
      .option('--data <dir>', 'a prepared data set: some steps are made on it, and timed')
      .option(
        '--images <n>',
        'photos that are not here yet, a tenth of them for validation',
        whole('--images', 20, 1e9),
      )
      .option(
        '--epochs <n>',
        'passes over the training images (default: what the preset says)',
        whole('--epochs', 1),
      )
      .option('--schedule <kind>', 'plateau, step or exp', oneOf('--schedule', ['plateau', 'step', 'exp']))
      .option(
        '--replicas <n>',
        'the run on 1, 2, 4 ... n ranks like this machine',
        whole('--replicas', 2, 4096),
      )
      .option(
        '--link <kind>',
        'what joins them: nvlink, pcie, 100g, or GB/s each way (default: 100g)',
        suggesting(parseLink, Object.keys(links)),
      )
      .optionsGroup('Machine:'),
  )
    .addHelpText(
      'after',
      examples([
        ['ilsvrc estimate', "memory of the paper's net, on what is here"],
        ['ilsvrc estimate --devices 0,1 --batch 1024', 'a tower a GPU, whether they are here or not'],
        ['ilsvrc estimate runs/NAME/model.safetensors --inference', 'what a model file needs'],
        ['ilsvrc estimate alexnet-64 --data data/photos', 'how long training it there will take'],
        ['ilsvrc estimate --images 1300000', 'the same before there are any'],
        [
          'ilsvrc estimate --data data/photos --replicas 8 --link 100g',
          'and on up to eight hosts like this one',
        ],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      expectNoContradiction(options);
      const { places, precision: asked, threads } = await machineOf(options);
      const machine = { places, precision: asked, threads };
      const isPlan = options.data !== undefined || options.images !== undefined;
      const plan = isPlan ? await planRun(given, options, { machine, output, signal }) : undefined;
      const net = plan?.net ?? (await chooseNet(given, options.classes ?? 1000));
      const batch = plan?.recipe.batch ?? options.batch ?? 128;
      const use = options.inference ? 'inference' : 'training';
      const found = estimate({ net, batch, places, precision: asked, use });
      const precision = found.places.some(({ name }) => name === 'cpu') ? 'f32' : asked;
      if (output.isJson) {
        output.document({
          version: 1,
          net: net.name,
          batch,
          use,
          precision,
          ...found,
          run: plan?.json ?? null,
        });
      } else {
        const { titles, rows, devices } = estimateTable(found.places);
        output.table(titles, rows);
        for (const line of devices) output.data(line);
        output.data(`${net.name}, ${use} in ${precision} at batch ${batch}: ${verdict(found, batch)}`);
        if (plan !== undefined) showPlan(plan, output);
      }
      await output.finish();
    });

export default verb;

/** Fails where something was given that would have no effect. */
function expectNoContradiction(options: {
  data?: string | undefined;
  images?: number | undefined;
  classes?: number | undefined;
  inference?: true | undefined;
  epochs?: number | undefined;
  schedule?: string | undefined;
  replicas?: number | undefined;
  link?: unknown;
}): void {
  const { data, images, classes, inference, epochs, schedule, replicas, link } = options;
  const isPlan = data !== undefined || images !== undefined;
  const pairs: [boolean, string][] = [
    [
      data !== undefined && images !== undefined,
      '--images stands for photos that are not here, --data for some that are',
    ],
    [
      data !== undefined && classes !== undefined,
      '--classes are those of the data set where --data names one',
    ],
    [isPlan && inference === true, '--inference is of no training run'],
    [!isPlan && epochs !== undefined, '--epochs is of a training run'],
    [!isPlan && schedule !== undefined, '--schedule is of a training run'],
    [!isPlan && replicas !== undefined, '--replicas share a training run'],
    [replicas === undefined && link !== undefined, '--link joins the replicas that --replicas asks about'],
  ];
  const found = pairs.find(([applies]) => applies);
  if (found === undefined) return;
  throw new IlsvrcError('E0103', found[1], {
    hint: isPlan
      ? 'see `ilsvrc estimate --help`'
      : 'a run has `--data` or `--images`; see `ilsvrc estimate --help`',
  });
}
