/**
 * Times the training step of a net in our engine and in PyTorch, eager and compiled, with and without local response
 * normalisation, in turns, on this machine.
 *
 *     npm run build && node bench/step.ts                            # alexnet
 *     npm run build && node bench/step.ts --preset cifar-80sec
 *
 * Writes `results/step-PRESET.json`. What the figures mean: bench/README.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isPreset, presets } from '@ilsvrc/config';
import { machine, type Net, watchOthers } from '@ilsvrc/engine';
import { askPeer, type EngineRound, engine, medianPeak, startTorch } from './contestants.ts';
import {
  available,
  contest,
  type Group,
  resultsFolder,
  run,
  type Skipped,
  table,
  writeResult,
} from './tools.ts';

/** Of issue and design: how many times as fast as PyTorch we want to be. */
const bars: Record<string, { eager: number; compiled?: number; bare?: number }> = {
  alexnet: { eager: 3, compiled: 2, bare: 1.2 },
  'cifar-80sec': { eager: 3 },
};

const { values } = parseArgs({
  options: {
    preset: { type: 'string', default: 'alexnet' },
    batch: { type: 'string', default: '128' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '3' },
    /** Counted passes in a round; as many as take about as long as one of alexnet where left out. */
    repeats: { type: 'string' },
    /** A Python that has torch; without it a throw-away environment is made and torch installed into it. */
    python: { type: 'string' },
    out: { type: 'string', default: resultsFolder },
  },
});

const layouts = ['NCHW', 'channels_last'];

/** Everything PyTorch is timed in; of several layouts the faster counts. */
function variants(net: Net, preset: string, file: (net: Net) => string) {
  const bar = bars[preset];
  const hasNorm = net.layers.some(({ type }) => type === 'lrn');
  const bare = { ...net, layers: net.layers.filter(({ type }) => type !== 'lrn') };
  return [
    { name: 'eager', net: file(net), compiled: false, bar: bar?.eager },
    { name: 'compiled', net: file(net), compiled: true, bar: bar?.compiled },
    ...(hasNorm ? [{ name: 'eager, LRN left out', net: file(bare), compiled: false, bar: bar?.bare }] : []),
  ];
}

async function measure(directory: string) {
  const { preset } = values;
  if (!isPreset(preset)) throw new Error(`no preset ${preset}; there are ${Object.keys(presets).join(', ')}`);
  const net = presets[preset].net(preset.startsWith('cifar') ? 10 : 1000);
  const file = (net: Net) => {
    const path = join(directory, `${net.layers.length}.json`);
    writeFileSync(path, JSON.stringify(net));
    return path;
  };
  const batch = Number(values.batch);
  // The first few steps of a process are slower: of short ones it takes more.
  const repeats = Number(values.repeats ?? (preset === 'alexnet' ? 2 : 40));
  const rounds: EngineRound[] = [];
  const threads = Number(values.threads);
  const ours = engine({ net: file(net), pass: 'step', batch, threads, repeats }, rounds);

  const skipped: Skipped[] = [];
  const versions = [run('rustc', ['--version']).trim()];
  const torch = await available('PyTorch', skipped, () =>
    startTorch(directory, values.python, threads, versions),
  );
  const groups: Group[] = [];
  if (torch !== undefined)
    for (const { name, bar, ...rest } of variants(net, preset, file)) {
      const peers = layouts.map((layout) => ({
        who: `PyTorch, ${name}, ${layout}`,
        run: () => askPeer(torch, { ...rest, layout, batch, repeats, pass: 'step' }),
      }));
      groups.push({ bar, peers });
    }

  const others = watchOthers();
  const name = `${preset}, training step, batch ${batch}`;
  const rows = await contest(
    { name, batch, unit: 'images/s', rounds: Number(values.rounds) },
    ours,
    groups,
    skipped,
  );
  torch?.end();
  const peaks = rounds.map(({ peak_gflops }) => peak_gflops);
  const [first] = rows;
  const [round] = rounds;
  if (!first || !round) throw new Error('--rounds must be at least 1');
  first.of_limit = { name: 'FMA peak', share: (round.gflop_per_image * first.median) / medianPeak(peaks) };
  versions.push(`engine ${round.instruction_set}`);
  return writeResult(values.out, `step-${preset}`, {
    command: preset === 'alexnet' ? 'node bench/step.ts' : `node bench/step.ts --preset ${preset}`,
    machine: { ...machine(), others: others() },
    ...{ versions, fma_peak: peaks, skipped, rows },
  });
}

const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));
try {
  process.stdout.write(table((await measure(directory)).rows));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
