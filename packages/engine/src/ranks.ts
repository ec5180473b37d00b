/** Processes that train and evaluate together. */
import { run } from './jobs.ts';
import { native } from './native.ts';

/** One of several processes of a run. */
export interface World {
  /** Which one this is, from 0. */
  rank: number;
  /** The host of each. */
  hosts: string[];
}

/**
 * Joins the processes that MPI's launcher started with this one. Sessions opened from then on share training steps and evaluations
 * with theirs, so all of them make the same calls. Rejects with E0420 where this build knows no MPI.
 */
export async function joinRanks(): Promise<World> {
  return (await run<World>((emit) => native.joinRanks(emit))).payload;
}

/** Leaves them, when all are ready to. MPI's launcher takes a process that ends without it for one that failed. */
export async function leaveRanks(): Promise<void> {
  await run((emit) => native.leaveRanks(emit));
}
