/** `ilsvrc filters`: the first layer of a model as a picture. */
import { dirname, join } from 'node:path';
import { readModel } from '@ilsvrc/evaluator';
import { drawFilters, writeFilters } from '@ilsvrc/report';
import { formatImage } from '@ilsvrc/terminal';
import { loadDefaults, requireModels } from '../defaults.ts';
import { examples } from '../examples.ts';
import { imagesOption } from '../images-option.ts';
import { firstConvolution, readKernels } from '../kernels.ts';
import { Output } from '../output.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base) =>
  base
    .argument('[model]', 'a model file (default: that of the newest run)')
    .optionsGroup('Files:')
    .option('-o, --out <file>', 'the PNG to write (default: filters.png beside the model)')
    .option('--force', 'replace it if it is there')
    .option(...imagesOption)
    .addHelpText(
      'after',
      examples([
        ['ilsvrc filters runs/NAME/model.safetensors -o filters.png', 'both towers, one above the other'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const [path = ''] = requireModels(given === undefined ? [] : [given], await loadDefaults());
      const model = await readModel(path);
      // A run draws its own picture after each epoch: that one is renewed without asking.
      const out = options.out ?? join(dirname(path), 'filters.png');
      if (options.out !== undefined) await output.expectAbsent(out, options.force);
      const { filters, size } = firstConvolution(model.net);
      const towers = await readKernels(model);
      await writeFilters(towers, out);
      const kernels = filters * towers.length;
      if (output.isJson) output.document({ version: 1, file: out, kernels, size, towers: towers.length });
      const protocol = output.imageProtocol(options.images);
      if (protocol !== undefined) {
        // Half characters show each weight as it is: what does not fit goes into more rows.
        const isBlocks = protocol.startsWith('blocks');
        const fitting = Math.max(Math.floor((output.width - 2) / (size + 1)), 1);
        const picture = drawFilters(towers, isBlocks ? Math.min(fitting, 16) : 16);
        output.raw(formatImage(picture, protocol, Math.min(picture.width, output.width - 1)));
      }
      output.data(`drew ${kernels} kernels of ${size} x ${size}: ${out}`);
      await output.finish();
    });

export default verb;
