/** The options that say what computes, shared by the verbs that run a net. */
import type { Command, OptionValues } from '@commander-js/extra-typings';
import { loadConfig } from '@ilsvrc/config';
import type { Machine } from '@ilsvrc/engine';
import { devices } from './devices.ts';
import { oneOf, whole } from './parse.ts';
import { shareOfThreads } from './ranks.ts';

/** Adds `--devices` and `--precision`. */
function withDevices<Args extends unknown[], Options extends OptionValues>(command: Command<Args, Options>) {
  return command
    .option(
      '--devices <list>',
      'auto, cpu, a GPU as 0, one a tower as 0,1 or cpu,cpu, more for several replicas (default: auto)',
      devices,
    )
    .option(
      '--precision <kind>',
      'bf16, tf32 or f32, on GPUs; a CPU computes in f32 (default: bf16)',
      oneOf('--precision', ['bf16', 'tf32', 'f32']),
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

/** What computes, with nothing left to the engine's defaults. */
type Resolved = { [Key in keyof Machine]-?: NonNullable<Machine[Key]> };

/** What those options say, where they say nothing the config file, as the engine takes it. */
export async function machineOf(options: {
  devices?: string[] | undefined;
  precision?: Machine['precision'] | undefined;
  threads?: number | undefined;
}): Promise<Resolved> {
  const config = (await loadConfig('.')) ?? {};
  const places = options.devices ?? devices(config.devices ?? 'auto');
  return {
    places,
    precision: options.precision ?? config.precision ?? 'bf16',
    threads: options.threads ?? config.threads ?? shareOfThreads(),
  };
}
