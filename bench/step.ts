/**
 * Times the training step and the forward pass of a net in our engine and in PyTorch, alternately, on this machine.
 *
 *     npm run build && node bench/step.ts
 *
 * Writes `step-cpu.json` and `step-cpu.md`. What the figures mean: bench/README.md.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isPreset, presets } from '@ilsvrc/config';
import { machine } from '@ilsvrc/engine';
import { installPython, root, run, spread } from './tools.ts';

interface Times {
  step: number[];
  forward: number[];
}

interface EngineRound extends Times {
  instruction_set: string;
  gflop_per_image: { step: number; forward: number };
  peak_gflops: { before: number; after: number };
}

interface TorchRound {
  version: string;
  instruction_set: string;
  layouts: Record<string, Times>;
}

interface Statistics {
  /** Number of timed passes. */
  n: number;
  /** Seconds a batch. */
  median: number;
  fastest: number;
  slowest: number;
  /** At the median. */
  images_per_second: number;
}

const { values } = parseArgs({
  options: {
    preset: { type: 'string', default: 'alexnet' },
    batch: { type: 'string', default: '128' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '2' },
    /** A Python that has torch; without it a throw-away environment is made and torch installed into it. */
    python: { type: 'string' },
    out: { type: 'string', default: join(root, 'bench', 'results') },
  },
});

function statistics(seconds: number[], batch: number): Statistics {
  const { n, median, low, high } = spread(seconds);
  return { n, median, fastest: low, slowest: high, images_per_second: batch / median };
}

function measure(directory: string, python: string) {
  if (!isPreset(values.preset)) {
    throw new Error(`no preset ${values.preset}; there are ${Object.keys(presets).join(', ')}`);
  }
  const net = join(directory, 'net.json');
  writeFileSync(net, JSON.stringify(presets[values.preset].net(1000)));

  const shared = [
    '--net',
    net,
    '--batch',
    values.batch,
    '--threads',
    values.threads,
    '--steps',
    values.steps,
  ];
  const engine: EngineRound[] = [];
  const torch: TorchRound[] = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const example = ['run', '--release', '--quiet', '-p', 'ilsvrc-engine', '--example', 'step', '--'];
    engine.push(JSON.parse(run('cargo', [...example, ...shared])));
    torch.push(JSON.parse(run(python, [join(root, 'bench/peers/pytorch/step.py'), ...shared])));
    process.stderr.write(`round ${round + 1} of ${values.rounds}\n`);
  }
  const [firstEngine] = engine;
  const [firstTorch] = torch;
  if (!firstEngine || !firstTorch) throw new Error('--rounds must be at least 1');

  const batch = Number(values.batch);
  const layouts = Object.keys(firstTorch.layouts);
  const of = (pass: keyof Times) => {
    const ours = statistics(
      engine.flatMap((round) => round[pass]),
      batch,
    );
    const peers = layouts.map((layout) => ({
      peer: `PyTorch, ${layout}`,
      ...statistics(
        torch.flatMap((round) => round.layouts[layout]?.[pass] ?? []),
        batch,
      ),
    }));
    const peaks = engine.flatMap((round) => [round.peak_gflops.before, round.peak_gflops.after]);
    const peak = statistics(peaks, batch).median;
    return {
      engine: { ...ours, of_fma_peak: (firstEngine.gflop_per_image[pass] * ours.images_per_second) / peak },
      peers,
      /** How many times as fast as the faster peer. */
      ratio: Math.min(...peers.map((peer) => peer.median)) / ours.median,
    };
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: {
      ...machine(),
      rustc: run('rustc', ['--version']).trim(),
      torch: firstTorch.version,
      engine_instruction_set: firstEngine.instruction_set,
      torch_instruction_set: firstTorch.instruction_set,
      fma_peak_gflops: engine.map((round) => round.peak_gflops),
    },
    net: values.preset,
    batch,
    threads: Number(values.threads),
    step: of('step'),
    forward: of('forward'),
  };
}

function markdown(result: ReturnType<typeof measure>): string {
  const { machine } = result;
  const peaks = machine.fma_peak_gflops.flatMap(({ before, after }) => [before, after]);
  const lines = [
    `# ${result.net}, batch ${result.batch}, ${result.threads} threads`,
    '',
    `${machine.cpu}, ${machine.cores} cores, ${machine.memory_gib} GiB; ${machine.system}; engine ${machine.engine_instruction_set}, ` +
      `PyTorch ${machine.torch} ${machine.torch_instruction_set}; ${machine.rustc}, node ${machine.node}; ${result.date}. ` +
      `FMA peak in the engine's instruction set, before and after each of its rounds: ${peaks.map(Math.round).join(', ')} GFLOP/s.`,
    '',
    '| pass | | n | median s | fastest - slowest | images/s | of FMA peak | speed, faster PyTorch = 1 |',
    '|---|---|---|---|---|---|---|---|',
  ];
  for (const pass of ['step', 'forward'] as const) {
    const { engine, peers, ratio } = result[pass];
    for (const row of [{ peer: 'ilsvrc', ...engine }, ...peers]) {
      const ours = row.peer === 'ilsvrc';
      lines.push(
        `| ${pass} | ${row.peer} | ${row.n} | ${row.median.toFixed(2)} | ${row.fastest.toFixed(2)} - ${row.slowest.toFixed(2)} ` +
          `| ${row.images_per_second.toFixed(1)} | ${ours ? `${Math.round(100 * engine.of_fma_peak)} %` : ''} ` +
          `| ${ours ? `${ratio.toFixed(2)}x` : ''} |`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));
try {
  const result = measure(
    directory,
    values.python ?? installPython(directory, 'bench/peers/pytorch/requirements.txt'),
  );
  const text = markdown(result);
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, 'step-cpu.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(join(values.out, 'step-cpu.md'), text);
  process.stdout.write(text);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
