/** `ilsvrc localize MODEL --data …`: the localization error of a model, or of somebody else's boxes, on a split with boxes. */
import { readFile } from 'node:fs/promises';
import { extname, resolve, sep } from 'node:path';
import { type Manifest, readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { readJpegs, type World } from '@ilsvrc/engine';
import {
  type BoxClass,
  type BoxGuess,
  type BoxRates,
  bestOverlap,
  expectForm,
  expectSameClasses,
  type LocalizationRates,
  type Located,
  localizationRates,
  locateSplit,
  readBoxes,
  type SplitImage,
  splitImages,
  writeBoxes,
} from '@ilsvrc/evaluator';
import { type BoxedPhoto, writeLocalizations } from '@ilsvrc/report';
import { formatCount, formatPercent } from '@ilsvrc/terminal';
import { loadDefaults, requireDataset, requireModels } from './defaults.ts';
import { type LocalizeRequest, openLocalizer } from './localizer.ts';
import type { Output } from './output.ts';

/** What was found of the images of a split. */
interface Found {
  /** In the order of the images. */
  images: (Pick<Located, 'known'> & { guesses: (BoxGuess & { probability?: number })[] })[];
  /** Those of the guesses. */
  classes: BoxClass[];
  /** They are the classes of the data set; else only boxes are compared. */
  knowsClasses: boolean;
  /** Who found it: the model file and the method, or the file of boxes. */
  by: { model: string; method: string; views: number } | { boxes: string };
}

/** Images of a panel. */
const shownImages = 12;

/** Measures a split and says it as a table or as one document. */
export async function localizeSplit(request: LocalizeRequest & { world: World | undefined }): Promise<void> {
  const { output, split } = request;
  const defaults = await loadDefaults();
  const [path] =
    request.boxes === undefined
      ? requireModels(request.model === undefined ? [] : [request.model], defaults)
      : [];
  const data = await requireDataset(request.data, defaults, path);
  const manifest = await readManifest(data);
  const dataset = { path: data, size: manifest.size, resize: resizeOf(manifest), classes: manifest.classes };
  // A model's classes are looked at where it is opened.
  if (request.boxes !== undefined && request.out !== undefined) expectForm(request.out, manifest.classes);
  const { images, withoutBoxes } = await splitImages(dataset, split);
  const listed = await readBlacklist(request.blacklist);
  if (images.every(({ row }) => listed.has(numberOf(row.path)))) {
    throw new IlsvrcError('E0513', `all images of ${data} (${split}) that have boxes are on the blacklist`, {
      hint: 'leave --blacklist out, or give the list of this data set',
    });
  }
  const begin = performance.now();
  const found =
    path === undefined
      ? await readFound(request.boxes ?? '', images, manifest)
      : await look(path, dataset, images, request);
  // The others have looked, and rank 0 tells.
  if (request.world !== undefined && request.world.rank > 0) return;
  const seconds = (performance.now() - begin) / 1000;
  const located = images.map((image, index): Located => {
    const { known, guesses } = found.images[index] ?? { known: undefined, guesses: [] };
    const { boxes, size, row } = image;
    const wnid = manifest.classes[row.class]?.wnid ?? '';
    return { class: wnid, boxes, size, guesses, known, isBlacklisted: listed.has(numberOf(row.path)) };
  });
  const rates = { ...localizationRates(located), without_boxes: withoutBoxes };

  if (request.out !== undefined) {
    const boxes = images.map(({ name, size, row }, index) => ({
      name,
      ending: extname(row.path),
      size,
      guesses: found.images[index]?.guesses ?? [],
    }));
    await writeBoxes(request.out, boxes, found.classes);
    output.say(`wrote ${request.out}`);
  }
  if (request.panel !== undefined) {
    await drawPanel(request.panel, { images, located, manifest, data, knowsClasses: found.knowsClasses });
    output.say(`drew ${request.panel}`);
  }
  if (output.isJson) output.document(toDocument(rates, found, { data, split, seconds }));
  else show(rates, found, split, output);
}

/** What a model says of the images. */
async function look(
  path: string,
  dataset: { path: string; size: number; resize: 'crop' | 'warp'; classes: Manifest['classes'] },
  images: readonly SplitImage[],
  request: LocalizeRequest & { world: World | undefined },
): Promise<Found> {
  const { output, views, batch, world, signal } = request;
  const { session, model, method, isPerClass } = await openLocalizer(path, request);
  const known = new Set(dataset.classes.map(({ wnid }) => wnid));
  const knowsClasses =
    model.classes.length === known.size && model.classes.every(({ wnid }) => known.has(wnid));
  if (isPerClass) expectSameClasses(model, dataset);
  if (!knowsClasses) {
    output.say(
      'the model has other classes than the data set: only boxes are compared, as if the class were given',
    );
  }
  const progress = output.progress(method === 'boxes' ? 'looking' : 'covering', 'images');
  const found = await locateSplit({
    session,
    dataset,
    images,
    classes: model.classes,
    method,
    views,
    batch,
    world,
    signal,
    onProgress: ({ done, total }) => progress.update(done, total),
  }).finally(() => progress.stop());
  const by = { model: path, method, views: method === 'boxes' ? views : 1 };
  return { images: found, classes: model.classes, knowsClasses, by };
}

/** What somebody else says: the box for the true class is that of the guess that has it. */
async function readFound(path: string, images: readonly SplitImage[], { classes }: Manifest): Promise<Found> {
  const all = await readBoxes(
    path,
    images.map(({ name }) => name),
    classes,
  );
  const found = all.map((guesses, index) => {
    const wnid = classes[images[index]?.row.class ?? -1]?.wnid;
    return { guesses, known: guesses.slice(0, 5).find((guess) => guess.class === wnid)?.box };
  });
  return { images: found, classes, knowsClasses: true, by: { boxes: path } };
}

/** Numbers of validation images, one a line; none without a file. */
async function readBlacklist(path: string | undefined): Promise<ReadonlySet<number | undefined>> {
  if (path === undefined) return new Set();
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new IlsvrcError('E0201', `cannot read ${path}`, { info: cause.message, cause });
  });
  const words = text.split(/\s+/).filter((word) => word !== '');
  const bad = words.find((word) => !/^[1-9]\d{0,6}$/.test(word));
  if (bad === undefined) return new Set(words.map(Number));
  throw new IlsvrcError('E0221', `${path} is not a list of image numbers`, {
    info: `${JSON.stringify(bad.slice(0, 40))} is none; there is one a line, from 1`,
  });
}

