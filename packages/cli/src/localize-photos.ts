/** `ilsvrc localize MODEL IMAGE…`: classes and boxes of photos, in pixels of each photo as it came. */
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { findImages } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type ImageBoxes, namesOf, writeBoxes } from '@ilsvrc/evaluator';
import { asJpeg, type BoxedPhoto, writeLocalizations } from '@ilsvrc/report';
import { formatCount, formatPercent, shorten } from '@ilsvrc/terminal';
import { loadDefaults, requireModels } from './defaults.ts';
import { type LocalizeRequest, openLocalizer } from './localizer.ts';
import { type Output, printError } from './output.ts';

/** A photo and where its likeliest classes are. */
interface Localization {
  file: string;
  width: number;
  height: number;
  guesses: {
    wnid: string;
    name: string;
    probability: number;
    box: [left: number, top: number, right: number, bottom: number];
  }[];
}

/** Photos that a panel shows at most: more are no picture. */
const mostShown = 60;

/** Looks at photos one after another; a bad one among many is told of and left out. */
export async function localizePhotos(request: LocalizeRequest & { images: string[] }): Promise<void> {
  const { images, top, views, panel, out, output, signal } = request;
  const [path = ''] = requireModels(request.model === undefined ? [] : [request.model], await loadDefaults());
  const files = (await Promise.all(images.map(findImages))).flat();
  const { session, model, method } = await openLocalizer(path, request);
  const isTurned = (model.preprocessing as { exif_rotate?: boolean } | null)?.exif_rotate ?? false;
  const all: Localization[] = [];
  const shown: BoxedPhoto[] = [];
  let failed = 0;
  for (const file of files) {
    signal.throwIfAborted();
    try {
      const photo = await read(file);
      const [found] = await locate(file, async () =>
        session.locate([await asJpeg(photo)], { method, views, top }, { signal }),
      );
      if (found === undefined) continue;
      const { width, height } = found;
      const guesses = found.guesses.map(({ class: index, probability, box }) => ({
        wnid: model.classes[index]?.wnid ?? String(index),
        name: model.classes[index]?.name ?? String(index),
        probability,
        box,
      }));
      all.push({ file, width, height, guesses });
      const [first] = guesses;
      if (panel !== undefined && first !== undefined && shown.length < mostShown)
        shown.push({ photo, isTurned, size: { width, height }, guess: first });
      if (!output.isJson) show({ file, width, height, guesses }, output);
    } catch (error) {
      if (!(error instanceof IlsvrcError) || files.length === 1) throw error;
      printError(error, false);
      failed += 1;
    }
  }
  if (panel !== undefined && shown.length > 0) {
    await writeLocalizations(shown, panel);
    const left = all.length - shown.length;
    output.say(`drew ${panel}${left > 0 ? `, the first ${shown.length} photos` : ''}`);
  }
  if (out !== undefined) {
    await writeBoxes(out, boxesOf(all), model.classes);
    output.say(`wrote ${out}`);
  }
  if (output.isJson) output.document({ version: 1, method, photos: all });
  if (failed > 0) {
    throw new IlsvrcError(
      'E0212',
      `${formatCount(failed)} of ${formatCount(files.length)} images could not be used`,
      {
        info: 'each is named above; the others were looked at',
      },
    );
  }
}

function boxesOf(all: readonly Localization[]): ImageBoxes[] {
  const names = namesOf(all.map(({ file }) => file.replace(/^(\.{0,2}\/)+/, '')));
  return all.map(({ file, width, height, guesses }, index) => ({
    name: names[index] ?? file,
    ending: extname(file),
    size: { width, height },
    guesses: guesses.map(({ wnid, box, probability }) => ({ class: wnid, box, probability })),
  }));
}

async function read(file: string): Promise<Uint8Array> {
  if (file === '-') return buffer(process.stdin);
  return readFile(file).catch((cause: Error) => {
    throw new IlsvrcError('E0201', `cannot read ${file}`, { info: cause.message, cause });
  });
}

/** An error of the decoder names the photo. */
async function locate<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
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

/** Columns that a name takes at most, so that a row fits a narrow terminal. */
const widest = 16;

function show({ file, width, height, guesses }: Localization, output: Output): void {
  output.data(`${output.bold(file)}  ${width} x ${height}`);
  const room = Math.max(...guesses.map(({ name }) => Math.min(name.length, widest)));
  for (const { name, probability, box } of guesses) {
    const [left, top, right, bottom] = box.map(Math.round);
    output.data(
      `  ${shorten(name, widest).padEnd(room)} ${formatPercent(probability, 0).padStart(5)}  ${left},${top} ${right},${bottom}`,
    );
  }
}
