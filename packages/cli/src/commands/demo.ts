/** `ilsvrc demo`: everything once, on pictures drawn on the spot, as commands to copy. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { findImages } from '@ilsvrc/dataset';
import { generateBuiltin } from '@ilsvrc/engine';
import { hasPictures } from '@ilsvrc/report';
import { formatCount, formatDuration } from '@ilsvrc/terminal';
import { errorPage } from '../docs.ts';
import { examples } from '../examples.ts';
import { Output } from '../output.ts';
import { whole } from '../parse.ts';
import type { Verb } from '../verb.ts';

const folder = 'demo';
const photos = join(folder, 'photos');
const data = join(folder, 'data');
const run = 'demo';
const model = join('runs', run, 'model.safetensors');
const evaluation = join(folder, 'eval');
const filters = join(folder, 'filters.png');
const panel = join(folder, 'panel.png');
const neighbours = join(folder, 'neighbours.png');
const boxes = join(folder, 'boxes.png');
const report = join(folder, 'report.html');

const verb: Verb = (base, context) =>
  base
    .option(
      '--images <n>',
      'pictures to draw, training and validation',
      whole('--images', 60, 1_000_000),
      4800,
    )
    .option('--epochs <n>', 'passes over them', whole('--epochs', 1), 15)
    .option('--seed <n>', 'other pictures', whole('--seed', 0), 0)
    .addHelpText(
      'after',
      examples([['ilsvrc demo', 'some minutes on two cores; writes demo/ and runs/demo']]),
    )
    .action(async ({ images, epochs, seed, ...options }) => {
      const output = new Output({ ...options, json: undefined });
      const begin = performance.now();
      const progress = output.progress(`drawing ${formatCount(images)} pictures to ${photos}`);
      await generateBuiltin(
        { out: photos, images, seed, workers: availableParallelism() },
        { signal: context.interrupts.signal, onProgress: ({ done, total }) => progress.update(done, total) },
      ).finally(() => progress.stop());

      const chosen = await someOfEachClass();
      const steps = [
        ['prep', photos, '-o', data, '--size', '72', '--force'],
        ['train', data, '--net', 'alexnet-64', '--epochs', String(epochs), '--run', run, '--force'],
        ['eval', model, '--top5', '--views', '10', '--out', evaluation, '--force'],
        ...drawn(['filters', model, '-o', filters, '--force']),
        ['predict', model, ...chosen, ...drawn('--panel', panel, '--force')],
        ['retrieve', model, '--store', join(folder, 'features'), ...drawn('--panel', neighbours, '--force')],
        ['train', data, '--head', 'boxes', '--model', model, '--force'],
        ['localize', model, ...drawn('--panel', boxes, '--force')],
        ...drawn(['report', run, '--from', evaluation, '-o', report, '--force']),
      ];
      for (const step of steps) {
        output.say(`\n$ ilsvrc ${step.join(' ')}`);
        await context.run(options.quiet ? [...step, '--quiet'] : step);
      }
      const look = hasPictures
        ? `Open ${report}; look at ${[panel, neighbours, boxes].join(', ')}.`
        : `Without pictures: the package sharp is not here (${errorPage('E0412')}).`;
      output.say(`\nAll of it in ${formatDuration((performance.now() - begin) / 1000)}. ${look}`);
      output.next([
        `ilsvrc summary ${model}`,
        `ilsvrc eval ${model} --top5 --json`,
        `ilsvrc predict ${model} your-photo.jpg`,
        'ilsvrc prep your-photos/ --size 72 -o data/yours',
        'ilsvrc train data/yours --net alexnet-64',
      ]);
    });

export default verb;

/** What needs sharp, where it is there. */
const drawn = <T>(...parts: T[]): T[] => (hasPictures ? parts : []);

/** A validation picture of each of the first eight classes. */
async function someOfEachClass(): Promise<string[]> {
  const first = new Map<string, string>();
  for (const path of await findImages(join(photos, 'val'))) {
    const wnid = path.split('/').at(-2) ?? '';
    if (!first.has(wnid)) first.set(wnid, path);
  }
  return [...first.values()].slice(0, 8);
}
