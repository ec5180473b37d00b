/** Runs benchmarks, those of the engine and those of whole processes. */
import { type BenchName, type BenchProgress, bench, benches, machine } from '@ilsvrc/engine';
import type { CountedProgress, Output } from '../output.ts';
import { benchNets } from './nets.ts';
import { memory, type processBenches, startup } from './processes.ts';

/** What was measured, and on what. */
export type Measured = Awaited<ReturnType<typeof measure>>;

interface Options {
  quick?: true | undefined;
  filter?: string | undefined;
  list?: true | undefined;
  from?: string | undefined;
  breakdown?: true | undefined;
}

const processes = { startup, memory } satisfies Record<keyof typeof processBenches, unknown>;
const isNative = (name: string): name is BenchName => Object.hasOwn(benches, name);

/** Measures, in the order of the table of benchmarks. */
export async function measure(
  chosen: readonly (BenchName | keyof typeof processBenches)[],
  { filter, list, from, ...options }: Options,
  signal: AbortSignal,
  output: Output,
) {
  const quick = options.quick ?? false;
  const progress = phases(output);
  const onProgress = (state: BenchProgress) => progress.update(state);
  try {
    const report = await bench(
      {
        ...{ names: chosen.filter(isNative), filter, list, quick, from },
        ...{ nets: benchNets(quick), breakdown: options.breakdown },
      },
      { signal, onProgress },
    );
    const wants = (name: string) => {
      report.cases.push(name);
      return !list && name.includes(filter ?? '');
    };
    for (const name of chosen) {
      if (isNative(name)) continue;
      report.measurements.push(...(await processes[name]({ quick, wants, signal, onProgress })));
    }
    return { ...report, machine: { ...machine(), ...report.machine } };
  } finally {
    progress.stop();
  }
}

/** A progress line for each phase: drawing photos, and then a benchmark after the other. */
function phases(output: Output) {
  let phase: string | undefined;
  let line: CountedProgress | undefined;
  return {
    update({ step, done, total }: BenchProgress): void {
      const [title = '', detail] = step.split(': ');
      if (title !== phase) {
        line?.stop();
        line = output.progress(title);
        phase = title;
      }
      line?.update(done, total, detail);
    },
    stop: () => line?.stop(),
  };
}
