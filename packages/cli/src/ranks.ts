/** Verbs that several processes do together: who starts them, who speaks, and how they end. */
import { spawn } from 'node:child_process';
import { availableParallelism, cpus, hostname } from 'node:os';
import { type Launch, launched } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { World } from '@ilsvrc/engine';
import { Output, type OutputOptions } from './output.ts';
import { HostLost, letLauncherEnd, ToldByRank0, wakeOthers } from './told.ts';

/** Errors that all ranks meet at the same place. */
const common = new Set(['E0403', 'E0422', 'E0425', 'E0902']);

/**
 * Does `work` together with the processes that a launcher started with this one; alone where there are none. GPUs meet in the
 * first of `places`.
 */
export async function together<T>(
  places: () => Promise<string[]>,
  work: (world: World | undefined) => Promise<T>,
): Promise<T> {
  const launch = launched(process.env);
  if (launch === undefined) return work(undefined);
  try {
    // Loaded when it is needed: helps and completions are to be quick.
    const { joinRanks, leaveRanks } = await import('@ilsvrc/engine');
    const world =
      launch.launcher === 'torchrun'
        ? await joinByNccl(launch, await places())
        : await joinRanks({ by: 'mpi' });
    if (world.hosts.length !== launch.size) throw cannotMeet(launch);
    const result = await settle(world, work);
    await leaveRanks();
    return result;
  } catch (error) {
    const isLost = error instanceof IlsvrcError && error.code === 'E0421';
    if (isLost && launch.launcher === 'torchrun') wakeOthers();
    throw ofRank(error);
  }
}

/** Where all ranks stop at the same place they leave together: MPI's launcher would call the first to end a failure. */
async function settle<T>(world: World, work: (world: World) => Promise<T>): Promise<T> {
  try {
    return await work(world);
  } catch (error) {
    if (error instanceof IlsvrcError && common.has(error.code)) {
      await (await import('@ilsvrc/engine')).leaveRanks();
    }
    // That is for Open MPI's daemons.
    const isFar = new Set(world.hosts).size > 1 && launched(process.env)?.launcher !== 'torchrun';
    if (error instanceof IlsvrcError && error.code === 'E0421' && isFar) throw await hostLost(world, error);
    throw error;
  }
}

/**
 * A rank on another host is lost: perhaps the link is down. Open MPI's daemons find that out by asking each other, but not while
 * anything that they have sent is on its way, such as that a rank has ended, or what one far from `mpirun` says: for a quarter of an
 * hour they would wait for the answer. So rank 0 speaks and does not end, the others do neither, until their daemon ends them.
 */
async function hostLost({ rank }: World, error: IlsvrcError): Promise<IlsvrcError> {
  if (rank > 0) await letLauncherEnd();
  const { code, message, info, hint, cause } = error;
  return new HostLost(code, message, { info, hint, cause });
}

/** An error of this process; on a rank other than 0 it says whose it is. */
function ofRank(error: unknown): unknown {
  const rank = launched(process.env)?.rank ?? 0;
  if (rank === 0 || !(error instanceof Error)) return error;
  const message = `rank ${rank} on ${hostname()}: ${error.message}`;
  if (!(error instanceof IlsvrcError)) return Object.assign(error, { message });
  const { code, info, hint, cause } = error;
  // Bad arguments are the same for all.
  if (common.has(code) || error.exitCode === 2) {
    return new ToldByRank0(code, error.message, { info, hint, cause });
  }
  return new IlsvrcError(code, message, { info, hint, cause });
}

/** The output of a verb that several processes do together: rank 0 speaks. */
export function outputOf(world: World | undefined, options: OutputOptions): Output {
  return new Output({ ...options, silent: world !== undefined && world.rank > 0 });
}

/** Refuses what several processes were started for and would each do all of, over the others' files. */
export function expectAlone(what: string, hint?: string): void {
  const launch = launched(process.env);
  // A batch script is one process, and has Slurm's variables too; those of a step are srun's.
  const isStarted = launch?.launcher !== 'Slurm' || process.env.SLURM_STEP_NUM_TASKS !== undefined;
  if (launch !== undefined && isStarted) throw notShared(what, hint);
}

/** The error of work that is not shared out. */
export function notShared(what: string, hint = 'start it once, without the launcher'): IlsvrcError {
  const { launcher, rank, size } = launched(process.env) ?? { launcher: 'a launcher', rank: 0, size: 1 };
  return new IlsvrcError('E0426', `${what} is not shared out to several processes`, {
    info: `${launcher} started this one as rank ${rank} of ${size}, and each would do the same`,
    hint,
  });
}

