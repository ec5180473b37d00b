/** Processes that work together. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { run } from './jobs.ts';
import { native } from './native.ts';

/** One of several processes of a run. */
export interface World {
  /** Which one this is, from 0. */
  rank: number;
  /** The host of each. */
  hosts: string[];
}

/** Who brings the processes together. */
export type JoinRequest =
  /** MPI, whose launcher started them and which knows rank and size. */
  | { by: 'mpi' }
  /**
   * NCCL, between the first GPUs of the ranks; `local` is rank and size among those of this host, `places` are those of the sessions
   * to come. The environment variable `NCCL_COMM_ID` must say where rank 0 listens, as HOST:PORT. By the store of `agent` they know
   * who is alive; without it a rank that is frozen is given up after five minutes.
   */
  | {
      by: 'nccl';
      rank: number;
      size: number;
      local: [rank: number, size: number];
      places: string[];
      agent?: Agent;
    };

/** Where torchrun keeps a store for the ranks that it starts. */
export interface Agent {
  host: string;
  port: number;
  /** What tells the run from others that use this store. */
  run: string;
}

/**
 * Joins the processes that a launcher started with this one. Sessions opened from then on share training steps, evaluations and
 * walks over a split with theirs, and stores are searched together, so all of them make the same calls. Rejects with E0420 where they
 * cannot meet, E0421 where one does not come; by NCCL also with E0423 to E0425.
 */
export async function joinRanks(request: JoinRequest): Promise<World> {
  return (await run<World>((emit) => native.joinRanks(JSON.stringify(request), emit))).payload;
}

/** Leaves them, when all are ready to. MPI's launcher takes a process that ends without it for one that failed. */
export async function leaveRanks(): Promise<void> {
  await run((emit) => native.leaveRanks(emit));
}

/** Each value summed over all ranks: those of all, where each has some and zeros for the others'. Alone, the values themselves. */
export async function sumRanks(values: Float32Array): Promise<Float32Array> {
  return (await run((emit) => native.sumRanks(values, emit))).data;
}

/** The longest text of {@link gatherRanks} in bytes: sums keep whole numbers up to here. */
const longest = 2 ** 24;

/** A text of each rank (below 16 MB), in the order of ranks, on all of them. */
export async function gatherRanks({ rank, hosts }: World, text: string): Promise<string[]> {
  const own = new TextEncoder().encode(text);
  if (own.length >= longest) throw new RangeError(`${own.length} bytes are too many to gather`);
  const lengths = new Float32Array(hosts.length);
  lengths[rank] = own.length;
  const ends: number[] = [];
  for (const length of await sumRanks(lengths)) ends.push((ends.at(-1) ?? 0) + length);
  const values = new Float32Array(ends.at(-1) ?? 0);
  values.set(own, (ends[rank] ?? 0) - own.length);
  const all = Uint8Array.from(await sumRanks(values));
  return ends.map((end, index) => new TextDecoder().decode(all.subarray(ends[index - 1] ?? 0, end)));
}

/** Rejects with E0902 on all ranks when `signal` is aborted on any of them, so that all stop at the same place. */
export async function stopTogether(world: World | undefined, signal: AbortSignal | undefined): Promise<void> {
  if (world === undefined) return signal?.throwIfAborted();
  const [asked = 0] = await sumRanks(Float32Array.of(signal?.aborted ? 1 : 0));
  if (asked > 0) throw new IlsvrcError('E0902', 'interrupted');
}
