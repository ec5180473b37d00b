/**
 * How near `ilsvrc train`, from shards on a disk, comes to the training step alone, on photos in memory: an epoch of `alexnet`.
 *
 *     ilsvrc prep imagenette -o data/im256
 *     npm run build && node bench/epoch.ts data/im256
 *
 * Writes `results/epoch.json`. What the figures mean: bench/README.md.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { presets } from '@ilsvrc/config';
import { readManifest } from '@ilsvrc/dataset';
import { machine, watchOthers } from '@ilsvrc/engine';
import { passes } from './contestants.ts';
import { type Row, resultsFolder, root, run, spread, table, writeResult } from './tools.ts';

/** The share of the step's rate that training is to reach. */
const bar = 0.95;
const batch = 128;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    /** Steps after which training is stopped; without it a whole epoch. */
    steps: { type: 'string' },
    out: { type: 'string', default: resultsFolder },
  },
});
const [data] = positionals;
if (data === undefined) throw new Error('usage: node bench/epoch.ts DATASET [--steps N]');

/** Images a second of each step, and of all together. */
async function train(dataset: string, directory: string): Promise<{ steps: number[]; whole: number }> {
  const most = values.steps === undefined ? Number.POSITIVE_INFINITY : Number(values.steps);
  const program = join(root, 'packages/cli/bin/ilsvrc.mjs');
  const options = ['--net', 'alexnet', '--batch', String(batch), '--epochs', '1', '--devices', 'cpu'];
  const args = [program, 'train', dataset, ...options, '--threads', values.threads, '--json'];
  const child = spawn(process.execPath, args, { cwd: directory, stdio: ['ignore', 'pipe', 'inherit'] });
  const status = new Promise<number | null>((resolve) => child.on('close', resolve));
  const steps: number[] = [];
  let whole: number | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.event === 'step' && steps.length < most) steps.push(event.images_per_second);
    if (event.event === 'epoch') whole = event.images_per_second;
    if (steps.length === most && !child.killed) child.kill('SIGTERM');
  }
  if ((await status) !== 0 && steps.length < most) throw new Error('ilsvrc train failed');
  // Every step that is counted here is of a whole batch.
  whole ??= steps.length / steps.reduce((sum, rate) => sum + 1 / rate, 0);
  return { steps, whole };
}

async function measure(dataset: string, directory: string) {
  const { name, classes } = await readManifest(dataset);
  const net = join(directory, 'net.json');
  writeFileSync(net, JSON.stringify(presets.alexnet.net(classes.length)));
  const alone = passes({ net, pass: 'step', batch, threads: Number(values.threads), repeats: 5 });
  const others = watchOthers();
  const before = alone();
  const { steps, whole } = await train(dataset, directory);
  const rounds = [before, alone()];
  const reference = spread(rounds.flatMap(({ seconds }) => seconds.map((second) => batch / second)));
  const work = `alexnet, ${values.steps ? `${values.steps} steps` : 'an epoch'} of ${name} from shards, batch ${batch}`;
  const row = (who: string, figures: ReturnType<typeof spread>): Row => ({
    ...{ work, who, unit: 'images/s' },
    ...figures,
  });
  return writeResult(values.out, 'epoch', {
    command: 'node bench/epoch.ts data/im256',
    machine: { ...machine(), others: others() },
    versions: [run('rustc', ['--version']).trim(), `engine ${before.instruction_set}`],
    fma_peak: rounds.map(({ peak_gflops }) => peak_gflops),
    skipped: [],
    rows: [
      row('ilsvrc train, all of it', spread([whole])),
      row('ilsvrc train, its steps', spread(steps)),
      { ...row('the step alone, before and after', reference), ratio: whole / reference.median, bar },
    ],
  });
}

const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));
try {
  process.stdout.write(table((await measure(resolve(data), directory)).rows));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
