/** `ilsvrc train --head boxes`: a small net that says where things are, on the features of a model that stays as it is. */
import { dirname, join } from 'node:path';
import { readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type BoxProgress, type Machine, Session } from '@ilsvrc/engine';
import { expectSameClasses, readModel } from '@ilsvrc/evaluator';
import { formatCount, formatDuration } from '@ilsvrc/terminal';
import { type Defaults, requireDataset, requireModels } from './defaults.ts';
import { announce } from './layout.ts';
import type { Output } from './output.ts';

/** The flags of `train` that a head has too. */
export interface HeadFlags {
  model?: string | undefined;
  perClass?: true | undefined;
  batch?: number | undefined;
  epochs?: number | undefined;
  lr?: number | undefined;
  seed?: number | undefined;
  force?: true | undefined;
}

/** Where the head of a model lies. */
export const headOf = (model: string): string => join(dirname(model), 'head.safetensors');

/** Views of a pass while features are made. */
const passViews = 120;

/** Trains the head of a model from the boxes of a data set's training split, and writes it beside the model. */
export async function trainHead(
  given: string | undefined,
  flags: HeadFlags,
  {
    defaults,
    machine,
    output,
    signal,
  }: {
    defaults: Defaults;
    machine: Machine;
    output: Output;
    signal: AbortSignal;
  },
): Promise<void> {
  const [path = ''] = requireModels(flags.model === undefined ? [] : [flags.model], defaults);
  const model = await readModel(path);
  const dataset = await requireDataset(given, defaults, path);
  const { classes } = await readManifest(dataset);
  const perClass = flags.perClass ?? false;
  if (perClass) expectSameClasses(model, { path: dataset, classes });
  const head = headOf(path);
  await output.expectAbsent(head, flags.force);

  const session = await Session.open({
    net: model.net,
    batch: passViews,
    seed: 0,
    ...machine,
    use: 'inference',
  });
  announce(session.layout, output);
  await session.loadModel(path);
  const begin = performance.now();
  const progress = {
    features: output.progress('looking at images', 'images'),
    windows: output.progress('and at parts of them', 'images'),
    epoch: output.progress('learning boxes, epochs'),
  };
  const onProgress = (event: BoxProgress) => {
    if (output.isJson && event.event === 'epoch') {
      output.line({ event: 'epoch', epoch: event.done, epochs: event.total, loss: event.loss });
    }
    const note = event.event === 'epoch' ? `loss ${event.loss.toFixed(4)}` : '';
    progress[event.event].update(event.done, event.total, note);
  };
  const record = await session
    .fitBoxes(
      {
        dataset,
        split: 'train',
        views: 10,
        per_class: perClass,
        batch: flags.batch ?? 128,
        epochs: flags.epochs ?? null,
        rate: flags.lr ?? 0.01,
        seed: flags.seed ?? 0,
      },
      { signal, onProgress },
    )
    .finally(() => {
      progress.features.stop();
      progress.windows.stop();
      progress.epoch.stop();
    });
  // Other ranks have helped with the features.
  if (record === undefined) return;
  await session.saveHead(head);

  if (record.images < record.boxed) {
    output.say(
      `the features of ${formatCount(record.images)} of ${formatCount(record.boxed)} images fitted into half of the memory: the head learned from those`,
    );
  }
  if (output.isJson) output.line({ event: 'end', version: 1, head, ...record });
  output.data(
    `${head}: ${record.per_class ? `a box for each of ${record.classes.length} classes` : 'one box for all classes'}, learned from ${formatCount(record.images)} images in ${record.views + record.windows} views, ${record.fit.epochs} epochs, ${formatDuration((performance.now() - begin) / 1000)}`,
  );
  output.next([
    `ilsvrc localize ${path} --data ${dataset}`,
    `ilsvrc localize ${path} photo.jpg --panel boxes.png`,
  ]);
}

/** Fails where flags are given that only the training of a whole net has. */
export function expectHeadFlags(options: Record<string, unknown>): void {
  const others = ['net', 'schedule', 'shuffle', 'cache', 'run', 'resume', 'checkpointSteps', 'live'];
  const found = others.find((name) => options[name] !== undefined);
  if (found === undefined) return;
  throw new IlsvrcError(
    'E0103',
    `--${found.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} does not go with --head boxes`,
    {
      info: 'a head is trained on a net that stays as it is',
    },
  );
}
