/** The memory of a session as people read it: a column a place, a row a kind. */
import type { Estimate, PlaceEstimate } from '@ilsvrc/engine';
import { formatBytes, formatCount } from '@ilsvrc/terminal';
import { placeName } from './layout.ts';

/** Kinds of memory in the order of the table. */
const kinds = [
  ['parameters', 'parameters_bytes'],
  ['activations', 'activations_bytes'],
  ['workspace', 'workspace_bytes'],
  ['input', 'input_bytes'],
  ['exchange', 'exchange_bytes'],
  ['total', 'total_bytes'],
  ['free', 'free_bytes'],
] as const;

/** A table, and a line for each device. */
export function estimateTable(places: PlaceEstimate[]): {
  titles: string[];
  rows: string[][];
  devices: string[];
} {
  const cell = (bytes: number | null) => (bytes === null ? '' : formatBytes(bytes));
  const rows = kinds.map(([kind, key]) => [kind, ...places.map((place) => cell(place[key]))]);
  return {
    titles: ['', ...places.map(({ name }) => placeName(name))],
    // Where no device is here, nothing is known to be free.
    rows: rows.filter(([, ...cells]) => cells.some((text) => text !== '')),
    devices: places.map(({ name, device }) => `${placeName(name)}: ${device ?? 'not in this machine'}`),
  };
}

/** Whether the batch fits, and which would. */
export function verdict({ places, largest_batch: largest }: Estimate, batch: number): string {
  if (largest === null) {
    const [first] = places.filter(({ free_bytes }) => free_bytes === null);
    const why = first === undefined ? '' : `: ${placeName(first.name)} is not in this machine`;
    return `whether it fits is not known${why}`;
  }
  if (largest === 0) return 'not even one image fits';
  return `${batch <= largest ? 'fits' : 'does not fit'}; the largest batch that does: ${formatCount(largest)}`;
}
