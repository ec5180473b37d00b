/**
 * How near evaluation comes to the engine's forward rate, and what ten views cost: the forward pass alone on photos in memory,
 * then a split of a prepared data set in one view and in ten, alternately, on this machine.
 *
 *     npm run build && node bench/eval.ts alexnet=DATASET alexnet-64=DATASET
 *
 * Writes `eval.json` and `eval.md`. What the figures mean: bench/README.md.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isPreset, presets } from '@ilsvrc/config';
import { readManifest } from '@ilsvrc/dataset';
import { machine, Session } from '@ilsvrc/engine';
import { passes } from './contestants.ts';
import { root, spread } from './tools.ts';

/** What is aimed at: one view at so much of the forward rate, ten views in so many times the time of one. */
const bars = { share_of_forward: 0.9, ten_views_cost: 10.5 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Views a pass; ten of an image fit without a rest. */
    batch: { type: 'string', default: '120' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    out: { type: 'string', default: join(root, 'bench', 'results') },
  },
});
if (positionals.length === 0) throw new Error('usage: node bench/eval.ts PRESET=DATASET…');

/** Images a second of one round. */
interface Round {
  forward: number;
  one: number;
  ten: number;
}

async function measure(preset: string, dataset: string, directory: string) {
  if (!isPreset(preset)) throw new Error(`no preset ${preset}; there are ${Object.keys(presets).join(', ')}`);
  const { classes, size } = await readManifest(dataset);
  const net = presets[preset].net(classes.length);
  const file = join(directory, `${preset}.json`);
  writeFileSync(file, JSON.stringify(net));
  const [batch, threads] = [Number(values.batch), Number(values.threads)];
  const session = await Session.open({
    net,
    batch,
    seed: 0,
    threads,
    places: ['cpu'],
    precision: 'f32',
    use: 'inference',
  });
  let images = 0;
  const evaluate = async (views: 1 | 10) => {
    const report = await session.evaluate({ dataset, split: 'val', views });
    images = report.images;
    return report.images / report.seconds;
  };
  // Not counted: touches the memory and reads the shards for the first time.
  await evaluate(1);
  const rounds: Round[] = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    rounds.push({ forward: forward(file), one: await evaluate(1), ten: await evaluate(10) });
    process.stderr.write(`${preset}: round ${round + 1} of ${values.rounds}\n`);
  }
  const of = (value: (round: Round) => number) => spread(rounds.map(value));
  return {
    net: preset,
    image_side: size,
    images,
    batch,
    forward_images_per_second: of(({ forward }) => forward),
    one_view_images_per_second: of(({ one }) => one),
    ten_views_images_per_second: of(({ ten }) => ten),
    share_of_forward: of(({ forward, one }) => one / forward),
    ten_views_cost: of(({ one, ten }) => one / ten),
  };
}

/** Images a second of the forward pass alone. */
function forward(net: string): number {
  const [batch, threads] = [Number(values.batch), Number(values.threads)];
  return batch / spread(passes({ net, pass: 'forward', batch, threads, repeats: 3 })().seconds).median;
}

const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-eval-'));
try {
  const rows = [];
  for (const pair of positionals) {
    const [preset = '', dataset = ''] = pair.split('=');
    rows.push(await measure(preset, dataset, directory));
  }
  const date = new Date().toISOString().slice(0, 10);
  const result = { date, machine: machine(), threads: Number(values.threads), bars, rows };
  const shown = ({ median, low, high }: ReturnType<typeof spread>, digits: number) =>
    `${median.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`;
  const text = [
    '# Evaluation',
    '',
    `On ${machine().cpu}, ${values.threads} threads, f32, ${values.batch} views a pass, ${values.rounds} rounds: median (lowest–highest). ${date}.`,
    '',
    '| net | images | forward alone, images/s | one view, images/s | of forward | ten views, images/s | cost of ten views |',
    '|---|---:|---:|---:|---:|---:|---:|',
    ...rows.map(
      (row) =>
        `| \`${row.net}\` | ${row.images} at ${row.image_side} px | ${shown(row.forward_images_per_second, 0)} ` +
        `| ${shown(row.one_view_images_per_second, 0)} | ${shown(row.share_of_forward, 2)} ` +
        `| ${shown(row.ten_views_images_per_second, 1)} | ${shown(row.ten_views_cost, 2)} |`,
    ),
    '',
    `Bars: one view at ${bars.share_of_forward} of the forward rate or more, ten views at ${bars.ten_views_cost} times one view or less.`,
    '',
  ].join('\n');
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, 'eval.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(join(values.out, 'eval.md'), text);
  process.stdout.write(text);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
