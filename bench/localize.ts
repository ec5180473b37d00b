/**
 * How well boxes are found: by a head on a net's last maps, and by covering parts of the image, beside boxes that know nothing. On
 * the built-in set, whose boxes are known, and on photos of one kind of object with PASCAL VOC boxes, over several splits.
 *
 *     npm run build && node bench/localize.ts BUILTIN-MODEL PHOTO-MODEL PHOTOS OTHERS [--splits 3] [--keep DIR]
 *
 * BUILTIN-MODEL was trained on the built-in set (`ilsvrc demo`); PHOTO-MODEL need not know what PHOTOS show (folders `images`
 * and `annotations`). OTHERS is a folder of photos of something else: `prep` wants two classes; they have no boxes and do not
 * count. All go through the program. Writes `results/localize.json` and `results/localize.md`.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, parse } from 'node:path';
import { parseArgs } from 'node:util';
import { generateBuiltin, machine } from '@ilsvrc/engine';
import { spread } from './tools.ts';

const {
  positionals: [builtinModel = '', photoModel = '', photos = '', others = ''],
  values,
} = parseArgs({
  allowPositionals: true,
  options: { splits: { type: 'string', default: '3' }, keep: { type: 'string' } },
});
if (!others) throw new Error('usage: node bench/localize.ts BUILTIN-MODEL PHOTO-MODEL PHOTOS OTHERS');
const program = join(import.meta.dirname, '../packages/cli/bin/ilsvrc.mjs');
const results = join(import.meta.dirname, 'results');
const place = values.keep ?? mkdtempSync(join(tmpdir(), 'ilsvrc-bench-localize-'));
const splits = Array.from({ length: Number(values.splits) }, (_, seed) => seed);
/** Pictures that are drawn, seed 0. */
const drawn = 2400;

/** What `localize --json` says, as far as it is kept. */
interface Rates {
  images: number;
  errors: number[] | null;
  known_error: number;
  mean_iou: number;
  seconds: number;
  baselines: { centre: Rates; whole: Rates };
}