/** Lets rank 0 do what writes, while the others wait. */
export async function firstAlone(world: World | undefined, work: () => Promise<void>): Promise<void> {
  if (world === undefined) return work();
  if (world.rank === 0) await work();
  await (await import('@ilsvrc/engine')).sumRanks(Float32Array.of(0));
}

/** Where NCCL looks for the address at which rank 0 waits for the others. */
const rendezvous = 'NCCL_COMM_ID';

/** The ranks that `torchrun` started meet by NCCL, at the port beside the one at which torchrun itself listens. */
async function joinByNccl({ rank, size, local }: Launch, places: string[]): Promise<World> {
  const master = masterOfTorchrun();
  const {
    [rendezvous]: named,
    TORCHELASTIC_USE_AGENT_STORE: used,
    TORCHELASTIC_RUN_ID: run = '',
  } = process.env;
  const address = named ?? (master && `${master.host}:${master.port + 1}`);
  if (address === undefined) {
    throw new IlsvrcError(
      'E0420',
      `torchrun started rank ${rank} of ${size}, but MASTER_ADDR and MASTER_PORT are not set`,
      {
        info: 'they say where rank 0 is, at which the ranks meet',
        hint: `start all ranks by torchrun, or say HOST:PORT of rank 0 by ${rendezvous}`,
      },
    );
  }
  const { joinRanks } = await import('@ilsvrc/engine');
  process.env[rendezvous] = address;
  try {
    return await joinRanks({
      by: 'nccl',
      rank,
      size,
      local: local ? [local.rank, local.size] : [0, 1],
      places,
      // torchrun says so where it keeps a store for its ranks.
      ...(master && used === 'True' ? { agent: { ...master, run } } : {}),
    });
  } finally {
    // It would send communicators to come to the same address.
    delete process.env[rendezvous];
  }
}

/** Where torchrun itself listens. */
function masterOfTorchrun(): { host: string; port: number } | undefined {
  const { MASTER_ADDR: host = '', MASTER_PORT: port = '' } = process.env;
  const isPort = /^\d{1,5}$/.test(port) && Number(port) < 2 ** 16;
  return host !== '' && isPort ? { host, port: Number(port) } : undefined;
}

function cannotMeet({ launcher, rank, size }: Launch): IlsvrcError {
  return new IlsvrcError(
    'E0420',
    `${launcher} started rank ${rank} of ${size}, which cannot meet the others`,
    {
      info: 'MPI sees one process: the launcher belongs to another MPI than the one that ilsvrc was built with',
      hint: 'start it by the mpirun of that MPI, or by `ilsvrc train --launch N`',
    },
  );
}

/** Compute threads of this process: its share of the host's cores, unless the launcher bound it to some. */
export function shareOfThreads(): number {
  const available = availableParallelism();
  const bound = available < cpus().length;
  return bound ? available : Math.max(1, Math.floor(available / (launched(process.env)?.local?.size ?? 1)));
}

/** Starts this very command `count` times by `mpirun` and returns the exit status. */
export function launchAgain(count: number): Promise<number> {
  const program = process.argv[1] ?? '';
  const given = process.argv.slice(2);
  const at = given.findIndex((text) => text === '--launch' || text.startsWith('--launch='));
  const rest = given.toSpliced(at, given[at] === '--launch' ? 2 : 1);
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    // All ranks share this host's cores, more ranks than cores too; in a container one is often root.
    OMPI_MCA_rmaps_base_oversubscribe: '1',
    OMPI_MCA_hwloc_base_binding_policy: 'none',
    ...(process.getuid?.() === 0 ? { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' } : {}),
  };
  delete environment.ILSVRC_LAUNCH;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn('mpirun', ['-np', String(count), process.execPath, program, ...rest], {
    stdio: 'inherit',
    env: environment,
    // Out of reach of Ctrl-C, upon which mpirun kills the ranks a second later: they are asked to save and stop instead.
    detached: true,
  });
  let asked = false;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      child.kill(asked ? 'SIGTERM' : 'SIGUSR2');
      asked = true;
    });
  }
  child.on('error', ({ message }) =>
    reject(
      new IlsvrcError('E0420', `cannot start ${count} ranks: ${message}`, {
        info: '--launch uses the mpirun of the system',
        hint: 'install one, as by `apt install openmpi-bin libopenmpi-dev libclang-dev`, and build ilsvrc again: `npm run build`',
      }),
    ),
  );
  child.on('exit', (status) => resolve(status ?? 1));
  return promise;
}
