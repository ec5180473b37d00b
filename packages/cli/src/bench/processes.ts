/** Benchmarks of whole processes: how soon the program answers, and the memory that training takes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { presets } from '@ilsvrc/config';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { estimate, generatePhotos, type Measurement } from '@ilsvrc/engine';
import { median } from './entry.ts';

/** What these benchmarks are about. */
export const processBenches = {
  startup: '`ilsvrc --help`, and completing a verb, as processes of their own',
  memory: 'the peak memory of training',
} as const;

/** How they run. */
export interface ProcessRun {
  quick: boolean;
  /** Whether a case is to be measured. */
  wants(name: string): boolean;
  signal: AbortSignal;
  onProgress(state: { step: string; done: number; total: number }): void;
}

const program = fileURLToPath(new URL('../../bin/ilsvrc.mjs', import.meta.url));

/** What is started, by the last part of its case's name. */
const starts = { help: ['--help'], completions: ['complete', '--', 'tr'] } as const;

/** Milliseconds from the start to the end of `ilsvrc --help`, and of completing a verb, in turns with a Node that does nothing. */
export async function startup({ quick, wants, signal, onProgress }: ProcessRun): Promise<Measurement[]> {
  const cases = Object.entries(starts)
    .map(([what, args]) => ({
      name: `startup/ilsvrc/${what}`,
      args: [program, ...args],
      samples: [] as number[],
    }))
    .filter(({ name }) => wants(name));
  if (cases.length === 0) return [];
  const rounds = quick ? 9 : 25;
  const bare = { args: ['-e', '0'], samples: [] as number[] };
  // One more, which is not counted: it brings the files into memory.
  for (let round = 0; round <= rounds; round += 1) {
    onProgress({ step: 'startup', done: round, total: rounds + 1 });
    for (const { args, samples } of [bare, ...cases]) {
      const begin = performance.now();
      await ended(spawn(process.execPath, args, { stdio: 'ignore', signal }), signal);
      if (round > 0) samples.push(performance.now() - begin);
    }
  }
  const half = Math.ceil(rounds / 2);
  const perSecond = (samples: number[]) => 1000 / median(samples);
  return cases.map(({ name, samples }) => ({
    name,
    unit: 'ms',
    better: 'less',
    samples,
    limit: { name: 'node -e 0', value: median(bare.samples) },
    yardstick: {
      name: 'node -e 0',
      unit: 'starts/s',
      before: perSecond(bare.samples.slice(0, half)),
      after: perSecond(bare.samples.slice(half)),
    },
  }));
}

/** Photos that the memory is measured with: two batches and a part of one, and a tenth for validation. */
const photos = 300;
/** Writes the most memory that its process had, in bytes, to the pipe 3. */
const tellMemory = `
  import { writeSync } from 'node:fs';
  import { peakMemory } from ${JSON.stringify(import.meta.resolve('@ilsvrc/engine'))};
  process.on('exit', () => writeSync(3, String(peakMemory())));`;

/** The most memory, in MB, that `ilsvrc train` of the paper's net has had at the end of a short run. */
export async function memory({ quick, wants, signal, onProgress }: ProcessRun): Promise<Measurement[]> {
  const { net, recipe } = presets.alexnet;
  const name = `memory/alexnet/batch${recipe.batch}`;
  if (!wants(name)) return [];
  const rounds = quick ? 1 : 3;
  const folder = await mkdtemp(join(tmpdir(), 'ilsvrc-bench-'));
  const training = 'train data --net alexnet --devices cpu --epochs 1 --run short'.split(' ');
  const samples: number[] = [];
  try {
    const step = (done: number) => onProgress({ step: `memory: ${name}`, done, total: rounds + 1 });
    step(0);
    await generatePhotos(
      { out: join(folder, 'photos'), images: photos, seed: 0, workers: availableParallelism() },
      { signal },
    );
    await ilsvrc(['prep', 'photos', '-o', 'data'], folder, signal);
    for (let round = 0; round < rounds; round += 1) {
      step(round + 1);
      samples.push((await ilsvrc(training, folder, signal)) / 1e6);
      await rm(join(folder, 'runs'), { recursive: true });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const { places } = estimate({
    ...{ net: net(10), batch: recipe.batch, use: 'training' },
    ...{ places: ['cpu'], precision: 'f32' },
  });
  const megabytes = (key: 'parameters_bytes' | 'activations_bytes') =>
    places.reduce((sum, place) => sum + place[key], 0) / 1e6;
  const [parameters, activations] = [megabytes('parameters_bytes'), megabytes('activations_bytes')];
  const limit = {
    name: `weights, velocities, gradients ${parameters.toFixed(0)} + activations ${activations.toFixed(0)}`,
    value: parameters + activations,
  };
  return [{ name, unit: 'MB', better: 'less', samples, limit, yardstick: null }];
}

/** Runs the program; the most memory that it had, in bytes. */
async function ilsvrc(args: string[], cwd: string, signal: AbortSignal): Promise<number> {
  const hook = `data:text/javascript,${encodeURIComponent(tellMemory)}`;
  // Defaults of this user's environment are not what is measured.
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('ILSVRC_')));
  const child = spawn(process.execPath, ['--import', hook, program, ...args, '--no-input', '--quiet'], {
    ...{ cwd, env, signal, stdio: ['ignore', 'ignore', 'pipe', 'pipe'] },
  });
  const [errors, memory] = [child.stdio[2], child.stdio[3]].map((pipe) => text(pipe as Readable));
  await ended(child, signal, errors);
  return Number(await memory);
}

/** Waits for a process. Fails with the reason of an aborted signal, or with what the process `said`. */
async function ended(child: ChildProcess, signal: AbortSignal, said?: Promise<string>): Promise<void> {
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('close', resolve);
    // One that is told to stop still has to end.
    child.on('error', (error) => signal.aborted || reject(error));
  });
  signal.throwIfAborted();
  if (status !== 0) {
    throw new IlsvrcError('E0901', `\`${child.spawnargs.slice(1).join(' ')}\` ended with ${status}`, {
      info: await said,
    });
  }
}
