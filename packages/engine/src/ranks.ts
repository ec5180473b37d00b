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

/** Who brings the processes together. */
export type JoinRequest =
  /** MPI, whose launcher started them and which knows rank and size. */
  | { by: 'mpi' }
  /**
   * NCCL, between the first GPUs of the ranks; `local` is rank and size among those of this host, `places` are those of the sessions
   * to come. The environment variable `NCCL_COMM_ID` must say where rank 0 listens, as HOST:PORT.
   */
  | { by: 'nccl'; rank: number; size: number; local: [rank: number, size: number]; places: string[] };

/**
 * Joins the processes that a launcher started with this one. Sessions opened from then on share training steps and evaluations
 * with theirs, so all of them make the same calls. Rejects with E0420 where they cannot meet; by NCCL also with E0423 to E0425.
 */
export async function joinRanks(request: JoinRequest): Promise<World> {
  return (await run<World>((emit) => native.joinRanks(JSON.stringify(request), emit))).payload;
}

/** Leaves them, when all are ready to. MPI's launcher takes a process that ends without it for one that failed. */
export async function leaveRanks(): Promise<void> {
  await run((emit) => native.leaveRanks(emit));
}
