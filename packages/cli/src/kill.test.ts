/** Nothing is lost when the program is killed: processes that really die, at instants drawn anew in every run. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateBuiltin } from '@ilsvrc/engine';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const program = join(import.meta.dirname, '../bin/ilsvrc.mjs');
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-kill-'));

beforeAll(() => generateBuiltin({ out: join(place, 'photos'), images: 120, seed: 1, workers: 2 }));
afterAll(() => rmSync(place, { recursive: true }));

/** Runs the program; after `life` milliseconds it is killed. Resolves to whether it had finished. */
function run(
  args: readonly string[],
  life?: number,
  environment: Record<string, string> = {},
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: place,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let messages = '';
    child.stderr.on('data', (data) => (messages += data));
    const timer = life === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), life);
    child.on('error', reject);
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      if (signal === 'SIGKILL') return resolve(false);
      if (status === 0) return resolve(true);
      reject(new Error(`ilsvrc ${args.join(' ')} ended with ${status}:\n${messages}`));
    });
  });
}

/** How long an undisturbed run takes, in milliseconds. */
async function timed(args: readonly string[]): Promise<number> {
  const begin = performance.now();
  expect(await run(args)).toBe(true);
  return performance.now() - begin;
}

/** Every file below a folder with its hash. */
function contents(folder: string): Record<string, string> {
  const files = globSync('**/*', { cwd: folder }).filter((name) => statSync(join(folder, name)).isFile());
  const hash = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex');
  return Object.fromEntries(files.sort().map((name) => [name, hash(name)]));
}

const prep = (out: string, ...more: string[]) => {
  return ['prep', 'photos', '-o', out, '--size', '40', '--shard-images', '8', ...more];
};

describe('prep, killed', () => {
  let duration = 0;
  let whole: Record<string, string> = {};
  beforeAll(async () => {
    duration = await timed(prep('whole', '--workers', '1'));
    whole = contents(join(place, 'whole'));
  });

  test('at twenty instants, with one to three workers, writes the same bytes', async () => {
    for (let kill = 0; kill < 20; kill++) {
      await run(prep('killed', '--workers', String(1 + (kill % 3))), Math.random() * duration);
    }
    await run(prep('killed', '--workers', '3'));
    expect(contents(join(place, 'killed'))).toEqual(whole);
  });

  test('as three parts at once, each killed, and joined, writes the same bytes', async () => {
    const part = async (number: number) => {
      const args = prep('parts', '--part', `${number}/3`, '--workers', '1');
      for (let kill = 0; kill < 4; kill++) await run(args, Math.random() * duration);
      await run(args);
    };
    await Promise.all([part(1), part(2), part(3)]);
    await run(['prep', '--merge', 'parts']);
    expect(contents(join(place, 'parts'))).toEqual(whole);
  });

  test('as eight processes of Slurm, one of them killed and started again', async () => {
    const part = (rank: number, life?: number) =>
      run(prep('eight', '--part', 'auto', '--workers', '1'), life, {
        SLURM_PROCID: String(rank),
        SLURM_NTASKS: '8',
      });
    const killed = part(3, duration / 2);
    await Promise.all([0, 1, 2, 4, 5, 6, 7].map((rank) => part(rank)));
    if (!(await killed)) {
      await expect(run(['prep', '--merge', 'eight'])).rejects.toThrow(/error\[E0217\][\s\S]*part 4\/8/);
      await part(3);
    }
    await run(['prep', '--merge', 'eight']);
    expect(contents(join(place, 'eight'))).toEqual(whole);
  });
});

test('train, killed at ten instants and resumed, ends with the same bits', async () => {
  await run(['prep', 'photos', '-o', 'data', '--size', '72']);
  const settings = ['--net', 'alexnet-64', '--batch', '16', '--epochs', '4', '--checkpoint-steps', '2'];
  const train = (name: string, more: string[] = []) => [
    ...['train', 'data', '--devices', 'cpu', ...settings, '--run', name],
    ...more,
  ];
  const duration = await timed(train('whole'));
  let finished = false;
  for (let kill = 0; kill < 10 && !finished; kill++) {
    // A run that died before its first checkpoint has nothing to resume and starts again.
    const begun = existsSync(join(place, 'runs/killed/checkpoint.safetensors'));
    finished = await run(train('killed', [begun ? '--resume' : '--force']), Math.random() * duration);
  }
  if (!finished) {
    const begun = existsSync(join(place, 'runs/killed/checkpoint.safetensors'));
    await run(train('killed', [begun ? '--resume' : '--force']));
  }
  const model = (name: string) => contents(join(place, 'runs', name))['model.safetensors'];
  expect(model('killed')).toBe(model('whole'));
  // Every step is told once, with the same loss; only the clock differs.
  const steps = (name: string) =>
    readFileSync(join(place, 'runs', name, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ event }) => event === 'step')
      .map(({ epoch, step, loss }) => ({ epoch, step, loss }));
  expect(steps('killed')).toEqual(steps('whole'));
});
