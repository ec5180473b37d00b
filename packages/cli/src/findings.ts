/** Lines of `doctor`, and what it says of GPUs: driver, each GPU, where kernels come from, and why one is not used. */
import type { Devices, Gpu, Problem } from '@ilsvrc/engine';
import { formatBytes } from '@ilsvrc/terminal';

/** A line of the report. */
export interface Finding {
  name: string;
  /** `no` where something is not there or not used, and nothing depends on it. */
  state: 'ok' | 'no' | 'FAIL';
  value: string;
  /** Why, and what would help: a line each. */
  notes: string[];
}

/** Something that works. */
export function fine(name: string, value: string): Finding {
  return { name, state: 'ok', value, notes: [] };
}

/** Something without which the program does not work. */
export function broken(name: string, value: string): Finding {
  return { name, state: 'FAIL', value, notes: [] };
}

/**
 * The driver, each GPU, what sums between GPUs, and the kernels in the addon. A GPU that is not used is no failure: the CPU computes; nor
 * is an NCCL that is missing, since one process needs none.
 */
export function deviceFindings({ driver, gpus, nccl, cubins, nvrtc }: Devices): Finding[] {
  return [
    describeDriver(driver, gpus),
    ...gpus.map(describeGpu),
    ...(nccl === null ? [] : [describeNccl(nccl)]),
    describeKernels(cubins, nvrtc),
  ];
}

function describeDriver({ version, problem }: Devices['driver'], gpus: Gpu[]): Finding {
  if (problem !== null) {
    return { name: 'driver', state: 'no', value: reason(problem), notes: remedies(problem) };
  }
  const value = `supports CUDA ${version}`;
  if (gpus.length === 0) {
    const notes = ['`nvidia-smi` lists the GPUs that the driver has; CUDA_VISIBLE_DEVICES may hide some'];
    return { name: 'driver', state: 'no', value: `${value}, but sees no GPU`, notes };
  }
  return fine('driver', `${value}, ${gpus.length} ${gpus.length === 1 ? 'GPU' : 'GPUs'}`);
}

function describeGpu(gpu: Gpu): Finding {
  const name = `GPU ${gpu.ordinal}`;
  const value = [
    gpu.name,
    `compute capability ${gpu.compute_capability}`,
    memoryOf(gpu),
    gpu.peers.length === 0 ? 'no peer access' : `peer access to GPU ${gpu.peers.join(', ')}`,
    `kernels: ${gpu.kernels}`,
  ].join(', ');
  if (gpu.problem === null) return { name, state: gpu.usable ? 'ok' : 'no', value, notes: [] };
  return { name, state: 'no', value, notes: [`not used: ${reason(gpu.problem)}`, ...remedies(gpu.problem)] };
}

function describeNccl({ version, problem }: NonNullable<Devices['nccl']>): Finding {
  if (problem === null) return fine('NCCL', `${version}, for several processes`);
  return { name: 'NCCL', state: 'no', value: reason(problem), notes: remedies(problem) };
}

function memoryOf({ memory_bytes, free_bytes }: Gpu): string {
  const whole = formatBytes(memory_bytes);
  return free_bytes === null ? `${whole} of memory` : `${formatBytes(free_bytes)} of ${whole} free`;
}

/** Kernels come as machine code, or are compiled when they are needed. */
function describeKernels(cubins: Devices['cubins'], { build, runtime }: Devices['nvrtc']): Finding {
  const bytes = cubins.reduce((sum, cubin) => sum + cubin.bytes, 0);
  const compiler = build === null ? '' : `, compiled by NVRTC ${build}`;
  const name = 'kernels';
  if (cubins.length === 0) {
    return runtime === null
      ? { name, state: 'no', value: 'none embedded, and no NVRTC here to compile them', notes: [] }
      : fine(name, `none embedded; NVRTC ${runtime} compiles them on the first use of a GPU`);
  }
  const archs = cubins.map(({ arch }) => arch).join(', ');
  const others =
    runtime === null ? 'others need NVRTC, which is not here' : `NVRTC ${runtime} compiles for others`;
  return fine(name, `embedded for ${archs} (${formatBytes(bytes)}${compiler}); ${others}`);
}

const reason = ({ message, code }: Problem) => `${message} (${code})`;

const remedies = ({ info, hint }: Problem) => [info, hint].filter((note) => note !== null);
