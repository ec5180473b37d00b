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

/** The driver, each GPU, and the kernels in the addon. A GPU that is not used is no failure: the CPU computes. */
export function deviceFindings({ driver, gpus, cubins, nvrtc }: Devices): Finding[] {
  return [describeDriver(driver, gpus), ...gpus.map(describeGpu), describeKernels(cubins, nvrtc)];
}

function describeDriver({ version, problem }: Devices['driver'], gpus: Gpu[]): Finding {
  if (problem !== null) {
    return { name: 'driver', state: 'no', value: reason(problem), notes: remedies(problem) };
  }
  const state = gpus.length === 0 ? 'no' : 'ok';
  const count = gpus.length === 1 ? '1 GPU' : `${gpus.length || 'no'} GPUs`;
  return { name: 'driver', state, value: `supports CUDA ${version}, ${count}`, notes: [] };
}

function describeGpu(gpu: Gpu): Finding {
  const name = `GPU ${gpu.ordinal}`;
  const value = [
    gpu.name,
    `compute capability ${gpu.compute_capability}`,
    `${formatBytes(gpu.free_bytes)} of ${formatBytes(gpu.memory_bytes)} free`,
    gpu.peers.length === 0 ? 'no peer access' : `peer access to GPU ${gpu.peers.join(', ')}`,
    `kernels: ${gpu.kernels}`,
  ].join(', ');
  if (gpu.problem === null) return { name, state: gpu.usable ? 'ok' : 'no', value, notes: [] };
  return { name, state: 'no', value, notes: [`not used: ${reason(gpu.problem)}`, ...remedies(gpu.problem)] };
}

/** Kernels come as machine code, or are compiled when they are needed. */
function describeKernels(cubins: Devices['cubins'], { build, runtime }: Devices['nvrtc']): Finding {
  const bytes = cubins.reduce((sum, cubin) => sum + cubin.bytes, 0);
  const compiler = build === null ? '' : `, compiled by NVRTC ${build}`;
  const embedded =
    cubins.length === 0
      ? 'none embedded'
      : `${cubins.map(({ arch }) => arch).join(', ')} embedded (${formatBytes(bytes)}${compiler})`;
  const others = runtime === null ? 'no NVRTC to compile others' : `NVRTC ${runtime} compiles others`;
  const state = cubins.length === 0 && runtime === null ? 'no' : 'ok';
  return { name: 'kernels', state, value: `${embedded}; ${others}`, notes: [] };
}

const reason = ({ message, code }: Problem) => `${message} (${code})`;

const remedies = ({ info, hint }: Problem) => [info, hint].filter((note) => note !== null);
