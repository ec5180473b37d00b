import { expect, test } from 'vitest';
import { launched } from './launch.ts';
import { parsePart } from './part.ts';

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
  expect(launched(slurm)).toEqual({ launcher: 'Slurm', rank: 2, size: 8, local: undefined });
  const mpi = { OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '3' };
  expect(parsePart('auto', mpi)).toEqual({ index: 0, of: 3 });
  expect(launched(mpi)).toMatchObject({ launcher: 'Open MPI', rank: 0, size: 3 });
  const local = { OMPI_COMM_WORLD_LOCAL_RANK: '0', OMPI_COMM_WORLD_LOCAL_SIZE: '2' };
  expect(launched({ ...mpi, ...local })?.local).toEqual({ rank: 0, size: 2 });
  expect(launched({ PMI_RANK: '3', PMI_SIZE: '4' })).toMatchObject({ launcher: 'MPICH', rank: 3, size: 4 });
  expect(parsePart('auto', { RANK: '1', WORLD_SIZE: '2' })).toEqual({ index: 1, of: 2 });
  expect(launched({ SLURM_PROCID: '0', SLURM_NTASKS: '1' })).toBeUndefined();
  expect(launched({ RANK: '2', WORLD_SIZE: '2' })).toBeUndefined();
  expect(launched({})).toBeUndefined();
  // A batch script of Slurm that calls mpirun or torchrun.
  const script = { SLURM_PROCID: '0', SLURM_NTASKS: '8' };
  expect(launched({ ...script, ...mpi })).toMatchObject({ launcher: 'Open MPI', size: 3 });
  expect(launched({ ...script, RANK: '1', WORLD_SIZE: '2' })).toMatchObject({
    launcher: 'torchrun',
    rank: 1,
  });
});

test('an environment that makes no sense is said', () => {
  expect(() => parsePart('auto', {})).toThrow('no launcher');
  expect(() => parsePart('auto', { RANK: '2', WORLD_SIZE: '2' })).toThrow('torchrun says rank 2 of 2');
  expect(() => parsePart('auto', { RANK: '1' })).toThrow('torchrun says rank 1 of undefined');
});
