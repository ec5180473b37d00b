/** `ilsvrc summary`: a net in numbers, beside those of the talk where it is the paper's. */
import { summarize } from '@ilsvrc/engine';
import { formatBytes, formatCount } from '@ilsvrc/terminal';
import { examples } from '../examples.ts';
import { chooseNet, netArgument } from '../net-choice.ts';
import { Output } from '../output.ts';
import { batchSize, whole } from '../parse.ts';
import type { Verb } from '../verb.ts';

/** What the talk says of the paper's net, and why we count otherwise. */
const slides = [
  [
    'neurons',
    650_000,
    'the slides list 253,440 = 55·48·96 for conv1, a slip for 55·55·96 = 290,400, and round the sum',
  ],
  ['parameters', 60_000_000, 'rounded'],
  [
    'connections',
    630_000_000,
    'counted on an older net of the same authors: 32 filters a tower in conv1, a low-resolution path',
  ],
] as const;

const verb: Verb = (base) =>
  base
    .argument('[net]', netArgument)
    .optionsGroup('Net:')
    .option('--classes <n>', 'classes of a preset', whole('--classes', 2, 1_000_000), 1000)
    .option('--batch <n>', 'images that the memory is for', batchSize, 128)
    .addHelpText(
      'after',
      examples([
        ['ilsvrc summary', "the paper's net"],
        ['ilsvrc summary alexnet-64 --classes 10', 'the small one'],
        ['ilsvrc summary runs/NAME/model.safetensors', 'what a model file holds'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const net = await chooseNet(given, options.classes);
      const summary = summarize(net, options.batch);
      if (output.isJson) {
        output.document({ version: 1, net: net.name, ...summary });
        return output.finish();
      }
      output.table(
        ['layer', 'towers', 'shape', 'neurons', 'parameters', 'connections', 'memory'],
        summary.layers.map((layer) => [
          layer.name,
          String(layer.towers),
          layer.shape.join(' x '),
          layer.neurons > 0 ? formatCount(layer.neurons) : '',
          layer.parameters > 0 ? formatCount(layer.parameters) : '',
          layer.connections > 0 ? formatCount(layer.connections) : '',
          formatBytes(layer.memory_bytes),
        ]),
      );
      const isPapers = net.name === 'alexnet' && options.classes === 1000;
      if (isPapers) {
        output.table(
          ['total', 'this net', 'the slides', 'why they differ'],
          slides.map(([key, slide, why]) => [key, formatCount(summary.totals[key]), formatCount(slide), why]),
        );
      } else {
        output.table(
          ['total', 'this net'],
          slides.map(([key]) => [key, formatCount(summary.totals[key])]),
        );
      }
      const training = 3 * summary.parameters_bytes + summary.training_bytes;
      output.data(
        `memory at batch ${options.batch}: training ${formatBytes(training)} (weights, velocities, gradients, activations),`,
      );
      output.data(`  evaluation ${formatBytes(summary.parameters_bytes + summary.inference_bytes)}`);
      await output.finish();
    });

export default verb;
