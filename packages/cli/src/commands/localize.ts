/** `ilsvrc localize`: classes with boxes, of photos or of a split, where they are compared with the true ones. */
import { imageName } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { World } from '@ilsvrc/engine';
import { examples } from '../examples.ts';
import { localizePhotos } from '../localize-photos.ts';
import { localizeSplit } from '../localize-split.ts';
import { machineOf, withMachine } from '../machine.ts';
import { batchSize, oneOf, whole } from '../parse.ts';
import { expectAlone, outputOf, together } from '../ranks.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  withMachine(
    base
      .argument('[model]', 'a model file (default: that of the newest run)')
      .argument(
        '[image...]',
        'photos or folders of photos; without any, a split with known boxes is measured',
      )
      .optionsGroup('How:')
      .option(
        '--method <kind>',
        'boxes: the head beside the model; occlusion: cover parts of the photo (default: boxes where there is a head)',
        oneOf('--method', ['boxes', 'occlusion']),
      )
      .option(
        '--views <n>',
        '10: corners and centre, each mirrored too; 1: the centre',
        oneOf('--views', ['10', '1']),
        '10',
      )
      .option('--top <n>', 'guesses shown of a photo', whole('--top', 1, 1000), 5)
      .optionsGroup('Measuring:')
      .option('--data <dir>', 'a prepared data set with boxes (default: the one the model was trained on)')
      .option('--split <name>', 'val or train', oneOf('--split', ['val', 'train']), 'val')
      .option('--boxes <path>', 'measure boxes of somebody else: .json, .csv, .txt, or a folder of .xml')
      .option(
        '--blacklist <file>',
        'numbers of validation images that are left out, as the development kit has',
      )
      .optionsGroup('Files:')
      .option(
        '--out <path>',
        'write the boxes: .json (COCO), .csv (Kaggle), .txt (devkit), else a folder (VOC)',
      )
      .option('--panel <file>', 'draw photos with true and predicted boxes into a PNG')
      .option('--force', 'replace files that are there')
      .optionsGroup('Machine:')
      .option('--batch <n>', 'views a pass', batchSize, 120),
  )
    .addHelpText(
      'after',
      examples([
        ['ilsvrc localize MODEL cat.jpg --panel boxes.png', 'boxes of a photo'],
        ['ilsvrc localize MODEL --data data/photos', 'the localization error'],
        ['ilsvrc localize MODEL photos/ --out boxes.json', "in COCO's form"],
        ['ilsvrc localize --data data/photos --boxes mine.csv', "somebody else's boxes"],
      ]),
    )
    .action(async (model, images, options, command) => {
      for (const option of ['data', 'split', 'blacklist'] as const) {
        if (images.length > 0 && command.getOptionValueSource(option) === 'cli') {
          throw new IlsvrcError('E0103', `--${option} is of the images of a data set, and photos are given`, {
            hint: `leave --${option} out, or the photos`,
          });
        }
      }
      const request = {
        ...options,
        model,
        views: options.views === '10' ? (10 as const) : (1 as const),
        machine: await machineOf(options),
        signal,
      };
      if (options.boxes !== undefined && (model !== undefined || options.method !== undefined)) {
        throw new IlsvrcError('E0103', '--boxes measures boxes of somebody else: no model looks for any', {
          hint: 'leave the model and --method out, or --boxes',
        });
      }
      if (images.length === 0 && model !== undefined && imageName.test(model)) {
        throw new IlsvrcError('E0104', `the argument MODEL is missing: ${model} is a photo`, {
          hint: `\`ilsvrc localize runs/NAME/model.safetensors ${model}\``,
        });
      }
      // Only a model's walk over a split is worth sharing out.
      const isAlone = images.length > 0 || options.boxes !== undefined;
      if (isAlone) expectAlone('`localize` of photos, or with --boxes,');
      const localize = async (world: World | undefined) => {
        const output = outputOf(world, options);
        for (const path of [options.out, options.panel]) {
          if (path !== undefined) await output.expectAbsent(path, options.force);
        }
        if (images.length > 0) await localizePhotos({ ...request, output, images });
        else await localizeSplit({ ...request, output, world });
        await output.finish();
      };
      await (isAlone
        ? localize(undefined)
        : together(async () => (await machineOf(options)).places, localize));
    });

export default verb;
