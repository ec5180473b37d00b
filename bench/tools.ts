/** What the commands of this folder share: running programs, throw-away environments, medians. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** The top of the repository. */
export const root = join(import.meta.dirname, '..');

/** The program's standard output; its errors go to ours. */
export function run(program: string, args: string[], env: Record<string, string> = {}): string {
  const result = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${result.status ?? result.signal}`);
  return result.stdout;
}

/** Installs what `requirements` (a path below the root) lists where it goes away with `directory`; the Python to use. */
export function installPython(directory: string, requirements: string): string {
  const environment = join(directory, 'python');
  run('python3', ['-m', 'venv', environment]);
  const python = join(environment, 'bin', 'python');
  run(python, ['-m', 'pip', 'install', '--quiet', '-r', join(root, requirements)]);
  return python;
}

/** n, the middle sample (the mean of two), and the spread. */
export function spread(samples: number[]) {
  const sorted = samples.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const median = ((sorted[Math.ceil(half) - 1] ?? Number.NaN) + (sorted[Math.floor(half)] ?? Number.NaN)) / 2;
  return { n: sorted.length, median, low: sorted[0] ?? Number.NaN, high: sorted.at(-1) ?? Number.NaN };
}
