import type { Layout } from '@ilsvrc/engine';
import { expect, test } from 'vitest';
import { describeLayout, describeNotice, describeRanksOf, describeSums } from './layout.ts';

const layout = (
  places: [name: string, device: string][],
  exchange: Layout['exchange'],
  precision: Layout['precision'],
): Layout => ({
  places: places.map(([name, device], tower) => ({
    name,
    device,
    replica: 0,
    towers: places.length === 1 ? [0, 1] : [tower],
  })),
  exchange,
  precision,
  notice: null,
  among: null,
  cache: null,
});

const h100 = 'NVIDIA H100 80GB HBM3';

test.each([
  [layout([['cpu', 'AVX-512, 2 threads']], 'memory', 'f32'), 'cpu: AVX-512, 2 threads'],
  [
    layout(
      [
        ['cpu', 'AVX-512, 1 thread'],
        ['cpu', 'AVX-512, 1 thread'],
      ],
      'memory',
      'f32',
    ),
    'tower 0 on cpu (AVX-512, 1 thread), tower 1 on cpu',
  ],
  [layout([['0', h100]], 'none', 'bf16'), `GPU 0: ${h100}, bf16`],
  [
    layout(
      [
        ['0', h100],
        ['1', h100],
      ],
      'peer',
      'bf16',
    ),
    `tower 0 on GPU 0 (${h100}), tower 1 on GPU 1, exchange by peer copies, bf16`,
  ],
  [
    layout(
      [
        ['0', h100],
        ['2', 'NVIDIA A100'],
      ],
      'host',
      'tf32',
    ),
    `tower 0 on GPU 0 (${h100}), tower 1 on GPU 2 (NVIDIA A100), exchange through the host's memory, tf32`,
  ],
])('%#: in words', (given, words) => {
  expect(describeLayout(given)).toBe(words);
});

/** Replicas in these places, each with so many of them. */
const replicas = (names: string[], device: string, each: number) => {
  const places = layout(
    names.map((name) => [name, device]),
    'none',
    'bf16',
  ).places.map((place, index) => ({
    ...place,
    replica: Math.floor(index / each),
    towers: each === 1 ? [0] : [index % each],
  }));
  return describeLayout({ places, exchange: each === 1 ? 'none' : 'peer', precision: 'bf16' });
};

test('several replicas', () => {
  expect(replicas(['0', '1', '2', '3'], h100, 2)).toBe(
    `replica 0 with tower 0 on GPU 0 (${h100}) and tower 1 on GPU 1, replica 1 with tower 0 on GPU 2 and tower 1 on GPU 3, exchange by peer copies, bf16`,
  );
  expect(replicas(['cpu', 'cpu'], 'AVX-512, 1 thread', 1)).toBe(
    'replica 0 on cpu (AVX-512, 1 thread), replica 1 on cpu',
  );
  expect(replicas(['0', '1', '2', '3', '4', '5', '6', '7'], h100, 1)).toBe(
    `replica 0 on GPU 0 (${h100}), replica 1 on GPU 1, …, replica 7 on GPU 7, bf16`,
  );
});

test('what `auto` left out', () => {
  const told = (name: string, notice: string | null) =>
    describeNotice({ ...layout([[name, h100]], 'same device', 'bf16'), notice });
  expect(told('0', null)).toBeUndefined();
  expect(told('cpu', 'GPU 0 is too old')).toBe(
    'no GPU is used: GPU 0 is too old (`ilsvrc doctor` says more)',
  );
  expect(told('1', 'GPU 0 is too old')).toMatch(/^only GPU 1 is used: GPU 0 is too old/);
});

test.each([
  [
    { gpus: [[0], [1]], nccl: '2.27.3', reason: null },
    'rank 0 on GPU 0, rank 1 on GPU 1; gradients are summed on the GPUs by NCCL 2.27.3',
  ],
  [
    {
      gpus: [
        [0, 0],
        [1, 1],
      ],
      nccl: null,
      reason: 'libnccl.so.2 cannot be loaded',
    },
    "rank 0 on GPU 0, rank 1 on GPU 1; gradients go through the host's memory (no NCCL: libnccl.so.2 cannot be loaded)",
  ],
  [
    { gpus: [0, 1, 2, 3, 0, 1, 2, 3].map((pair) => [2 * pair, 2 * pair + 1]), nccl: '2.27.3', reason: null },
    'rank 0 on GPU 0 and 1, rank 1 on GPU 2 and 3, …, rank 7 on GPU 6 and 7; gradients are summed on the GPUs by NCCL 2.27.3',
  ],
])('%j', (among, line) => expect(`${describeRanksOf(among)}; ${describeSums(among)}`).toBe(line));
