/** All that a report says of a run: its settings and metrics, an evaluation made now, and photos with the guesses. */
import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Manifest, readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Layout, Machine } from '@ilsvrc/engine';
import {
  calibration,
  confusionMatrix,
  type Evaluation,
  evaluate,
  perClass,
  readModel,
  worstConfusions,
} from '@ilsvrc/evaluator';
import {
  type FactGroup,
  filterPicture,
  type Kernels,
  pictureLibrary,
  type Report,
  thumbnail,
} from '@ilsvrc/report';
import { formatCount } from '@ilsvrc/terminal';
import { type Metrics, type RunDirectory, readMetrics, type Settings } from '@ilsvrc/trainer';
import { readKernels } from '../kernels.ts';
import { describeLayout } from '../layout.ts';
import { flatten, planned } from './facts.ts';
import { choosePhotos, type Photo } from './photos.ts';

/** How the run's model is evaluated. */
export interface GatherOptions extends Machine {
  /** The data set to evaluate on, where it is not the run's. */
  data: string | undefined;
  views: 1 | 10;
  batch: number;
  signal: AbortSignal;
  onOpen(layout: Layout): void;
  onProgress(progress: { done: number; total: number }): void;
}

/** A report, and what its pictures are drawn of. */
export interface Gathered {
  report: Report;
  photos: Photo[];
  /** The first layer, tower by tower; none where it is no convolution. */
  kernels: Kernels[];
}

/** Pairs of classes in the table of mistakes. */
const pairs = 12;

/** Evaluates and collects. E0610 for a run that has no model yet. */
export async function gather(run: RunDirectory, options: GatherOptions): Promise<Gathered> {
  const settings = await run.settings();
  await expectModel(run);
  const [metrics, model] = [await readMetrics(run), await readModel(run.model)];
  const data = options.data ?? settings.dataset;
  const manifest = await readManifest(data);
  let layout: Layout | undefined;
  const evaluation = await evaluate({
    ...options,
    models: [run.model],
    dataset: { path: data, classes: manifest.classes },
    split: 'val',
    onOpen(opened) {
      layout = opened;
      options.onOpen(opened);
    },
  });
  const photos = await choosePhotos(evaluation, data, manifest.classes);
  const machine = layout && describeLayout(layout);
  const report = planned({ name: basename(run.path), settings, manifest }, undefined, metrics.epochs);
  const kernels = report.filters === undefined ? [] : await readKernels(model);
  return {
    photos,
    kernels,
    report: {
      ...report,
      ...metrics,
      filters: report.filters && {
        ...report.filters,
        png: await filterPicture(kernels).png().toBuffer(),
      },
      evaluation: evaluationPart(evaluation, manifest, options.views),
      panels: await Promise.all(
        photos.map(async ({ jpeg, truth, guesses }) => ({ picture: await thumbnail(jpeg), truth, guesses })),
      ),
      measured: await measuredFacts({ evaluation, settings, data, run, options, metrics, machine }),
    },
  };
}

async function expectModel(run: RunDirectory): Promise<void> {
  await access(run.model).catch((cause: Error) => {
    throw new IlsvrcError('E0610', `${run.path} has no model yet`, {
      info: cause.message,
      hint: 'a run writes one after each epoch: go on with it by `ilsvrc train --resume`',
      cause,
    });
  });
}

function evaluationPart(evaluation: Evaluation, { classes }: Manifest, views: 1 | 10): Report['evaluation'] {
  const { scores, images, log_loss, top1_error, top1_interval, top5_error, top5_interval } = evaluation;
  const name = (index: number) => classes[index]?.name ?? String(index);
  const confusion = confusionMatrix(scores);
  return {
    what: `The model of the last epoch on ${formatCount(images)} validation images, ${views === 10 ? 'ten views of each averaged' : 'the centre view of each'}. Intervals are Wilson's.`,
    top1: { error: top1_error, interval: top1_interval },
    top5: { error: top5_error, interval: top5_interval },
    log_loss,
    calibration: calibration(scores),
    confusion,
    classes: perClass(scores).map((rates) => ({
      ...rates,
      name: name(rates.class),
      wnid: classes[rates.class]?.wnid ?? '',
      confused_with: rates.confused_with && {
        name: name(rates.confused_with.class),
        images: rates.confused_with.images,
      },
    })),
    worst: worstConfusions(confusion, pairs).map(({ truth, predicted, images, share }) => ({
      ...{ truth: name(truth), guess: name(predicted), images, share },
    })),
  };
}

/** What the numbers depend on, so that others can be compared with them. */
async function measuredFacts(known: {
  evaluation: Evaluation;
  settings: Settings;
  data: string;
  run: RunDirectory;
  options: GatherOptions;
  metrics: Metrics;
  machine: string | undefined;
}): Promise<FactGroup[]> {
  const { evaluation, settings, data, run, options, machine } = known;
  const now = await sha256(join(data, 'dataset.json'));
  const preprocessing = evaluation.models[0]?.preprocessing;
  const sameData =
    now === settings.dataset_hash
      ? 'the same as in training'
      : `not that of training, ${settings.dataset_hash}`;
  return [
    {
      title: 'Evaluation',
      facts: [
        ['split', 'val'],
        ['images', formatCount(evaluation.images)],
        [
          'views',
          options.views === 10
            ? '10: corners and centre, each mirrored too; probabilities averaged'
            : '1: the centre',
        ],
        ['ties', 'shared: n classes of equal scores for s slots have s/n of a hit each'],
        ['intervals', 'Wilson, 95 %'],
        ['computed on', machine ?? ''],
        ['speed', `${formatCount(evaluation.images_per_second)} images/s`],
      ],
    },
    {
      title: 'Hashes (SHA-256)',
      facts: [
        ['model', await sha256(run.model)],
        ['data set', `${now} (${sameData})`],
      ],
    },
    { title: 'How photos were prepared', facts: flatten(asRecord(preprocessing)) },
    {
      title: 'Programs',
      facts: [
        ['Node', process.version],
        ['pictures', pictureLibrary()],
      ],
    },
  ];
}

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

const asRecord = (value: unknown) =>
  value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {};
