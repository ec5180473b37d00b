/**
 * Times the forward pass of `alexnet` as predictions make it, at batch 128 and at batch 1, in our engine, PyTorch and ONNX
 * Runtime, in turns, on this machine.
 *
 *     npm run build && node bench/forward.ts
 *
 * Writes `results/forward.json`. What the figures mean: bench/README.md.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { presets } from '@ilsvrc/config';
import { exportModel, machine, watchOthers } from '@ilsvrc/engine';
import { askPeer, type EngineRound, engine, medianPeak, startTorch } from './contestants.ts';
import { drawDatasets, drawModel } from './models.ts';
import {
  available,
  contest,
  type Group,
  type Peer,
  resultsFolder,
  root,
  run,
  runIlsvrc,
  type Skipped,
  startPeer,
  table,
  writeResult,
} from './tools.ts';

/** How many times as fast as each we want to be. */
const bars = { pytorch: 2, onnxruntime: 1.2 };

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '3' },
    /** A Python that has torch; without it a throw-away environment is made and torch installed into it. */
    python: { type: 'string' },
    out: { type: 'string', default: resultsFolder },
  },
});

const threads = Number(values.threads);
const net = presets.alexnet.net(1000);
const skipped: Skipped[] = [];
const versions = [run('rustc', ['--version']).trim()];
const engineRounds: EngineRound[] = [];

/** ONNX Runtime with the model that `ilsvrc export` makes of drawn weights. */
async function startOnnx(directory: string): Promise<Peer> {
  const [model, path] = [join(directory, 'model.safetensors'), join(directory, 'model.onnx')];
  await drawDatasets(directory, [net.image], 1000);
  await drawModel(net, directory, model);
  await exportModel(model, [{ format: 'onnx', path }]);
  const script = join(root, 'bench/peers/onnxruntime/forward.mjs');
  const peer = startPeer(process.execPath, [script, path, String(net.crop)]);
  await peer.line();
  const { version } = JSON.parse(
    readFileSync(join(root, 'node_modules/onnxruntime-node/package.json'), 'utf8'),
  );
  versions.push(`ONNX Runtime ${version}`);
  return peer;
}

/** Milliseconds that reading the net's weights once takes all threads: the limit of one image. */
function readingWeights(): number {
  const name = 'latency/alexnet/batch1';
  const { benches }: { benches: { name: string; limit: { value: number } | null }[] } = JSON.parse(
    runIlsvrc(['bench', 'latency', '--filter', name, '--json']),
  );
  const limit = benches.find((bench) => bench.name === name)?.limit;
  if (!limit) throw new Error(`ilsvrc bench has no limit of ${name}`);
  return limit.value;
}

/** Everybody at one batch size. */
async function compare(batch: number, repeats: number, file: string, torch?: Peer, onnx?: Peer) {
  const rounds: EngineRound[] = [];
  const ours = engine({ net: file, pass: 'forward', batch, threads, repeats }, rounds);
  const pytorch = (peer: Peer, compiled: boolean) =>
    ['NCHW', 'channels_last'].map((layout) => ({
      who: `PyTorch, ${compiled ? 'compiled' : 'eager'}, ${layout}`,
      run: () => askPeer(peer, { pass: 'forward', net: file, layout, compiled, batch, repeats }),
    }));
  const runtime = (peer: Peer) =>
    [...new Set([threads, 1])].map((count) => ({
      who: `ONNX Runtime, threads: ${count}`,
      run: () => askPeer(peer, { threads: count, batch, repeats }),
    }));
  const groups: Group[] = [];
  if (torch)
    groups.push({ bar: bars.pytorch, peers: pytorch(torch, false) }, { peers: pytorch(torch, true) });
  if (onnx) groups.push({ bar: bars.onnxruntime, peers: runtime(onnx) });
  const name = batch === 1 ? 'alexnet, latency of one image' : `alexnet, forward, batch ${batch}`;
  const unit = batch === 1 ? ('ms' as const) : ('images/s' as const);
  const rows = await contest({ name, batch, unit, rounds: Number(values.rounds) }, ours, groups, skipped);
  engineRounds.push(...rounds);
  const [first] = rows;
  const [round] = rounds;
  if (!first || !round) throw new Error('--rounds must be at least 1');
  const peak = medianPeak(rounds.map(({ peak_gflops }) => peak_gflops));
  first.of_limit =
    batch > 1
      ? { name: 'FMA peak', share: (round.gflop_per_image * first.median) / peak }
      : { name: 'reading the weights', share: readingWeights() / first.median };
  return rows;
}

async function measure(directory: string) {
  const file = join(directory, 'net.json');
  writeFileSync(file, JSON.stringify(net));
  const torch = await available('PyTorch', skipped, () =>
    startTorch(directory, values.python, threads, versions),
  );
  const onnx = await available('ONNX Runtime', skipped, () => startOnnx(directory));
  const others = watchOthers();
  const rows = [...(await compare(128, 2, file, torch, onnx)), ...(await compare(1, 20, file, torch, onnx))];
  torch?.end();
  onnx?.end();
  versions.push(`engine ${engineRounds[0]?.instruction_set}`);
  return writeResult(values.out, 'forward', {
    command: 'node bench/forward.ts',
    machine: { ...machine(), others: others() },
    versions,
    fma_peak: engineRounds.map(({ peak_gflops }) => peak_gflops),
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
