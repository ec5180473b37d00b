/** Runs the program as ranks under the system's MPI, for tests. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateBuiltin } from '@ilsvrc/engine';

/** The command that runs the program. */
export const ilsvrc = [process.execPath, join(import.meta.dirname, '../bin/ilsvrc.mjs')];

/** Open MPI as root, with more ranks than cores. */
const environment = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_hwloc_base_binding_policy: 'none',
};

/** Whether there is an `mpirun`, and the program was built with MPI. */
export function isBuiltWithMpi(): boolean {
  if (spawnSync('mpirun', ['--version']).status !== 0) return false;
  const args = ['-np', '2', ...ilsvrc, 'train', 'nowhere'];
  const { stderr } = spawnSync('mpirun', args, { env: environment, encoding: 'utf8' });
  return !stderr.includes('E0420');
}

/** How a command ended. */
export interface Ended {
  status: number | null;
  out: string;
  messages: string;
}

/** Starts a command in a folder. */
export function start(folder: string, command: string[], more: Record<string, string> = {}) {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...environment, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    let [out, messages] = ['', ''];
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (messages += data));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, out, messages }));
  });
  return { child, ended };
}

/** `data`, prepared from a generated set with boxes: 100 training images of 72 px and 20 others. */
export async function prepareData(folder: string): Promise<void> {
  await generateBuiltin({ out: join(folder, 'photos'), images: 120, seed: 1, workers: 2 });
  await start(folder, [...ilsvrc, 'prep', 'photos', '-o', 'data', '--size', '72']).ended;
}

/** Arguments that train a small net on it for two epochs. */
export const train = (name: string, ...more: string[]) => [
  ...['train', 'data', '--net', 'alexnet-64', '--batch', '20', '--epochs', '2', '--lr', '.001'],
  ...['--devices', 'cpu', '--run', name, ...more],
];

/** Loss of each step of a run. */
export function losses(folder: string, name: string): number[] {
  return readFileSync(join(folder, 'runs', name, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event === 'step')
    .map(({ loss }) => loss);
}

/** Resolves when a run has made steps of its second epoch, so that a checkpoint of the first is there. */
export function underWay(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout?.on('data', (data) => {
      text += data;
      if (text.includes('"event":"step","epoch":2')) resolve();
    });
  });
}
