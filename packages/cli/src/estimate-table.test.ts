import type { PlaceEstimate } from '@ilsvrc/engine';
import { expect, test } from 'vitest';
import { estimateTable, verdict } from './estimate-table.ts';

const gpu = (name: string, device: string | null, free_bytes: number | null): PlaceEstimate => ({
  name,
  device,
  parameters_bytes: 366e6,
  activations_bytes: 210.44e6,
  workspace_bytes: 12e6,
  input_bytes: 20e6,
  exchange_bytes: 5e6,
  total_bytes: 613.44e6,
  free_bytes,
});

test('a column a place, a row a kind', () => {
  const { titles, rows, devices } = estimateTable([gpu('0', 'NVIDIA H100', 84e9), gpu('1', null, null)]);
  expect(titles).toEqual(['', 'GPU 0', 'GPU 1']);
  expect(rows).toEqual([
    ['parameters', '366.0 MB', '366.0 MB'],
    ['activations', '210.4 MB', '210.4 MB'],
    ['workspace', '12.0 MB', '12.0 MB'],
    ['input', '20.0 MB', '20.0 MB'],
    ['exchange', '5.0 MB', '5.0 MB'],
    ['total', '613.4 MB', '613.4 MB'],
    ['free', '84.0 GB', ''],
  ]);
  expect(devices).toEqual(['GPU 0: NVIDIA H100', 'GPU 1: not in this machine']);
});

test('free memory that nobody knows has no row', () => {
  const { rows } = estimateTable([gpu('0', null, null)]);
  expect(rows.map(([kind]) => kind)).not.toContain('free');
});

test('whether the batch fits', () => {
  const places = [gpu('0', null, null)];
  expect(verdict({ places, largest_batch: 2048 }, 128)).toBe('fits; the largest batch that does: 2,048');
  expect(verdict({ places, largest_batch: 96 }, 128)).toBe('does not fit; the largest batch that does: 96');
  expect(verdict({ places, largest_batch: 0 }, 128)).toBe('not even one image fits');
  expect(verdict({ places, largest_batch: null }, 128)).toBe(
    'whether it fits is not known: GPU 0 is not in this machine',
  );
});
