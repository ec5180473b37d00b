/** Who takes part in several contests of this folder: our engine, and PyTorch. */
import { join } from 'node:path';
import { type Contestant, installPython, type Peer, root, run, spread, startPeer } from './tools.ts';

/** The engine's example `step`, built: its path. */
function buildStep(): string {
  const build = ['build', '--release', '--quiet', '-p', 'ilsvrc-engine', '--example', 'step'];
  const messages = run('cargo', [...build, '--message-format', 'json-render-diagnostics']);
  for (const message of messages.trim().split('\n').reverse()) {
    const { executable } = JSON.parse(message);
    if (executable) return executable;
  }
  throw new Error('cargo names no program for the example step');
}

/** What the example prints. */
export interface EngineRound {
  instruction_set: string;
  gflop_per_image: number;
  /** GFLOP/s of multiply-adds in registers, all threads. */
  peak_gflops: { before: number; after: number };
  /** Of each pass. */
  seconds: number[];
}

/** The median of the peaks of some rounds, GFLOP/s. */
export const medianPeak = (peaks: EngineRound['peak_gflops'][]) =>
  spread(peaks.flatMap(({ before, after }) => [before, after])).median;

/** What the engine is to do: passes of a net that a file describes. */
export interface Work {
  net: string;
  pass: 'step' | 'forward';
  batch: number;
  threads: number;
  /** Counted passes in a round. */
  repeats: number;
}

/** Our engine, a process each time that it is called. */
export function passes(work: Work): () => EngineRound {
  const step = buildStep();
  const args = Object.entries(work).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return () => JSON.parse(run(step, args));
}

/** Our engine in a contest; what each round says goes to `rounds`. */
export function engine(work: Work, rounds: EngineRound[]): Contestant {
  const once = passes(work);
  return {
    who: 'ilsvrc',
    run: () => {
      const round = once();
      rounds.push(round);
      return round.seconds;
    },
  };
}

/** PyTorch, by `python` or an environment in `directory`. What it compiles once stays compiled; its version goes to `versions`. */
export async function startTorch(
  directory: string,
  python: string | undefined,
  threads: number,
  versions: string[],
): Promise<Peer> {
  const program = python ?? installPython(directory, 'bench/peers/pytorch/requirements.txt');
  const cache = { TORCHINDUCTOR_CACHE_DIR: join(directory, 'inductor') };
  const peer = startPeer(program, [join(root, 'bench/peers/pytorch/step.py'), String(threads)], cache);
  const { version, instruction_set } = await peer.line();
  versions.push(`PyTorch ${version} ${instruction_set}`);
  return peer;
}

/** Seconds of the passes that a peer is asked for. */
export async function askPeer(peer: Peer, request: object): Promise<number[]> {
  const { seconds, error } = await peer.ask(request);
  if (error !== undefined) throw new Error(error);
  return seconds;
}