/** 36 of `ILSVRC2012_val_00000036.JPEG`. */
function numberOf(path: string): number | undefined {
  const digits = /_val_(\d{8})\.\w+$/.exec(path)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function resizeOf({ preprocessing }: Manifest): 'crop' | 'warp' {
  return preprocessing.resize === 'warp' ? 'warp' : 'crop';
}

/** The document of `--json`. Errors with a number of guesses say nothing where the model does not know the classes. */
function toDocument(
  { errors, intervals, baselines, ...rates }: LocalizationRates,
  { knowsClasses, by }: Found,
  rest: { data: string; split: string; seconds: number },
) {
  const shaped = ({ errors, intervals, ...known }: BoxRates) => ({
    errors: knowsClasses ? errors : null,
    intervals: knowsClasses ? intervals : null,
    ...known,
  });
  return {
    version: 1,
    ...by,
    ...rest,
    ...rates,
    ...shaped({ errors, intervals, ...rates }),
    baselines: { whole: shaped(baselines.whole), centre: shaped(baselines.centre) },
  };
}

function show(rates: LocalizationRates, { knowsClasses, by }: Found, split: string, output: Output): void {
  const row = (name: string, { errors, known_error, mean_iou }: BoxRates) => [
    name,
    ...(knowsClasses ? [errors[4] ?? 1, errors[0] ?? 1].map((error) => formatPercent(error)) : []),
    formatPercent(known_error),
    mean_iou.toFixed(3),
  ];
  const name = 'boxes' in by ? 'these boxes' : by.method === 'boxes' ? 'box head' : 'occlusion';
  output.table(
    ['error', ...(knowsClasses ? ['top-5', 'top-1'] : []), 'class given', 'mean IoU'],
    [row(name, rates), row('middle 70 %', rates.baselines.centre), row('whole photo', rates.baselines.whole)],
  );
  const [low, high] = rates.known_interval.map((bound) => formatPercent(bound));
  const parts = [
    `${formatCount(rates.images)} images (${split})`,
    `class given: ${low} – ${high} (95 %)`,
    ...('views' in by ? [by.views === 10 ? 'ten views' : 'centre view'] : []),
    ...(rates.without_boxes > 0 ? [`${formatCount(rates.without_boxes)} without boxes left out`] : []),
    ...(rates.blacklisted > 0 ? [`${formatCount(rates.blacklisted)} blacklisted left out`] : []),
  ];
  output.data(parts.join(', '));
}

/** The first images of the split with both kinds of boxes, as the source has them where it is still there. */
async function drawPanel(
  path: string,
  {
    images,
    located,
    manifest,
    data,
    knowsClasses,
  }: {
    images: readonly SplitImage[];
    located: readonly Located[];
    manifest: Manifest;
    data: string;
    knowsClasses: boolean;
  },
): Promise<void> {
  const names = new Map(manifest.classes.map(({ wnid, name }) => [wnid, name]));
  const shown = images.slice(0, shownImages);
  const jpegs = await readJpegs(
    data,
    shown.map(({ row }) => row),
  );
  const isTurned = manifest.preprocessing.exif_rotate === true;
  const panel = await Promise.all(
    shown.map(async ({ row, size, boxes }, index): Promise<BoxedPhoto | undefined> => {
      const { class: truth, guesses, known } = located[index] as Located;
      const [first] = knowsClasses ? guesses : [];
      const guess = first ?? (known === undefined ? undefined : { class: truth, box: known });
      if (guess === undefined) return undefined;
      const source = await readSource(manifest, row.path);
      return {
        ...(source === undefined
          ? { photo: jpegs[index] as Uint8Array, isTurned: false, part: partOf(size, resizeOf(manifest)) }
          : { photo: source, isTurned }),
        size,
        truth: { name: names.get(truth) ?? truth, boxes },
        guess: {
          name: first === undefined ? 'predicted' : (names.get(guess.class) ?? guess.class),
          box: guess.box,
        },
        overlap: bestOverlap(guess.box, boxes),
      };
    }),
  );
  await writeLocalizations(
    panel.filter((photo) => photo !== undefined),
    path,
  );
}

/** A photo of the sources that the data set was prepared from, where that is a folder which still has it. */
async function readSource({ request }: Manifest, path: string): Promise<Uint8Array | undefined> {
  for (const source of request?.sources ?? []) {
    const file = resolve(source, path);
    // A path that leads out of the source is none of ours.
    if (!file.startsWith(resolve(source) + sep)) continue;
    const bytes = await readFile(file).catch(() => undefined);
    if (bytes !== undefined) return bytes;
  }
  return undefined;
}

/** What `prep` kept of a photo. */
function partOf({ width, height }: SplitImage['size'], resize: 'crop' | 'warp'): BoxedPhoto['part'] {
  if (resize === 'warp') return [0, 0, width, height];
  const short = Math.min(width, height);
  const [left, top] = [(width - short) / 2, (height - short) / 2];
  return [left, top, left + short, top + short];
}
