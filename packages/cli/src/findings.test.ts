import type { Devices, Gpu } from '@ilsvrc/engine';
import { expect, test } from 'vitest';
import { deviceFindings } from './findings.ts';

const h100: Gpu = {
  ordinal: 0,
  name: 'NVIDIA H100 80GB HBM3',
  compute_capability: '9.0',
  memory_bytes: 85e9,
  free_bytes: 84.4e9,
  usable: true,
  problem: null,
  kernels: 'embedded sm_90a',
  peers: [1],
};

const devices: Devices = {
  cpu: { instruction_set: 'AVX-512', features: ['avx2', 'fma'], threads: 2, available_bytes: 8e9 },
  driver: { version: '13.0', problem: null },
  gpus: [h100, { ...h100, ordinal: 1, peers: [0] }],
  nccl: { version: '2.27.3', problem: null },
  cubins: [
    { arch: 'sm_80', bytes: 1_200_000 },
    { arch: 'sm_90a', bytes: 1_300_000 },
  ],
  nvrtc: { build: '12.9', runtime: null },
  decoder: 'libjpeg-turbo 3.1.0, accurate; PNG by image 0.25',
};

test('two GPUs that reach each other', () => {
  const what = 'NVIDIA H100 80GB HBM3, compute capability 9.0, 84.4 GB of 85.0 GB free';
  expect(deviceFindings(devices)).toEqual([
    { name: 'driver', state: 'ok', value: 'supports CUDA 13.0, 2 GPUs', notes: [] },
    {
      name: 'GPU 0',
      state: 'ok',
      value: `${what}, peer access to GPU 1, kernels: embedded sm_90a`,
      notes: [],
    },
    {
      name: 'GPU 1',
      state: 'ok',
      value: `${what}, peer access to GPU 0, kernels: embedded sm_90a`,
      notes: [],
    },
    { name: 'NCCL', state: 'ok', value: '2.27.3, for several processes', notes: [] },
    {
      name: 'kernels',
      state: 'ok',
      value:
        'embedded for sm_80, sm_90a (2.5 MB, compiled by NVRTC 12.9); others need NVRTC, which is not here',
      notes: [],
    },
  ]);
});

test('a machine without a driver has its reason, and no failure', () => {
  const problem = {
    code: 'E0405',
    message: 'there is no NVIDIA driver',
    info: 'libcuda.so.1 was not found',
    hint: 'install the driver',
  };
  const [driver, kernels] = deviceFindings({
    ...devices,
    driver: { version: null, problem },
    gpus: [],
    nccl: null,
    cubins: [],
    nvrtc: { build: null, runtime: '12.9' },
  });
  expect(driver).toEqual({
    name: 'driver',
    state: 'no',
    value: 'there is no NVIDIA driver (E0405)',
    notes: ['libcuda.so.1 was not found', 'install the driver'],
  });
  expect(kernels).toMatchObject({
    state: 'ok',
    value: 'none embedded; NVRTC 12.9 compiles them on the first use of a GPU',
  });
});

test('a GPU that is not used says why', () => {
  const problem = { code: 'E0407', message: 'too old', info: 'below 8.0', hint: null };
  const old: Gpu = {
    ...h100,
    name: 'NVIDIA TITAN X',
    compute_capability: '5.2',
    usable: false,
    problem,
    kernels: 'none',
    peers: [],
  };
  const [driver, gpu] = deviceFindings({ ...devices, gpus: [old] });
  expect(driver?.value).toBe('supports CUDA 13.0, 1 GPU');
  expect(gpu).toEqual({
    name: 'GPU 0',
    state: 'no',
    value: 'NVIDIA TITAN X, compute capability 5.2, 84.4 GB of 85.0 GB free, no peer access, kernels: none',
    notes: ['not used: too old (E0407)', 'below 8.0'],
  });
});

test('an NCCL that cannot be used says why, and is no failure', () => {
  const problem = {
    code: 'E0423',
    message: 'libnccl.so.2 cannot be loaded',
    info: 'no such file',
    hint: 'install it',
  };
  const [, , , nccl] = deviceFindings({ ...devices, nccl: { version: null, problem } });
  expect(nccl).toEqual({
    name: 'NCCL',
    state: 'no',
    value: 'libnccl.so.2 cannot be loaded (E0423)',
    notes: ['no such file', 'install it'],
  });
});

test('a GPU that cannot be opened does not tell its free memory', () => {
  const problem = { code: 'E0408', message: 'the GPU was lost', info: null, hint: null };
  const [, gpu] = deviceFindings({
    ...devices,
    gpus: [{ ...h100, usable: false, problem, free_bytes: null }],
  });
  expect(gpu?.value).toContain(', 85.0 GB of memory, ');
});

test('a driver without GPUs, and an addon without kernels', () => {
  const [driver, kernels] = deviceFindings({ ...devices, gpus: [], nccl: null, cubins: [] });
  expect(driver).toMatchObject({ state: 'no', value: 'supports CUDA 13.0, but sees no GPU' });
  expect(driver?.notes.join()).toContain('CUDA_VISIBLE_DEVICES');
  expect(kernels).toMatchObject({
    state: 'no',
    value: 'none embedded, and no NVRTC here to compile them',
  });
});