function ilsvrc(...args: string[]): string {
  const { status, stdout, error } = spawnSync(process.execPath, [program, ...args], {
    cwd: place,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`ilsvrc ${args.join(' ')} ended with ${status}`);
  return stdout;
}

/** A head for a copy of the model, and what it, its centre view and occlusion find. */
function measure(name: string, model: string, data: string, seed: number) {
  const folder = join(place, name);
  const copy = join(folder, 'model.safetensors');
  mkdirSync(folder, { recursive: true });
  copyFileSync(model, copy);
  const begin = performance.now();
  const lines = ilsvrc(
    'train',
    data,
    '--head',
    'boxes',
    '--model',
    copy,
    '--seed',
    String(seed),
    '--json',
    '--force',
    '-q',
  );
  const learning = (performance.now() - begin) / 1000;
  const { images, views, windows, fit } = JSON.parse(lines.trim().split('\n').at(-1) ?? '');
  const look = (...how: string[]): Rates =>
    JSON.parse(ilsvrc('localize', copy, '--data', data, '--json', '-q', ...how));
  return {
    head: { images, views, windows, epochs: fit.epochs, seconds: learning },
    ten: look('--panel', join(folder, 'head.png'), '--force'),
    one: look('--views', '1'),
    occlusion: look('--method', 'occlusion', '--panel', join(folder, 'occlusion.png'), '--force'),
  };
}

/** The photos in the order of a seeded shuffle (multiplicative congruences), a quarter for validation. */
function splitPhotos(seed: number): string {
  const folder = join(place, `photos-${seed}`);
  const files = readdirSync(join(photos, 'images'))
    .filter((file) => file.endsWith('.jpg'))
    .sort();
  const draw = (index: number) => (Math.imul(index + 1, 2654435761) ^ Math.imul(seed + 1, 40503)) >>> 0;
  const mixed = files
    .map((file, index) => ({ file, key: Math.imul(draw(index) ^ (draw(index) >>> 15), 2246822519) >>> 0 }))
    .sort((a, b) => a.key - b.key);
  const validation = Math.round(files.length / 4);
  const kind = basename(photos);
  for (const split of ['train', 'val']) {
    for (const name of [kind, 'others']) mkdirSync(join(folder, split, name), { recursive: true });
  }
  mkdirSync(join(folder, 'annotations'), { recursive: true });
  for (const [index, { file }] of mixed.entries()) {
    copyFileSync(
      join(photos, 'images', file),
      join(folder, index < validation ? 'val' : 'train', kind, file),
    );
    const xml = `${parse(file).name}.xml`;
    copyFileSync(join(photos, 'annotations', xml), join(folder, 'annotations', xml));
  }
  for (const [index, file] of readdirSync(others).sort().slice(0, 8).entries()) {
    copyFileSync(join(others, file), join(folder, index < 2 ? 'val' : 'train', 'others', file));
  }
  const data = join(place, `data-photos-${seed}`);
  ilsvrc('prep', folder, '-o', data, '--size', '72', '--force', '-q');
  return data;
}

await generateBuiltin({ out: join(place, 'builtin'), images: drawn, seed: 0, workers: 2 });
const builtin = join(place, 'data-builtin');
ilsvrc('prep', join(place, 'builtin'), '-o', builtin, '--size', '72', '--force', '-q');
const cases = [
  { name: `built-in set, ${drawn} pictures`, runs: [measure('builtin', builtinModel, builtin, 0)] },
  {
    name: `${basename(photos)}, ${splits.length} splits`,
    runs: splits.map((seed) => measure(`photos-${seed}-model`, photoModel, splitPhotos(seed), seed)),
  },
];

const numbers = (samples: number[], show: (value: number) => string): string => {
  const { n, median, low, high } = spread(samples);
  return n === 1 ? show(median) : `${show(median)} (${show(low)} – ${show(high)})`;
};
const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
const rows = cases.flatMap(({ name, runs }) => {
  const row = (what: string, of: (run: (typeof runs)[number]) => Rates) => {
    const rates = runs.map(of);
    const hasClasses = rates.every(({ errors }) => errors !== null);
    const top5 = hasClasses
      ? numbers(
          rates.map(({ errors }) => errors?.[4] ?? 1),
          percent,
        )
      : '';
    const known = numbers(
      rates.map((rate) => rate.known_error),
      percent,
    );
    const iou = numbers(
      rates.map((rate) => rate.mean_iou),
      (value) => value.toFixed(3),
    );
    return `| ${name} | ${what} | ${top5} | ${known} | ${iou} |`;
  };
  return [
    row('head, ten views', (run) => run.ten),
    row('head, centre view', (run) => run.one),
    row('occlusion', (run) => run.occlusion),
    row('middle 70 %', (run) => run.ten.baselines.centre),
    row('whole photo', (run) => run.ten.baselines.whole),
  ];
});
const heads = cases.map(({ name, runs }) => {
  const [first] = runs;
  const seconds = numbers(
    runs.map((run) => run.head.seconds),
    (value) => `${value.toFixed(0)} s`,
  );
  const occlusion = numbers(
    runs.map((run) => run.occlusion.seconds / run.occlusion.images),
    (value) => value.toFixed(2),
  );
  return `- ${name}: ${first?.ten.images} validation images a split; the head learned from ${first?.head.images} images in ${(first?.head.views ?? 0) + (first?.head.windows ?? 0)} views in ${seconds}; occlusion takes ${occlusion} s an image.`;
});
const about = machine();
writeFileSync(
  join(results, 'localize.json'),
  `${JSON.stringify({ version: 1, machine: about, cases }, null, 2)}\n`,
);
writeFileSync(
  join(results, 'localize.md'),
  `# Boxes

By \`node bench/localize.ts\`; \`alexnet-64\`. ${machineLine()} Errors with five guesses and with the class given (an overlap below
one half is an error), and the mean overlap; medians, and the lowest and highest, of the splits.

| images | boxes | top-5 | class given | mean IoU |
|---|---|---:|---:|---:|
${rows.join('\n')}

${heads.join('\n')}
`,
);
if (values.keep === undefined) rmSync(place, { recursive: true });

function machineLine(): string {
  return Object.values(about)
    .filter((value) => typeof value === 'string')
    .join(', ');
}
