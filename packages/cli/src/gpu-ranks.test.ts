/**
 * Several processes train one net on virtual GPUs (`crates/cuda-mock`, which is NCCL too): under MPI, where the build has it, and as
 * torchrun starts them, by its variables; or one process trains several replicas of it. What they learn is compared with one replica on
 * the CPU.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { codes } from '@ilsvrc/diagnostics';
import { devices, generateBuiltin } from '@ilsvrc/engine';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveStore } from './torchrun-store.testing.ts';

const root = join(import.meta.dirname, '../../..');
const program = join(root, 'packages/cli/bin/ilsvrc.mjs');
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-gpu-ranks-'));
const canMock = process.platform === 'linux' && process.arch === 'x64' && devices().cubins.length > 0;

/** Towers that meet, with as little to compute as can be. */
const config = `
const learning = { weight_std: 0.02, bias: 0.1 };
export default {
  data: 'data',
  net: {
    name: 'tiny', image: 20, crop: 16, towers: 2,
    layers: [
      { type: 'conv', name: 'conv1', filters: 8, size: 3, stride: 1, pad: 1, learning },
      { type: 'relu' },
      { type: 'max_pool', size: 3, stride: 2 },
      { type: 'dense', name: 'fc2', units: 12, reads: 'both', joined: true, learning },
    ],
  },
  recipe: { batch: 16, epochs: 2, rate: 0.001 },
};
`;

const environment: Record<string, string | undefined> = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_hwloc_base_binding_policy: 'none',
};

const builtWithMpi = (() => {
  if (!canMock || spawnSync('mpirun', ['--version']).status !== 0) return false;
  const { stderr } = spawnSync('mpirun', ['-np', '2', process.execPath, program, 'train', 'nowhere'], {
    env: environment,
    encoding: 'utf8',
  });
  return !stderr.includes('E0420');
})();
if (!builtWithMpi) console.warn('ranks on GPUs: no MPI here, or a build without it: not tested under it');

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

function start(command: string[], more: Record<string, string> = {}) {
  const [first = '', ...rest] = command;
  const child = spawn(first, rest, {
    cwd: place,
    env: { ...environment, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data) => (stdout += data));
    child.stderr.on('data', (data) => (stderr += data));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
  return { child, ended };
}

const ilsvrc = (...args: string[]) => [process.execPath, program, ...args];

const oldNode =
  "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.0.0' } })";

/** As an old Node runs the program: it starts the Node that came along. */
const byOldNode = ([node = '', ...args]: string[]) => [
  ...[node, '--import', `data:text/javascript,${encodeURIComponent(oldNode)}`, ...args],
];

/** A process and those that it has started. */
const family = (pid = 0): number[] => [
  pid,
  ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
];

const train = (name: string, places: string, ...more: string[]) =>
  ilsvrc('train', '--run', name, '--devices', places, '--precision', 'f32', ...more);

/** Two ranks under MPI. */
const byMpi = (command: string[], more?: Record<string, string>) =>
  start(['mpirun', '-np', '2', ...command], more);

let port = 20_000 + (process.pid % 20_000);

/** Two ranks as torchrun starts them. */
function byTorchrun(command: string[], more: Record<string, string> = {}) {
  port += 2;
  return [0, 1].map((rank) =>
    start(command, {
      ...{ RANK: `${rank}`, WORLD_SIZE: '2', LOCAL_RANK: `${rank}`, LOCAL_WORLD_SIZE: '2' },
      ...{ MASTER_ADDR: '127.0.0.1', MASTER_PORT: `${port}`, ...more },
    }),
  );
}

/** What torchrun says to its ranks of the store that it keeps for them. */
const agent = (port: number) => ({
  TORCHELASTIC_USE_AGENT_STORE: 'True',
  TORCHELASTIC_RUN_ID: 'none',
  MASTER_PORT: `${port}`,
});

const all = (ranks: { ended: Promise<Ended> }[]) => Promise.all(ranks.map(({ ended }) => ended));

/** What must succeed without a complaint of the virtual GPUs: the messages of the first. */
function succeeded(ends: Ended[]): string {
  for (const { status, stderr } of ends) {
    expect(status, stderr).toBe(0);
    expect(stderr).not.toContain('mock cuda');
  }
  return ends[0]?.stderr ?? '';
}

/** Loss of each step. */
const losses = (name: string): number[] =>
  readFileSync(join(place, 'runs', name, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event === 'step')
    .map(({ loss }) => loss);

const model = (name: string) => readFileSync(join(place, 'runs', name, 'model.safetensors'));

/** Sums are made in another order than by one process on the CPU. */
function expectAsAlone(name: string): void {
  const alone = losses('alone');
  expect(losses(name)).toEqual(alone.map((loss) => expect.closeTo(loss, 5)));
}

/** Resolves when a run has made steps of its second epoch, or has told of something else. */
function underWay(child: ChildProcess, event = '"event":"step","epoch":2'): Promise<void> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout?.on('data', (data) => {
      text += data;
      if (text.includes(event)) resolve();
    });
  });
}

