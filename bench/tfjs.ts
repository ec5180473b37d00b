/**
 * Times the training step of `alexnet` in our engine and in TensorFlow.js, in turns, on this machine.
 *
 *     npm run build && node bench/tfjs.ts
 *
 * By its Node binding at batch 128, where that can be installed: it downloads libtensorflow. By its WebAssembly backend, which has one
 * thread in Node, at batch 8. Writes `results/tfjs.json`. What the figures mean: bench/README.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { presets } from '@ilsvrc/config';
import { machine, watchOthers } from '@ilsvrc/engine';
import { type EngineRound, engine } from './contestants.ts';
import {
  available,
  contest,
  type Row,
  resultsFolder,
  root,
  run,
  type Skipped,
  startPeer,
  table,
  writeResult,
} from './tools.ts';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '3' },
    /** Counted passes in a round. */
    repeats: { type: 'string', default: '2' },
    out: { type: 'string', default: resultsFolder },
  },
});

const version = '4.22.0';
const backends = [
  {
    name: 'tensorflow',
    who: 'TensorFlow.js, Node binding',
    batch: 128,
    packages: ['@tensorflow/tfjs-node'],
  },
  {
    name: 'wasm',
    who: 'TensorFlow.js, WebAssembly with SIMD, one thread',
    batch: 8,
    packages: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'],
  },
];

/** A folder with the packages. */
function install(directory: string, { name, packages }: (typeof backends)[number]): string {
  const folder = join(directory, name);
  const flags = ['--no-audit', '--no-fund', '--loglevel=error', '--prefix', folder];
  try {
    run('npm', ['install', ...flags, ...packages.map((name) => `${name}@${version}`)]);
  } catch {
    // What npm said is on standard error.
    const why = name === 'tensorflow' ? ', whose script downloads libtensorflow,' : '';
    throw new Error(`${packages.join(', ')}${why} cannot be installed here`);
  }
  return folder;
}

async function measure(directory: string) {
  const net = join(directory, 'net.json');
  writeFileSync(net, JSON.stringify(presets.alexnet.net(1000)));
  const rounds: EngineRound[] = [];
  const [threads, repeats] = [Number(values.threads), Number(values.repeats)];
  const skipped: Skipped[] = [];
  const rows: Row[] = [];
  const others = watchOthers();
  for (const backend of backends) {
    const { name, who, batch } = backend;
    const peer = await available(who, skipped, async () => {
      const script = join(root, 'bench/peers/tfjs/step.mjs');
      const peer = startPeer(process.execPath, [
        script,
        install(directory, backend),
        name,
        net,
        String(batch),
      ]);
      await peer.line();
      return peer;
    });
    if (peer === undefined) continue;
    const ours = engine({ net, pass: 'step', batch, threads, repeats }, rounds);
    const theirs = {
      who,
      run: async (): Promise<number[]> => (await peer.ask({ repeats })).seconds,
    };
    const work = { name: `alexnet, training step, batch ${batch}`, batch, unit: 'images/s' as const };
    rows.push(
      ...(await contest({ ...work, rounds: Number(values.rounds) }, ours, [{ peers: [theirs] }], skipped)),
    );
    peer.end();
  }
  return writeResult(values.out, 'tfjs', {
    command: 'node bench/tfjs.ts',
    machine: { ...machine(), others: others() },
    versions: [
      run('rustc', ['--version']).trim(),
      `TensorFlow.js ${version}`,
      ...rounds.slice(0, 1).map(({ instruction_set }) => `engine ${instruction_set}`),
    ],
    fma_peak: rounds.map(({ peak_gflops }) => peak_gflops),
    skipped,
    rows,
  });
}

const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));
try {
  process.stdout.write(table((await measure(directory)).rows));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
