import { expect, test } from 'vitest';
import { launcher, parsePart } from './part.ts';

test('by hand, counted from 1', () => {
  expect(parsePart('1/1', {})).toEqual({ index: 0, of: 1 });
  expect(parsePart('16/16', {})).toEqual({ index: 15, of: 16 });
  for (const text of ['0/3', '4/3', '1', '1/0', '-1/3', '1/3/5', 'x/y', '']) {
    expect(() => parsePart(text, {}), text).toThrow(expect.objectContaining({ code: 'E0103' }));
  }
});

test('from what started the process', () => {
  const slurm = { SLURM_PROCID: '2', SLURM_NTASKS: '8' };
  expect(parsePart('auto', slurm)).toEqual({ index: 2, of: 8 });
  expect(launcher(slurm)).toBe('Slurm');
  const mpi = { OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '3' };
  expect(parsePart('auto', mpi)).toEqual({ index: 0, of: 3 });
  expect(launcher(mpi)).toBe('Open MPI');
  expect(parsePart('auto', { RANK: '1', WORLD_SIZE: '2' })).toEqual({ index: 1, of: 2 });
  expect(launcher({ SLURM_PROCID: '0', SLURM_NTASKS: '1' })).toBeUndefined();
  expect(launcher({})).toBeUndefined();
});

test('an environment that makes no sense is said', () => {
  expect(() => parsePart('auto', {})).toThrow('no launcher');
  expect(() => parsePart('auto', { RANK: '2', WORLD_SIZE: '2' })).toThrow('torchrun says rank 2 of 2');
  expect(() => parsePart('auto', { RANK: '1' })).toThrow('torchrun says rank 1 of undefined');
});
