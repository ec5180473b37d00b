/**
 * How near `ilsvrc estimate` comes to what then happens: it is asked about a run, and the run is made, several times in turns.
 *
 *     npm run build && node bench/estimate.ts [alexnet-64=DATA …] [--epochs 3] [--rounds 3]
 *
 * DATA is a folder that `ilsvrc prep` made for that preset; without any, pictures of the built-in set are drawn for `alexnet-64`
 * and `cifar-80sec`. Writes `results/estimate.json`. What the figures mean: bench/README.md.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isPreset, presets } from '@ilsvrc/config';
import { readManifest } from '@ilsvrc/dataset';
import { devices, generateBuiltin, machine, watchOthers } from '@ilsvrc/engine';
import { type Row, resultsFolder, root, run, spread, table, writeResult } from './tools.ts';

/** An estimate may be off by so many per cent. */
const most = 15;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    epochs: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    /** Pictures to draw where no data set is given. */
    images: { type: 'string', default: '2400' },
    out: { type: 'string', default: resultsFolder },
  },
});
const rounds = Number(values.rounds);
const program = join(root, 'packages/cli/bin/ilsvrc.mjs');
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));

/** Has a process write the most memory that it had, in bytes, to the pipe 3. */
const tellMemory = `
  import { writeSync } from 'node:fs';
  import { peakMemory } from ${JSON.stringify(import.meta.resolve('@ilsvrc/engine'))};
  process.on('exit', () => writeSync(3, String(peakMemory())));`;

/** What the program prints, in the temporary folder; the seconds from its start to its end, and its memory at most. */
function timed(args: string[]): { stdout: string; seconds: number; memory: number } {
  const begin = performance.now();
  const hook = `data:text/javascript,${encodeURIComponent(tellMemory)}`;
  const result = spawnSync(process.execPath, ['--import', hook, program, ...args], {
    cwd: place,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  if (result.status !== 0) throw new Error(`ilsvrc ${args.join(' ')} ended with ${result.status}`);
  const seconds = (performance.now() - begin) / 1000;
  return { stdout: result.stdout, seconds, memory: Number(result.output[3]) };
}

/** Presets with their data sets, in pairs. */
async function cases(): Promise<[net: string, data: string][]> {
  if (positionals.length > 0) {
    return positionals.map((pair) => {
      const [net = '', data = ''] = pair.split('=');
      return [net, resolve(data)];
    });
  }
  const photos = join(place, 'photos');
  await generateBuiltin({
    out: photos,
    images: Number(values.images),
    seed: 0,
    workers: availableParallelism(),
  });
  return ['alexnet-64', 'cifar-80sec'].map((net) => {
    const data = join(place, `built-in-${net}`);
    timed(['prep', photos, '-o', data, '--size', String(isPreset(net) ? presets[net].net(2).image : 256)]);
    return [net, data];
  });
}

/** Rows of one run: seconds, bytes of files and of memory that were said and that came, and by how much they differ. */
async function measure(net: string, data: string): Promise<Row[]> {
  const run = ['--data', data, '--epochs', values.epochs, '--json'];
  const samples = { said: [], took: [], off: [], disk: [], memory: [] } as Record<
    'said' | 'took' | 'off' | 'disk' | 'memory',
    number[]
  >;
  for (let round = 1; round <= rounds; round += 1) {
    process.stderr.write(`${net}, round ${round} of ${rounds}\n`);
    const { total_seconds, peak_memory_bytes, disk } = JSON.parse(
      timed(['estimate', net, ...run]).stdout,
    ).run;
    const options = ['--net', net, '--epochs', values.epochs, '--run', 'one', '--force', '--quiet'];
    const { seconds, memory } = timed(['train', data, ...options]);
    const folder = join(place, 'runs/one');
    const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    samples.said.push(total_seconds);
    samples.took.push(seconds);
    samples.off.push(100 * Math.abs(total_seconds / seconds - 1));
    samples.memory.push(100 * Math.abs(peak_memory_bytes / memory - 1));
    samples.disk.push(100 * Math.abs(disk.total_bytes / bytes - 1));
  }
  const { name, splits } = await readManifest(data);
  const images = splits.find((split) => split.name === 'train')?.images ?? 0;
  const work = `${net}, ${values.epochs} epochs of ${images.toLocaleString('en-US')} images of ${name}`;
  return [
    { work, who: 'ilsvrc estimate', unit: 's', ...spread(samples.said) },
    { work, who: 'ilsvrc train, all of its process', unit: 's', ...spread(samples.took) },
    { work, who: 'the estimate was off by', unit: '%', ...spread(samples.off), held: { most } },
    { work, who: 'that of its memory by', unit: '%', ...spread(samples.memory), held: { most } },
    { work, who: "that of the run's files by", unit: '%', ...spread(samples.disk), held: { most } },
  ];
}

try {
  const others = watchOthers();
  const rows: Row[] = [];
  for (const [net, data] of await cases()) rows.push(...(await measure(net, data)));
  const result = writeResult(values.out, 'estimate', {
    command: 'node bench/estimate.ts',
    machine: { ...machine(), others: others() },
    versions: [run('rustc', ['--version']).trim(), `engine ${devices().cpu.instruction_set}`],
    fma_peak: [],
    skipped: [],
    rows,
  });
  process.stdout.write(table(result.rows));
} finally {
  rmSync(place, { recursive: true, force: true });
}
