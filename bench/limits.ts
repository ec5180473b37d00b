/**
 * How near the engine comes to what this machine allows, by `ilsvrc bench`, and whether that is as near as we want.
 *
 *     npm run build && node bench/limits.ts
 *
 * Writes `results/limits.json`.
 */
import { parseArgs } from 'node:util';
import type { machine } from '@ilsvrc/engine';
import { type Held, type Row, resultsFolder, run, runIlsvrc, spread, table, writeResult } from './tools.ts';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: resultsFolder },
  },
});

/** What `ilsvrc bench --json` writes, as much of it as is used. */
interface Document {
  machine: ReturnType<typeof machine> & { fma_peak: { all_threads: number }[]; others: number };
  benches: {
    name: string;
    unit: string;
    samples: number[];
    limit: { name: string } | null;
    of_limit: number | null;
  }[];
}

/** The bars: a share of the limit, or a most of the figure itself. */
const bars: [RegExp, Held][] = [
  [/^conv\/conv1\//, { share: 0.6 }],
  [/^conv\/.*\/weight-gradient$/, { share: 0.75 }],
  [/^conv\//, { share: 0.8 }],
  [/^gemm\//, { share: 0.7 }],
  [/^startup\/ilsvrc\//, { most: 150 }],
  [/^memory\/alexnet\/batch128$/, { most: 2000 }],
];
/** How many times as fast two threads are to be as one. */
const scaling = 1.85;

function row({ name, unit, samples, limit, of_limit }: Document['benches'][number]): Row {
  const held = bars.find(([cases]) => cases.test(name))?.[1];
  return {
    ...{ work: name, who: 'ilsvrc', unit },
    ...spread(samples),
    ...(limit !== null && of_limit !== null && { of_limit: { name: limit.name, share: of_limit } }),
    ...(held && { held }),
  };
}

/** The row of one thread says what all threads bring. */
function withScaling(rows: Row[], threads: number): Row[] {
  const all = rows.find(({ work }) => work === 'step/alexnet/batch128');
  return rows.map((row) => {
    if (row.work !== 'step/alexnet/batch128-threads1' || all === undefined) return row;
    return { ...row, ratio: all.median / row.median, ...(threads === 2 && { bar: scaling }) };
  });
}

const names = ['gemm', 'conv', 'lrn', 'step', 'forward', 'latency', 'startup', 'memory'];
const { machine: measured, benches }: Document = JSON.parse(runIlsvrc(['bench', ...names, '--json']));
const [before, after] = measured.fma_peak.map(({ all_threads }) => all_threads);
const { cpu, cores, memory_gib, system, node, others } = measured;
const { rows } = writeResult(values.out, 'limits', {
  command: 'node bench/limits.ts',
  machine: { cpu, cores, memory_gib, system, node, others },
  versions: [run('rustc', ['--version']).trim()],
  fma_peak: before === undefined || after === undefined ? [] : [{ before, after }],
  skipped: [],
  rows: withScaling(benches.map(row), cores),
});
process.stdout.write(table(rows));
