/** The machine line that every result carries. */
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';

/** What a figure was measured on. */
export const machine = () => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memory_gib: Math.round(totalmem() / 2 ** 30),
  system: `${type()} ${release()}`,
  node: process.version,
});
