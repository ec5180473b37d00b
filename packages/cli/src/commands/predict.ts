/** `ilsvrc predict`: classes of photos, from the model file alone. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { findImages } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { Session, type Views } from '@ilsvrc/engine';
import { best, type ClassName, readModel } from '@ilsvrc/evaluator';
import { asJpeg, type Guessed, squarePixels, writePanel } from '@ilsvrc/report';
import {
  besideImage,
  formatBar,
  formatImage,
  formatPercent,
  type ImageChoice,
  printable,
  shorten,
} from '@ilsvrc/terminal';
import { examples } from '../examples.ts';
import { imagesOption } from '../images-option.ts';
import { announce } from '../layout.ts';
import { machineOf, withMachine } from '../machine.ts';
import { Output, printError } from '../output.ts';
import { batchSize, whole } from '../parse.ts';
import type { Verb } from '../verb.ts';
import { viewsHelp, viewsOfOption, viewsOption } from '../views.ts';

/** A photo and its likeliest classes. */
interface Prediction {
  file: string;
  classes: (ClassName & { probability: number })[];
}

const verb: Verb = (base, { interrupts: { signal } }) =>
  withMachine(
    base
      .argument('<model>', 'a model file')
      .argument('<image...>', 'photos, folders of photos, or - for a photo on stdin')
      .optionsGroup('What:')
      .option('--top <n>', 'classes shown', whole('--top', 1, 1000), 5)
      .option('--views <n>', viewsHelp, viewsOption, '10')
      .option(...imagesOption)
      .option('--panel <file>', 'draw photos and bars into a PNG')
      .option('--force', 'replace the PNG if it is there')
      .optionsGroup('Machine:')
      .option('--batch <n>', 'views a pass', batchSize, 10),
  )
    .addHelpText(
      'after',
      examples([
        ['ilsvrc predict runs/NAME/model.safetensors cat.jpg', 'five bars'],
        ['ilsvrc predict MODEL photos/ --panel panel.png', 'a picture as in the talk'],
        ['curl -s URL | ilsvrc predict MODEL - --json', 'for scripts'],
      ]),
    )
    .action(async (path, images, options) => {
      const output = new Output(options);
      const model = await readModel(path);
      if (options.panel !== undefined) await output.expectAbsent(options.panel, options.force);
      const files = (await Promise.all(images.map(findImages))).flat();
      const session = await Session.open({
        net: model.net,
        batch: options.batch,
        seed: 0,
        ...(await machineOf(options)),
        use: 'inference',
      });
      announce(session.layout, output);
      await session.loadModel(path);
      const predictions: Prediction[] = [];
      const panel: Guessed[] = [];
      let failed = 0;
      for (const file of files) {
        signal.throwIfAborted();
        try {
          const photo = await read(file);
          const probabilities = await classify(session, photo, file, viewsOfOption(options.views));
          const classes = best(probabilities, options.top).map(({ class: index, probability }) => ({
            wnid: model.classes[index]?.wnid ?? String(index),
            name: model.classes[index]?.name ?? String(index),
            probability,
          }));
          predictions.push({ file, classes });
          if (options.panel !== undefined)
            panel.push({ photo, truth: truthOf(file, model.classes), guesses: classes });
          if (!output.isJson) await show({ file, classes }, photo, options.images, output);
        } catch (error) {
          // One bad photo among many is told of and left out.
          if (!(error instanceof IlsvrcError) || files.length === 1) throw error;
          printError(error, options.verbose ?? false);
          failed += 1;
        }
      }
      if (panel.length > 0 && options.panel !== undefined) {
        await writePanel(panel, options.panel);
        output.say(`drew ${options.panel}`);
      }
      if (output.isJson) output.document(predictions.map((prediction) => ({ version: 1, ...prediction })));
      await output.finish();
      if (failed > 0) {
        throw new IlsvrcError('E0212', `${failed} of ${files.length} images could not be used`, {
          info: 'each is named above; the others were classified',
        });
      }
    });

export default verb;

async function read(file: string): Promise<Uint8Array> {
  if (file === '-') return buffer(process.stdin);
  return readFile(file).catch((cause: Error) => {
    throw new IlsvrcError('E0201', `cannot read ${file}`, { info: cause.message, cause });
  });
}

/** Probabilities of all classes; an error names the photo. */
async function classify(
  session: Session,
  photo: Uint8Array,
  file: string,
  views: Views,
): Promise<Float32Array> {
  try {
    return await session.classify([await asJpeg(photo)], { views });
  } catch (error) {
    if (!(error instanceof IlsvrcError) || error.code !== 'E0212') throw error;
    const { info, hint } = error;
    throw new IlsvrcError('E0212', `${file === '-' ? 'stdin' : file} cannot be decoded`, {
      info: info ?? error.message,
      hint,
      cause: error,
    });
  }
}

/** The true class, where the photo lies in a folder with the name of one. */
function truthOf(file: string, classes: ClassName[]): string | undefined {
  const folder = basename(dirname(join(process.cwd(), file)));
  return classes.find(({ wnid, name }) => wnid === folder || name === folder)?.name;
}

/** Columns of a bar, and of the photo beside. */
const barWidth = 30;
const photoWidth = 18;
/** Pixels of the photo, for terminals that show pixels. */
const photoSide = 160;

/** The file, then bars; on a terminal that can show it the photo beside them, or above where there is no room. */
async function show(
  { file, classes }: Prediction,
  photo: Uint8Array,
  images: ImageChoice,
  output: Output,
): Promise<void> {
  output.data(output.bold(file));
  const protocol = output.imageProtocol(images);
  const beside = output.width - photoWidth - 4;
  const names = Math.max(...classes.map(({ name }) => name.length));
  const isBeside = protocol !== undefined && names + 12 <= beside;
  const lines = bars(classes, isBeside ? beside : output.width - 2);
  if (protocol === undefined) return output.data(lines.map((line) => `  ${line}`).join('\n'));
  const pixels = await squarePixels(photo, photoSide);
  if (isBeside) return output.raw(besideImage(pixels, lines, protocol, photoWidth));
  output.raw(formatImage(pixels, protocol, photoWidth));
  output.data(lines.map((line) => `  ${line}`).join('\n'));
}

/** A line a class: name, probability, and a bar as far as there is room. */
function bars(classes: Prediction['classes'], columns: number): string[] {
  const width = Math.min(Math.max(...classes.map(({ name }) => name.length)), Math.max(columns - 9, 8));
  const room = Math.min(Math.max(columns - width - 11, 0), barWidth);
  return classes.map(({ name, probability }) => {
    const share = formatPercent(probability, 1).padStart(7);
    return `${printable(shorten(name, width)).padEnd(width)}  ${share}  ${formatBar(probability, room)}`.trimEnd();
  });
}
