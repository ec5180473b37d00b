/** `ilsvrc estimate`: the memory that a net needs on each device, and the largest batch that fits. */
import { estimate } from '@ilsvrc/engine';
import { estimateTable, verdict } from '../estimate-table.ts';
import { examples } from '../examples.ts';
import { withDevices } from '../machine.ts';
import { chooseNet, netArgument } from '../net-choice.ts';
import { Output } from '../output.ts';
import { batchSize, whole } from '../parse.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base) =>
  withDevices(
    base
      .argument('[net]', netArgument)
      .optionsGroup('Net:')
      .option('--classes <n>', 'classes of a preset', whole('--classes', 2, 1_000_000), 1000)
      .option('--batch <n>', 'images a pass', batchSize, 128)
      .option('--inference', 'for eval and predict: less is kept than for training')
      .optionsGroup('Machine:'),
  )
    .addHelpText(
      'after',
      examples([
        ['ilsvrc estimate', "the paper's net, on what is here"],
        ['ilsvrc estimate --devices 0,1 --batch 1024', 'a tower a GPU, whether they are here or not'],
        ['ilsvrc estimate runs/NAME/model.safetensors --inference', 'what a model file needs'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const net = await chooseNet(given, options.classes);
      const { batch } = options;
      const use = options.inference ? 'inference' : 'training';
      const found = estimate({ net, batch, places: options.devices, precision: options.precision, use });
      const precision = found.places.some(({ name }) => name === 'cpu') ? 'f32' : options.precision;
      if (output.isJson) {
        output.document({ version: 1, net: net.name, batch, use, precision, ...found });
      } else {
        const { titles, rows, devices } = estimateTable(found.places);
        output.table(titles, rows);
        for (const line of devices) output.data(line);
        output.data(`${net.name}, ${use} in ${precision} at batch ${batch}: ${verdict(found, batch)}`);
      }
      await output.finish();
    });

export default verb;
