/**
 * How much of one process's rate several ranks on the same cores keep: an epoch of `ilsvrc train`, in turns.
 *
 *     ilsvrc prep SOURCE -o data/im72 --size 72
 *     npm run build && node bench/ranks.ts data/im72 [--net alexnet-64] [--batch 128] [--ranks 2]
 *
 * One process has all cores as threads, each of the ranks its share of them, so what differs is what ranks cost: sums of
 * gradients, smaller parts of batches, layers computed by several that would be computed by one. Beside it stands what the model of
 * `ilsvrc estimate --replicas` says of these ranks, from steps of one of them alone and the rate of sums when nothing is computed.
 * Writes `results/ranks-NET.json`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { isPreset, presets } from '@ilsvrc/config';
import { readManifest } from '@ilsvrc/dataset';
import { machine, summarize, watchOthers } from '@ilsvrc/engine';
import { costOf, type Link, measureStep, scale } from '@ilsvrc/trainer';
import { type Row, resultsFolder, root, run, spread, table, writeResult } from './tools.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    net: { type: 'string', default: 'alexnet-64' },
    batch: { type: 'string', default: '128' },
    ranks: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    out: { type: 'string', default: resultsFolder },
  },
});
const [data] = positionals;
if (data === undefined)
  throw new Error('usage: node bench/ranks.ts DATASET [--net NAME] [--batch N] [--ranks N]');

/** What an epoch tells. */
interface Epoch {
  images_per_second: number;
  traffic?: { calls: number; bytes: number; seconds: number };
}

/** Trains an epoch. */
async function train(dataset: string, directory: string, more: string[]): Promise<Epoch> {
  const program = join(root, 'packages/cli/bin/ilsvrc.mjs');
  const options = ['--net', values.net, '--batch', values.batch, '--epochs', '1', '--devices', 'cpu'];
  const args = [program, 'train', dataset, ...options, '--cache', 'ram', '--force', '--json', ...more];
  const child = spawn(process.execPath, args, { cwd: directory, stdio: ['ignore', 'pipe', 'inherit'] });
  const status = new Promise<number | null>((done) => child.on('close', done));
  let epoch: Epoch | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.event === 'epoch') epoch = event;
  }
  if ((await status) !== 0 || epoch === undefined) throw new Error(`ilsvrc train ${more.join(' ')} failed`);
  return epoch;
}

/** What ranks on this host can sum when nothing is computed meanwhile. */
function measureLink(ranks: number): Link {
  const example = ['-p', 'ilsvrc-collective', '--features', 'mpi', '--example', 'sums'];
  run('cargo', ['build', '--release', '--quiet', ...example]);
  const { sums } = JSON.parse(
    run('mpirun', ['-np', String(ranks), join(root, 'target/release/examples/sums')], {
      OMPI_MCA_rmaps_base_oversubscribe: '1',
      OMPI_MCA_hwloc_base_binding_policy: 'none',
      OMPI_ALLOW_RUN_AS_ROOT: '1',
      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
    }),
  );
  const [none, , large] = sums;
  const messages = 2 * (ranks - 1);
  const seconds = large.seconds - none.seconds;
  return {
    bytes_per_second: ((messages / ranks) * (large.bytes - none.bytes)) / seconds,
    latency_seconds: none.seconds / messages,
  };
}

/** What the model says of so many ranks, each with its share of the cores. */
async function predict(dataset: string, replicas: number, link: Link): Promise<number> {
  if (!isPreset(values.net)) throw new Error(`no preset ${values.net}`);
  const preset = presets[values.net];
  const { classes } = await readManifest(dataset);
  const [net, batch] = [preset.net(classes.length), Number(values.batch)];
  const threads = Math.max(1, Math.floor(availableParallelism() / replicas));
  const step = (images: number) =>
    measureStep({
      ...{ dataset, net, recipe: { ...preset.recipe, batch: images }, shuffle: 'full', folder: '.' },
      ...{ threads, places: ['cpu'], precision: 'f32' },
    });
  const cost = costOf(await step(batch), await step(Math.ceil(batch / replicas)));
  const { layers } = summarize(net, batch);
  return scale({ layers, cost, batch, replicas, link, devices: 1 }).images_per_second;
}

async function measure(dataset: string, directory: string) {
  const { name } = await readManifest(dataset);
  const others = watchOthers();
  const alone: Epoch[] = [];
  const together: Epoch[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    alone.push(await train(dataset, directory, ['--threads', String(availableParallelism())]));
    together.push(await train(dataset, directory, ['--launch', values.ranks]));
  }
  const rates = (epochs: Epoch[]) => spread(epochs.map((epoch) => epoch.images_per_second));
  const work = `${values.net}, an epoch of ${name}, batch ${values.batch}`;
  const row = (who: string, figures: ReturnType<typeof spread>, unit = 'images/s'): Row => ({
    work,
    who,
    unit,
    ...figures,
  });
  const replicas = Number(values.ranks);
  const link = measureLink(replicas);
  const predicted: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    predicted.push(await predict(dataset, replicas, link));
  }
  const traffic = together.flatMap((epoch) => epoch.traffic ?? []);
  const [reference, ours] = [rates(alone), rates(together)];
  return writeResult(values.out, `ranks-${values.net}`, {
    command: `node bench/ranks.ts DATASET --net ${values.net}`,
    machine: { ...machine(), others: others() },
    versions: [run('rustc', ['--version']).trim(), run('mpirun', ['--version']).split('\n')[0] ?? ''],
    fma_peak: [],
    skipped: [],
    rows: [
      row(`${values.ranks} ranks under MPI, together`, ours),
      {
        ...row(`one process, ${availableParallelism()} threads`, reference),
        ratio: ours.median / reference.median,
      },
      {
        ...row('what the model says of these ranks', spread(predicted)),
        ratio: ours.median / spread(predicted).median,
      },
      row('sums while nothing is computed', spread([link.bytes_per_second / 1e9]), 'GB/s each way'),
      row('sums of a rank', spread(traffic.map(({ bytes, calls }) => bytes / calls / 1e6)), 'MB a sum'),
      row('sums of a rank, under way', spread(traffic.map(({ seconds }) => seconds)), 's'),
    ],
  });
}

const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));
try {
  process.stdout.write(table((await measure(resolve(data), directory)).rows));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
