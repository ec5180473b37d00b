/** Shows a split to models, one after the other. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { imageRows, type Layout, type Machine, Session, type Views } from '@ilsvrc/engine';
import { type ClassName, expectSameClasses, type ModelInfo, readModel } from './model.ts';
import { expectNumbers, type Member, type Outputs } from './outputs.ts';
import { differences } from './preprocessing.ts';

/** What to evaluate, and how. */
export interface EvaluateOptions extends Machine {
  /** Model files. */
  models: string[];
  /** A prepared data set: its folder, and what its manifest says. */
  dataset: {
    path: string;
    checksum: string;
    classes: ClassName[];
    splits: { name: string; images: number }[];
    preprocessing: Record<string, unknown>;
  };
  split: string;
  views: Views;
  /**
   * Views in a pass.
   * @default 128
   */
  batch?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Hears of each model before the first pass of any. */
  onModel?: ((model: Member) => void) | undefined;
  /** Hears where each model's towers live, before its first pass. */
  onOpen?: ((layout: Layout, model: number) => void) | undefined;
  /** `done` and `total` count images of one model. */
  onProgress?: ((progress: { model: number; done: number; total: number }) => void) | undefined;
}

/** Runs every model over the split. Files and classes are checked before the first pass. */
export async function evaluate(options: EvaluateOptions): Promise<Outputs> {
  const { dataset, split, views, signal } = options;
  const models = await Promise.all(options.models.map(readModel));
  if (models.length === 0) throw new IlsvrcError('E0104', 'no model to evaluate');
  for (const model of models) expectSameClasses(model, dataset);
  const members = models.map((model) => toMember(model, options));
  for (const member of members) options.onModel?.(member);
  const images = await imageRows({ dataset: dataset.path, split, numbers: null });
  const labels = Uint32Array.from(images, (image) => image.class);
  const probabilities: Float32Array[] = [];
  let seconds = 0;
  for (const [number, { path, net }] of models.entries()) {
    const session = await Session.open({
      net,
      batch: options.batch ?? 128,
      threads: options.threads,
      places: options.places,
      precision: options.precision,
      use: 'inference',
    });
    options.onOpen?.(session.layout, number);
    await session.loadModel(path);
    const report = await session.evaluate(
      { dataset: dataset.path, split, views },
      { signal, onProgress: (progress) => options.onProgress?.({ model: number, ...progress }) },
    );
    expectSameLabels(report.labels, labels);
    expectNumbers(path, report.probabilities, dataset.classes.length);
    probabilities.push(report.probabilities);
    seconds += report.seconds;
  }
  const subject = {
    data: dataset.path,
    checksum: dataset.checksum,
    split,
    expected: dataset.splits.find(({ name }) => name === split)?.images ?? 0,
    classes: dataset.classes,
    preprocessing: dataset.preprocessing,
    labels,
    numbers: Uint32Array.from(images, ({ number }) => number),
    keys: images.map(({ key }) => key),
    paths: images.map(({ path }) => path),
  };
  return { subject, members, probabilities, seconds };
}

function toMember({ path, checksum, net, preprocessing }: ModelInfo, options: EvaluateOptions): Member {
  const { dataset, views } = options;
  return {
    path,
    checksum,
    net: net.name,
    views,
    preprocessing,
    differences: differences(preprocessing, dataset.preprocessing),
  };
}

/** The list of images and the passes come from two readings of one folder, which may change in between. */
function expectSameLabels(seen: Uint32Array, listed: Uint32Array): void {
  if (seen.length === listed.length && seen.every((label, image) => label === listed[image])) return;
  throw new IlsvrcError('E0509', 'the data set changed while it was evaluated', {
    info: `${listed.length} images were listed, ${seen.length} seen, or in another order`,
    hint: 'run the command again when nothing writes to the data set',
  });
}
