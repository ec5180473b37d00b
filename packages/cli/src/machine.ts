/** The options that say what computes, shared by the verbs that run a net. */
import type { Command, OptionValues } from '@commander-js/extra-typings';
import type { Machine } from '@ilsvrc/engine';
import { devices } from './devices.ts';
import { oneOf, whole } from './parse.ts';
import { shareOfThreads } from './ranks.ts';

/** Adds `--devices` and `--precision`. */
export function withDevices<Args extends unknown[], Options extends OptionValues>(
  command: Command<Args, Options>,
) {
  return command
    .option('--devices <list>', 'auto, cpu, a GPU as 0, or one a tower as 0,1 or cpu,cpu', devices, ['auto'])
    .option(
      '--precision <kind>',
      'bf16, tf32 or f32, on GPUs; a CPU computes in f32',
      oneOf('--precision', ['bf16', 'tf32', 'f32']),
      'bf16',
    );
}

/** Adds `--devices`, `--precision` and `--threads`. */
export function withMachine<Args extends unknown[], Options extends OptionValues>(
  command: Command<Args, Options>,
) {
  return withDevices(command).option(
    '--threads <n>',
    'threads that decode and, on a CPU, compute (default: one a core)',
    whole('--threads', 1, 1024),
  );
}

/** What those options say, as the engine takes it. */
export function machineOf(options: {
  devices: string[];
  precision: Machine['precision'];
  threads?: number | undefined;
}): Machine {
  return {
    places: options.devices,
    precision: options.precision,
    threads: options.threads ?? shareOfThreads(),
  };
}
