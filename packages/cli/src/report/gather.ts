/** All that a report says of a run: its settings and metrics, an evaluation made now, and photos with the guesses. */
import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Manifest, readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Layout, Machine, Views } from '@ilsvrc/engine';
import {
  confusionMatrix,
  type Evaluation,
  evaluate,
  judge,
  type ModelInfo,
  type Outputs,
  perClass,
  readModel,
  readSaved,
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
import { type RunDirectory, readMetrics, type Settings } from '@ilsvrc/trainer';
import { readKernels } from '../kernels.ts';
import { describeLayout } from '../layout.ts';
import { factOfViews, fewWords } from '../views.ts';
import { flatten, planned } from './facts.ts';
import { choosePhotos, type Photo } from './photos.ts';

/** How the run's model is evaluated. */
export interface GatherOptions extends Machine {
  /** The data set to evaluate on, where it is not the run's. */
  data: string | undefined;
  /** Folder of an evaluation that was saved: no net runs then. */
  from: string | undefined;
  views: Views;
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
  let machine: string | undefined;
  const onOpen = (layout: Layout) => {
    machine = describeLayout(layout);
    options.onOpen(layout);
  };
  const outputs =
    options.from === undefined
      ? await evaluate({
          ...options,
          models: [run.model],
          dataset: { path: data, ...manifest },
          split: 'val',
          onOpen,
        })
      : await savedOutputs(options.from, model, manifest);
  const evaluation = judge(outputs);
  const photos = await choosePhotos(evaluation, data);
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
      evaluation: evaluationPart(evaluation),
      panels: await Promise.all(
        photos.map(async ({ jpeg, truth, guesses }) => ({ picture: await thumbnail(jpeg), truth, guesses })),
      ),
      measured: await measuredFacts({ evaluation, settings, data, machine }),
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

/** What an evaluation of this model and this data set saved; E0613 for another one's. */
async function savedOutputs(folder: string, model: ModelInfo, manifest: Manifest): Promise<Outputs> {
  const outputs = await readSaved([folder]);
  const differs = (info: string) =>
    new IlsvrcError('E0613', `${folder} is not an evaluation of ${model.path}`, {
      info,
      hint: 'leave --from out, or evaluate this model by `ilsvrc eval MODEL --out DIR`',
    });
  const [member, ...others] = outputs.members;
  if (member === undefined || others.length > 0) throw differs(`it is of ${outputs.members.length} models`);
  if (member.checksum !== model.checksum) throw differs(`it is of a model with SHA-256 ${member.checksum}`);
  if (outputs.subject.checksum !== manifest.checksum) throw differs('it is of another data set');
  return outputs;
}

function evaluationPart(evaluation: Evaluation): Report['evaluation'] {
  const { scores, subject, members, images, log_loss } = evaluation;
  const { top1_error, top1_interval, top5_error, top5_interval } = evaluation;
  const name = (index: number) => subject.classes[index]?.name ?? String(index);
  const confusion = confusionMatrix(scores);
  const seen = members[0]?.views ?? 1;
  const views = seen === 1 ? 'the centre view of each' : `${fewWords(seen)} of each averaged`;
  return {
    what: `The model of the last epoch on ${formatCount(images)} images (${subject.split}), ${views}. Intervals are Wilson's.`,
    top1: { error: top1_error, interval: top1_interval },
    top5: { error: top5_error, interval: top5_interval },
    log_loss,
    calibration: evaluation.calibration,
    confusion,
    classes: perClass(scores).map((rates) => ({
      ...rates,
      name: name(rates.class),
      wnid: subject.classes[rates.class]?.wnid ?? '',
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
  machine: string | undefined;
}): Promise<FactGroup[]> {
  const { evaluation, settings, data, machine } = known;
  const { subject, members, images_per_second, seen } = evaluation;
  const [member] = members;
  const manifest = createHash('sha256')
    .update(await readFile(join(data, 'dataset.json')))
    .digest('hex');
  const isSame = manifest === settings.dataset_hash;
  const differences = member?.differences.map(
    ({ field, model, data }) => `${field}: model ${JSON.stringify(model)}, data ${JSON.stringify(data)}`,
  );
  const speed: FactGroup['facts'] =
    images_per_second === null ? [] : [['speed', `${formatCount(images_per_second)} images/s`]];
  return [
    {
      title: 'Evaluation',
      facts: [
        ...speed,
        ['split', subject.split],
        ['images', `${formatCount(seen)} of ${formatCount(subject.expected)} expected`],
        ['views', factOfViews(member?.views ?? 1)],
        ['ties', 'shared: n classes of equal scores for s slots have s/n of a hit each'],
        ['intervals', 'Wilson, 95 %'],
        ['computed', machine === undefined ? 'before, and saved by `ilsvrc eval --out`' : `on ${machine}`],
      ],
    },
    {
      title: 'Hashes (SHA-256)',
      facts: [
        ['model', member?.checksum ?? ''],
        ['data set', subject.checksum],
        ['trained on', isSame ? 'the same data set' : `a data set of the manifest ${settings.dataset_hash}`],
      ],
    },
    {
      title: 'How photos were prepared',
      facts: [
        ...flatten(subject.preprocessing),
        ['as in training', differences?.length ? differences.join('; ') : 'yes'],
      ],
    },
    {
      title: 'Programs',
      facts: [
        ['Node', process.version],
        ['pictures', pictureLibrary()],
      ],
    },
  ];
}
