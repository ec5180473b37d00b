/**
 * Whether nets learn what they are known to learn: trains them through the program itself and keeps what it says.
 *
 *     npm run build && node bench/learn.ts CASE DATA
 *
 * CASE is a key of `cases`; DATA a folder that `ilsvrc prep` made, at the size that the case names. Writes
 * `results/learn-CASE.json`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Config, presets, type Recipe } from '@ilsvrc/config';
import { machine } from '@ilsvrc/engine';

/** What is trained: a net, the changes to its recipe, and how it is judged. */
interface Case {
  /** For the reader: what the result is held against. */
  about: string;
  /** `until`: epochs are added until the training error is that low, at most as many as the recipe says. */
  runs: Record<string, { config: Config; views?: 1 | 10; until?: number }>;
}

const cifar = presets['cifar-80sec'].net(10);
/** The paper compares how fast both reach 25 % training error, without regularisation and at a constant rate. */
const activation = (type: 'relu' | 'tanh', rate: number) => ({
  config: {
    net: {
      ...cifar,
      name: `cifar-${type}`,
      layers: cifar.layers.map((layer) => {
        if (layer.type === 'relu') return { type };
        return 'learning' in layer ? { ...layer, learning: { ...layer.learning, decay: 0 } } : layer;
      }),
    },
    recipe: {
      ...presets['cifar-80sec'].recipe,
      rate,
      epochs: 60,
      schedule: { kind: 'step', factor: 10, after: [] },
    } satisfies Recipe,
  },
  until: 0.25,
});

const cases: Record<string, Case> = {
  'imagenette-64': {
    about: 'at least 75 % top-1 with ten views within 15 minutes (--size 72)',
    runs: { 'alexnet-64': { config: { net: 'alexnet-64' }, views: 10 } },
  },
  'cifar-80sec': {
    about: 'published: 26 % test error; PyTorch on the same JPEG copies: 26.4 % (--size 32)',
    runs: { 'cifar-80sec': { config: { net: 'cifar-80sec' }, views: 1 } },
  },
  'cifar-11pct': {
    about: 'published: 11 % test error after the same 520 epochs, the mean of several views (--size 32)',
    runs: { 'cifar-11pct': { config: { net: 'cifar-11pct' }, views: 10 } },
  },
  activation: {
    about:
      'epochs until the training error is at most 25 %; the paper: ReLU six times sooner than tanh (--size 32)',
    runs: {
      'relu, rate 0.001': activation('relu', 0.001),
      'relu, rate 0.002': activation('relu', 0.002),
      'tanh, rate 0.001': activation('tanh', 0.001),
      'tanh, rate 0.002': activation('tanh', 0.002),
    },
  },
  alexnet: {
    about: 'the loss falls over the first 60 steps at batch 128; peak memory at most 4 GB',
    runs: { alexnet: { config: { net: 'alexnet', recipe: { epochs: 1 } } } },
  },
};

interface Line {
  event: string;
  epoch: number;
  step: number;
  loss: number;
  train_top1_error: number;
  images_per_second: number;
  seconds: number;
  peak_memory: number;
}

const [name = '', data = ''] = process.argv.slice(2);
const chosen = cases[name];
if (!chosen || !data) throw new Error(`usage: node bench/learn.ts ${Object.keys(cases).join('|')} DATA`);
const program = join(import.meta.dirname, '../packages/cli/bin/ilsvrc.mjs');
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-learn-'));

function ilsvrc(args: string[]): string {
  const { status, stdout, error } = spawnSync(process.execPath, [program, ...args], {
    cwd: place,
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`ilsvrc ${args.join(' ')} ended with ${status}`);
  return stdout;
}

function train({ config, views, until }: Case['runs'][string]) {
  const run = 'run';
  const recipe = {
    ...(typeof config.net === 'string' ? presets[config.net as keyof typeof presets].recipe : {}),
    ...config.recipe,
  };
  writeFileSync(join(place, 'ilsvrc.config.ts'), `export default ${JSON.stringify(config)};\n`);
  const lines: Line[] = [];
  const told = (args: string[]) =>
    ilsvrc(['train', resolve(data), '--run', run, '--json', ...args])
      .trim()
      .split('\n')
      .map((line): Line => JSON.parse(line));
  if (until === undefined) lines.push(...told(['--force']));
  else {
    const error = () => lines.findLast(({ event }) => event === 'epoch')?.train_top1_error ?? 1;
    for (
      let epochs = 1;
      epochs <= (recipe.epochs ?? Number.POSITIVE_INFINITY) && error() > until;
      epochs += 1
    ) {
      lines.push(...told(['--epochs', String(epochs), epochs === 1 ? '--force' : '--resume']));
    }
  }
  const epochs = lines.filter(({ event }) => event === 'epoch');
  const losses = lines.filter(({ event }) => event === 'step').map(({ loss }) => loss);
  const evaluate = () => {
    const model = join('runs', run, 'model.safetensors');
    // Paths are this machine's and say nothing to others.
    const { data, models, preprocessing, ...figures } = JSON.parse(
      ilsvrc(['eval', model, '--views', String(views), '--json']),
    );
    return figures;
  };
  const evaluation = views === undefined ? undefined : evaluate();
  return {
    recipe,
    epochs,
    first_losses: losses.slice(0, 60),
    training_seconds: lines.at(-1)?.seconds,
    peak_memory: lines.at(-1)?.peak_memory,
    epochs_to_25_percent_training_error: epochs.find(({ train_top1_error }) => train_top1_error <= 0.25)
      ?.epoch,
    evaluation,
  };
}

try {
  const runs = Object.fromEntries(Object.entries(chosen.runs).map(([label, run]) => [label, train(run)]));
  const { name: dataset } = JSON.parse(readFileSync(join(data, 'dataset.json'), 'utf8'));
  const result = {
    case: name,
    about: chosen.about,
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    dataset,
    runs,
  };
  const folder = join(import.meta.dirname, 'results');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `learn-${name}.json`), `${JSON.stringify(result, null, 1)}\n`);
} finally {
  rmSync(place, { recursive: true });
}
