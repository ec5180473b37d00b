/**
 * Whether a net learns the same with convolutions by transforms as with direct ones: trains it both ways on the same
 * batches and prints the losses side by side.
 *
 *     npm run build && node bench/winograd.ts DATA
 *
 * DATA is a folder that `ilsvrc prep` made, at the size of the preset's images (32 for `cifar-80sec`). Writes
 * `winograd.json` and `winograd.md`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isPreset, presets } from '@ilsvrc/config';
import { machine } from '@ilsvrc/engine';
import { root, run } from './tools.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    preset: { type: 'string', default: 'cifar-80sec' },
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '800' },
    every: { type: 'string', default: '50' },
    out: { type: 'string', default: join(root, 'bench', 'results') },
  },
});
const [data] = positionals;
if (!data) throw new Error('usage: node bench/winograd.ts DATA');
if (!isPreset(values.preset)) {
  throw new Error(`no preset ${values.preset}; there are ${Object.keys(presets).join(', ')}`);
}
const { net, recipe } = presets[values.preset];
const dataset: { name: string; classes: unknown[] } = JSON.parse(
  readFileSync(join(data, 'dataset.json'), 'utf8'),
);

/** Mean losses of every so many steps, and the time of all of them. */
interface Curve {
  name: string;
  losses: number[];
  seconds: number;
}

function train(directory: string): Curve[] {
  const file = join(directory, 'net.json');
  writeFileSync(file, JSON.stringify(net(dataset.classes.length)));
  const options = { net: file, data: resolve(data ?? ''), batch: recipe.batch, rate: recipe.rate };
  const { threads, steps, every } = values;
  const flags = Object.entries({ ...options, threads, steps, every }).flatMap(([k, v]) => [`--${k}`, `${v}`]);
  const example = ['run', '--release', '--quiet', '-p', 'ilsvrc-engine', '--example', 'transforms', '--'];
  return JSON.parse(run('cargo', [...example, ...flags])).curves;
}

function markdown(curves: Curve[]): string {
  const { cpu, cores } = machine();
  const [first] = curves;
  const rows = (first?.losses ?? []).map((_, i) => [
    `${(i + 1) * Number(values.every)}`,
    ...curves.map((curve) => curve.losses[i]?.toFixed(4) ?? ''),
  ]);
  const table = [
    ['steps', ...curves.map((curve) => curve.name)],
    curves.map(() => '---').concat('---'),
    ...rows,
    ['seconds', ...curves.map((curve) => curve.seconds.toFixed(1))],
  ];
  return [
    `# ${values.preset} on ${dataset.name}, convolutions by transforms and direct`,
    '',
    `${cpu}, ${cores} cores; batch ${recipe.batch}, rate ${recipe.rate}, ${values.threads} threads; mean training loss ` +
      `of each ${values.every} steps, same batches; ${new Date().toISOString().slice(0, 10)}. The last column uses ` +
      'vectors of 4 without fused multiply-adds: it differs from the one before by rounding alone.',
    '',
    ...table.map((row) => `| ${row.join(' | ')} |`),
    '',
  ].join('\n');
}

const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));
try {
  const curves = train(directory);
  const text = markdown(curves);
  const { preset, threads, steps, every } = values;
  const document = {
    ...{ date: new Date().toISOString().slice(0, 10), machine: machine(), preset, data: dataset.name },
    ...{
      batch: recipe.batch,
      rate: recipe.rate,
      threads: Number(threads),
      steps: Number(steps),
      every: Number(every),
    },
    curves,
  };
  writeFileSync(join(values.out, 'winograd.json'), `${JSON.stringify(document, null, 2)}\n`);
  writeFileSync(join(values.out, 'winograd.md'), text);
  process.stdout.write(text);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
