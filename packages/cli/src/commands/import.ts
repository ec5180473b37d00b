/** `ilsvrc import`: a model of another program as one of ours. */
import { readClassNames } from '@ilsvrc/dataset';
import { importModel } from '@ilsvrc/engine';
import { formatBytes, formatCount } from '@ilsvrc/terminal';
import { examples } from '../examples.ts';
import { Output } from '../output.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  base
    .argument('<file>', "a .caffemodel (AlexNet, CaffeNet), or torchvision's alexnet as safetensors")
    .optionsGroup('What:')
    .option(
      '--classes <source>',
      'names in the order of the outputs: a list (`wnid words` a line) or a prepared data set',
    )
    .option('--mean <file>', "Caffe's mean.binaryproto (default: the channel means 104, 117, 123)")
    .optionsGroup('Files:')
    .requiredOption('-o, --out <file>', 'the model file to write')
    .option('--force', 'replace it if it is there')
    .addHelpText(
      'after',
      examples([
        [
          'ilsvrc import alexnet.safetensors -o model.safetensors --classes LOC_synset_mapping.txt',
          'torchvision',
        ],
        ['ilsvrc import bvlc_alexnet.caffemodel -o model.safetensors --mean mean.binaryproto', 'Caffe'],
      ]),
    )
    .action(async (file, options) => {
      const output = new Output(options);
      await output.expectAbsent(options.out, options.force);
      const names = options.classes === undefined ? undefined : await readClassNames(options.classes);
      const { origin, net, classes, parameters, bytes } = await importModel(
        {
          file,
          mean: options.mean ?? null,
          out: options.out,
          classes: names?.classes ?? null,
          class_order: names === undefined ? 'numbered' : `as in ${names.from}`,
        },
        { signal },
      );
      if (names === undefined) output.say('classes are numbered; --classes gives them names');
      else if (!isSorted(names.classes)) output.say(unsorted);
      if (output.isJson) {
        output.document({
          version: 1,
          file: options.out,
          bytes,
          origin,
          net: { name: net.name, towers: net.towers, image: net.image, crop: net.crop },
          classes,
          parameters,
        });
      } else {
        const towers = net.towers === 1 ? 'one tower' : 'two towers';
        output.data(`${origin.format} \`${origin.net}\`: ${formatCount(parameters)} parameters in ${towers}`);
        output.data(
          `${formatCount(classes)} classes; crops of ${net.crop} from ${net.image} px (${origin.resize})`,
        );
        output.data(`${origin.channels}, minus ${origin.mean}, times ${origin.scale}`);
        output.data(`wrote ${options.out}: ${formatBytes(bytes)}`);
      }
      const prep = `ilsvrc prep PHOTOS -o DATA --size ${net.image} --resize ${origin.resize}`;
      output.next([
        `ilsvrc predict ${options.out} PHOTO`,
        prep,
        `ilsvrc eval ${options.out} --data DATA --top5`,
      ]);
      await output.finish();
    });

/** Both programs number ImageNet's classes by their sorted WNIDs; the development kit does not. */
const unsorted =
  'warning: the WNIDs are not sorted, as Caffe and torchvision have them: check that the names are in the order of the outputs';

/** Whether the WNIDs among the names, if all of them are, are sorted. */
function isSorted(classes: { wnid: string }[]): boolean {
  const wnids = classes.map(({ wnid }) => wnid);
  if (!wnids.every((wnid) => /^n\d{8}$/.test(wnid))) return true;
  return wnids.every((wnid, index) => index === 0 || (wnids[index - 1] ?? '') < wnid);
}

export default verb;