const byNccl = 'gradients are summed on the GPUs by NCCL 2.27.3';

describe.skipIf(!canMock)('ranks on virtual GPUs', () => {
  beforeAll(async () => {
    const example = ['run', '--quiet', '--package', 'ilsvrc-cuda-mock', '--example', 'folder'];
    environment.LD_LIBRARY_PATH = execFileSync('cargo', example, { cwd: root, encoding: 'utf8' }).trim();
    writeFileSync(join(place, 'ilsvrc.config.ts'), config);
    await generateBuiltin({ out: join(place, 'photos'), images: 60, seed: 1, workers: 2 });
    succeeded(await all([start(ilsvrc('prep', 'photos', '-o', 'data', '--size', '20'))]));
    succeeded(await all([start(train('alone', 'cpu'))]));
    succeeded(await all(byTorchrun(train('nccl', '0,1'))));
    // Long where `cargo test` did not build the driver before.
  }, 600_000);
  afterAll(() => rmSync(place, { recursive: true }));

  test('under torchrun they meet by NCCL and learn what one process learns', async () => {
    expectAsAlone('nccl');
    const ends = await all(byTorchrun(train('again', '0,1')));
    const told = succeeded(ends);
    expect(told).toContain("2 ranks on one host: each computes 8 images of a step's 16");
    expect(told).toContain(`rank 0 on GPU 0, rank 1 on GPU 1; ${byNccl}`);
    expect(ends[1]).toMatchObject({ stdout: '', stderr: '' });
    expect(model('again').equals(model('nccl'))).toBe(true);
  });

  test('a pair a rank: each tower sums with that tower of the other pair', async () => {
    const told = succeeded(await all(byTorchrun(train('pairs', 'auto'), { MOCK_CUDA_DEVICES: '4' })));
    expect(told).toContain(`rank 0 on GPU 0 and 1, rank 1 on GPU 2 and 3; ${byNccl}`);
    expectAsAlone('pairs');
  });

  test('evaluation is shared out and says the same', async () => {
    const args = ['eval', 'runs/alone/model.safetensors', '--json', '--precision', 'f32', '--devices'];
    const [one] = await all([start(ilsvrc(...args, 'cpu'))]);
    const [first, second] = await all(byTorchrun(ilsvrc(...args, '0,1')));
    expect(first?.status, first?.stderr).toBe(0);
    expect(second?.stdout).toBe('');
    const [alone, shared] = [one, first].map((ended) => JSON.parse(ended?.stdout ?? ''));
    expect(shared).toMatchObject({
      images: alone.images,
      top1_error: alone.top1_error,
      log_loss: expect.closeTo(alone.log_loss, 5),
    });
  });

  test.each([
    ['E0423', '0,1', { ILSVRC_NCCL: '/nowhere/libnccl.so.2' }, '/nowhere/libnccl.so.2 cannot be loaded'],
    ['E0423', '0,1', { ILSVRC_NCCL: 'none' }, 'ILSVRC_NCCL=none'],
    ['E0423', '0,1', { MOCK_CUDA_NCCL: '21200' }, 'NCCL 2.12.0 is too old'],
    ['E0424', '0,1', { MOCK_CUDA_FAIL: 'ncclCommInitRank:1=2' }, 'NCCL failed: cannot bring GPU 0 together'],
    ['E0425', '0,0', {}, 'several ranks compute on one GPU'],
    ['E0420', 'cpu', {}, 'torchrun started rank 0 of 2, which computes on the CPU'],
    ['E0420', '0,1', { MASTER_PORT: '' }, 'torchrun started rank 0 of 2, but MASTER_ADDR and MASTER_PORT'],
    ['E0401', '0,1,2', {}, '3 devices for 2 ranks on this host'],
  ] as const)('%s under torchrun, for --devices %s with %o', async (code, places, more, message) => {
    const [zero, one] = byTorchrun(train('never', places), more);
    const first = await zero?.ended;
    // What is the same for all rank 0 tells, and torchrun ends the others.
    one?.child.kill();
    expect(first?.status, first?.stderr).toBe(codes[code].exit);
    expect(first?.stderr).toContain(`error[${code}]: ${message}`);
    expect(first?.stderr).toMatch(/^ {2}hint: /m);
  });

  test('E0420 under a torchrun whose store cannot be reached', async () => {
    const [first, second] = byTorchrun(train('never', '0,1'), { TORCHELASTIC_USE_AGENT_STORE: 'True' });
    for (const [rank, name] of [`the store`, `rank 1 on ${hostname()}: the store`].entries()) {
      const ended = await [first, second][rank]?.ended;
      expect(ended?.status, ended?.stderr).toBe(codes.E0420.exit);
      expect(ended?.stderr).toContain(
        `error[E0420]: ${name} of torchrun at 127.0.0.1:${port} cannot be used`,
      );
    }
  });

  test.each([
    // An old Node is told to end, as torchrun tells all: by then its rank may have found that it was given up.
    ['under an old Node', byOldNode, 2, [codes.E0421.exit, codes.E0902.exit]],
    ['under this one', (command: string[]) => command, 1, [codes.E0421.exit]],
  ])(
    'a rank that is frozen %s ends the run within half a minute, and its name is told',
    { timeout: 90_000 },
    async (_, as, processes, statuses) => {
      const store = await serveStore();
      const command = as(train('still', '0,1', '--json', '--epochs', '400', '--force'));
      const [first, second] = byTorchrun(command, agent(store.port));
      if (first === undefined || second === undefined) throw new Error('two were started');
      await underWay(first.child);
      const frozen = family(second.child.pid);
      expect(frozen).toHaveLength(processes);
      for (const pid of frozen) process.kill(pid, 'SIGSTOP');
      const begin = performance.now();
      const { status, stderr } = await first.ended;
      expect(performance.now() - begin).toBeLessThan(30_000);
      expect(status, stderr).toBe(codes.E0421.exit);
      expect(stderr).toMatch(/^error\[E0421\]: (epoch \d+, step \d+: )?rank 1 on /m);
      expect(stderr).toContain(`rank 1 on ${hostname()} has not been heard of for 15 s`);
      // The first has let it go on, and it finds that it was given up.
      if (processes > 1) second.child.kill('SIGTERM');
      const given = await second.ended;
      expect(statuses, given.stderr).toContain(given.status);
      store.close();
      const alone = start(train('still', '0', '--json', '--epochs', '400', '--resume'));
      await underWay(alone.child, '"event":"step"');
      alone.child.kill('SIGINT');
      const { stdout, stderr: messages } = await alone.ended;
      expect(messages).toContain('error[E0902]');
      expect(JSON.parse(stdout.split('\n')[0] ?? '').resumed.epoch).toBeGreaterThan(1);
    },
  );

  test('where torchrun itself has ended all ranks end', async () => {
    const store = await serveStore();
    const ranks = byTorchrun(train('orphans', '0,1', '--json', '--epochs', '400'), agent(store.port));
    await underWay(ranks[0]?.child as ChildProcess);
    store.close();
    const ends = await all(ranks);
    for (const { status, stderr } of ends) expect(status, stderr).toBe(codes.E0421.exit);
    // The second may hear by NCCL that the first has ended.
    const messages = ends.map(({ stderr }) => stderr).join('\n');
    expect(messages).toMatch(/the store of torchrun at 127\.0\.0\.1:\d+ (is gone|has closed the connection)/);
  });

  test('a rank that has ended ends the others, which say so', async () => {
    const [first, second] = byTorchrun(train('killed', '0,1', '--json', '--epochs', '400'));
    if (first === undefined || second === undefined) throw new Error('two were started');
    await underWay(first.child);
    second.child.kill('SIGKILL');
    const { status, stderr } = await first.ended;
    expect(status, stderr).toBe(codes.E0421.exit);
    expect(stderr).toMatch(
      /error\[E0421\]: epoch \d+, step \d+: NCCL lost another rank|error\[E0421\]: NCCL lost/,
    );
    expect(stderr).toContain('rank 1 has ended');
  });

  describe('replicas of one process', () => {
    const four = { MOCK_CUDA_DEVICES: '4' };

    test('learn the bits of ranks, by NCCL and through the host', async () => {
      const told = succeeded(await all([start(train('two', '0,0,1,1'))]));
      expect(told).toContain("2 replicas: each computes 8 images of a step's 16");
      expect(told).toContain(`\n${byNccl}\n`);
      const host = succeeded(await all([start(train('two-host', '0,0,1,1'), { ILSVRC_NCCL: 'none' })]));
      expect(host).toContain("gradients go through the host's memory (no NCCL: ILSVRC_NCCL=none)");
      const shared = succeeded(await all([start(train('two-shared', '0,0,0,0'))]));
      expect(shared).toContain("gradients go through the host's memory (no NCCL: two share GPU 0)");
      // Two addends have one order, whatever sums them.
      for (const name of ['two', 'two-host', 'two-shared']) {
        expect(model(name).equals(model('nccl')), name).toBe(true);
      }
    });

    test('are pairs of GPUs, and say where they are', async () => {
      const ends = await all([start(train('two-pairs', '3,2,1,0', '--json'), four)]);
      succeeded(ends);
      const [begin, ...events] = (ends[0]?.stdout ?? '').split('\n').map((line) => JSON.parse(line || '{}'));
      const at = (name: string, replica: number, tower: number) => ({ name, replica, towers: [tower] });
      expect(begin).toMatchObject({
        devices: [at('3', 0, 0), at('2', 0, 1), at('1', 1, 0), at('0', 1, 1)],
        exchange: 'peer',
        ranks: null,
        among: {
          gpus: [
            [3, 2],
            [1, 0],
          ],
          nccl: '2.27.3',
        },
      });
      const epoch = events.find(({ event }) => event === 'epoch');
      expect(epoch.traffic.bytes).toBeGreaterThan(0);
      expectAsAlone('two-pairs');
    });

    test('end together when one loses its GPU, which is told, and go on elsewhere', async () => {
      const fault = { ...four, MOCK_CUDA_FAIL: 'cuLaunchKernel:300=46!' };
      const lost = train('lost', '0,1,2,3', '--checkpoint-steps', '1');
      const [ended] = await all([start(lost, fault)]);
      expect(ended?.status, ended?.stderr).toBe(codes.E0408.exit);
      // Two threads start kernels, so it may be either.
      const told = /epoch \d, step \d: replica (\d) on GPU (\d) and (\d): GPU (\d) was lost/.exec(
        ended?.stderr ?? '',
      );
      const [replica, first, second, gpu] = told?.slice(1).map(Number) ?? [];
      expect([first, second], ended?.stderr).toEqual([2 * (replica ?? NaN), 2 * (replica ?? NaN) + 1]);
      expect([first, second]).toContain(gpu);
      succeeded(await all([start(train('lost', 'cpu', '--resume'))]));
      expectAsAlone('lost');
    });

    test.each([
      ['E0402', 'cuMemAlloc:30=2', /replica \d on GPU \d and \d: GPU \d is out of memory/],
      ['E0424', 'ncclCommInitRank:2=2', /replica \d on GPU \d and \d: NCCL failed/],
    ] as const)('%s where one cannot begin (%s)', async (code, fail, message) => {
      const [ended] = await all([start(train('never', '0,1,2,3'), { ...four, MOCK_CUDA_FAIL: fail })]);
      expect(ended?.status, ended?.stderr).toBe(codes[code].exit);
      expect(ended?.stderr).toMatch(message);
    });

    test('evaluate as one does', async () => {
      const evaluate = ilsvrc(
        ...['eval', 'runs/alone/model.safetensors', '--json', '--precision', 'f32', '--batch', '2'],
      );
      const ends = await all([
        start([...evaluate, '--devices', '0,1']),
        start([...evaluate, '--devices', '0,1,2,3'], four),
      ]);
      succeeded(ends);
      const [one, two] = ends.map(({ stdout }) => JSON.parse(stdout));
      expect(two).toMatchObject({ images: one.images, log_loss: one.log_loss });
    });
  });

  describe.runIf(builtWithMpi)('under MPI', () => {
    test('they learn the same through the host and by NCCL', async () => {
      const host = await all([byMpi(train('host', '0,1'), { ILSVRC_NCCL: 'none' })]);
      expect(succeeded(host)).toContain(
        "rank 0 on GPU 0, rank 1 on GPU 1; gradients go through the host's memory (no NCCL: ILSVRC_NCCL=none)",
      );
      expectAsAlone('host');
      const nccl = await all([byMpi(train('mpi', '0,1'))]);
      expect(succeeded(nccl)).toContain(`rank 0 on GPU 0, rank 1 on GPU 1; ${byNccl}`);
      // Two addends have one order, whatever sums them.
      for (const name of ['mpi', 'host']) expect(model(name).equals(model('nccl')), name).toBe(true);
    });

    test('two ranks share a GPU only where that is said', async () => {
      const [refused] = await all([byMpi(train('never', '0'))]);
      expect(refused?.status).toBe(codes.E0425.exit);
      expect(refused?.stderr.match(/error\[E0425\]: ranks 0 and 1 both compute on GPU 0/g)).toHaveLength(1);
      expect(refused?.stderr).toContain('`--devices 0,0`');
      const told = succeeded(await all([byMpi(train('shared', '1,1'))]));
      expect(told).toContain(
        "rank 0 on GPU 1, rank 1 on GPU 1; gradients go through the host's memory (no NCCL: two share GPU 1)",
      );
      expectAsAlone('shared');
    });

    test('without NCCL it says why, and goes on through the host', async () => {
      const told = succeeded(await all([byMpi(train('old', '0,1'), { MOCK_CUDA_NCCL: '21200' })]));
      expect(told).toContain("gradients go through the host's memory (no NCCL: NCCL 2.12.0 is too old: ");
    });

    test('a rank that is frozen ends the run within half a minute', { timeout: 60_000 }, async () => {
      const { child, ended } = byMpi(train('frozen', '0,1', '--json', '--epochs', '400'));
      await underWay(child);
      const ranks = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
      process.kill(Number(ranks.trim().split(' ')[1]), 'SIGSTOP');
      const begin = performance.now();
      const { status, stderr } = await ended;
      expect(performance.now() - begin).toBeLessThan(30_000);
      expect(status, stderr).toBe(codes.E0421.exit);
      expect(stderr).toMatch(/error\[E0421\]: .*rank 1 on .* has not been heard of for 15 s/);
    });
  });
});
