/** How this process was started as one of several, from the variables that launchers set. */

type Environment = Record<string, string | undefined>;

/**
 * Variables of rank and number of processes, by the program that starts them; `local` are those on one host. Slurm is last: where a job of
 * its uses another launcher, those whom that starts have both, and Slurm's are of the script.
 */
export const launchers = [
  {
    name: 'Open MPI',
    rank: 'OMPI_COMM_WORLD_RANK',
    size: 'OMPI_COMM_WORLD_SIZE',
    localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
    localSize: 'OMPI_COMM_WORLD_LOCAL_SIZE',
  },
  {
    name: 'MPICH',
    rank: 'PMI_RANK',
    size: 'PMI_SIZE',
    localRank: 'MPI_LOCALRANKID',
    localSize: 'MPI_LOCALNRANKS',
  },
  {
    name: 'torchrun',
    rank: 'RANK',
    size: 'WORLD_SIZE',
    localRank: 'LOCAL_RANK',
    localSize: 'LOCAL_WORLD_SIZE',
  },
  {
    name: 'Slurm',
    rank: 'SLURM_PROCID',
    size: 'SLURM_NTASKS',
    localRank: 'SLURM_LOCALID',
    localSize: 'SLURM_NTASKS_PER_NODE',
  },
] as const;

/** One of several processes. */
export interface Launch {
  launcher: (typeof launchers)[number]['name'];
  /** From 0. */
  rank: number;
  size: number;
  /** The same among those of this host, where the launcher says so. */
  local: { rank: number; size: number } | undefined;
}

/** What the environment says; nothing where this process is the only one. */
export function launched(environment: Environment): Launch | undefined {
  for (const names of launchers) {
    const [rank, size] = [environment[names.rank], environment[names.size]].map(count);
    if (rank === undefined || size === undefined || size < 2 || rank >= size) continue;
    const [localRank, localSize] = [environment[names.localRank], environment[names.localSize]].map(count);
    const local =
      localRank === undefined || localSize === undefined || localRank >= localSize
        ? undefined
        : { rank: localRank, size: localSize };
    return { launcher: names.name, rank, size, local };
  }
  return undefined;
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
