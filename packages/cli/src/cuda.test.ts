/**
 * The real program on two virtual GPUs: `crates/cuda-mock` is a driver that runs our kernels on the CPU and complains on
 * stderr of races and misuse. The kernels that it runs must be built in, so a build without NVRTC skips all of this.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { devices, generateBuiltin } from '@ilsvrc/engine';
import type { EpochEvent, StartEvent, TrainEvent } from '@ilsvrc/trainer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const program = join(root, 'packages/cli/bin/ilsvrc.mjs');
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-cuda-'));
const { cubins, driver } = devices();
const canMock = process.platform === 'linux' && process.arch === 'x64' && cubins.length > 0;

/** Towers that meet twice, with as little to compute as can be. */
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
      { type: 'conv', name: 'conv2', filters: 16, size: 3, stride: 1, pad: 1, reads: 'both', learning },
      { type: 'relu' },
      { type: 'max_pool', size: 3, stride: 2 },
      { type: 'dense', name: 'fc3', units: 12, reads: 'both', joined: true, learning },
    ],
  },
  recipe: { batch: 16, epochs: 2, rate: 0.001 },
};
`;

interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

interface Way {
  /** Settings of the virtual GPUs: `P2P` stands for `MOCK_CUDA_P2P`. */
  mock?: Record<string, string>;
  /** Ctrl-C as soon as stdout holds this. */
  interruptAt?: string;
}

let library: string;

/** Runs the program with virtual GPUs. */
function run(args: readonly string[], { mock = {}, interruptAt }: Way = {}): Promise<Result> {
  const settings = Object.entries(mock).map(([name, value]) => [`MOCK_CUDA_${name}`, value]);
  return start(args, { LD_LIBRARY_PATH: library, ...Object.fromEntries(settings) }, interruptAt);
}

function start(args: readonly string[], env: Record<string, string>, interruptAt?: string): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: place,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data) => {
      const isNew = interruptAt !== undefined && !stdout.includes(interruptAt);
      stdout += data;
      if (isNew && stdout.includes(interruptAt)) child.kill('SIGINT');
    });
    child.stderr.on('data', (data) => (stderr += data));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

/** The same, which must succeed, and without a complaint of the virtual GPUs. */
async function succeed(args: readonly string[], way?: Way): Promise<Result> {
  const result = await run(args, way);
  expect(result.status, result.stderr).toBe(0);
  expect(result.stderr).not.toContain('mock cuda');
  return result;
}

/** The same, which must fail for want of a device. */
async function fail(code: string, args: readonly string[], way?: Way): Promise<Result> {
  const result = await run(args, way);
  expect(result.status, result.stderr).toBe(4);
  expect(result.stderr).toContain(`error[${code}]: `);
  return result;
}

const train = (name: string, places: string, ...more: string[]) => [
  ...['train', '--run', name, '--devices', places, '--precision', 'f32', '--json'],
  ...more,
];
const inRun = (name: string, file: string) => join(place, 'runs', name, file);
const hashOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

const parse = (lines: string): TrainEvent[] =>
  lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const startOf = ({ stdout }: Result) =>
  parse(stdout).find((event): event is StartEvent => event.event === 'start');

/** What a run has learned, epoch by epoch, as its folder says. */
function epochsOf(name: string) {
  const events = parse(readFileSync(inRun(name, 'metrics.jsonl'), 'utf8'));
  return events
    .filter((event): event is EpochEvent => event.event === 'epoch')
    .map(({ epoch, loss, val_loss, top1_error }) => ({ epoch, loss, val_loss, top1_error }));
}

/** The steps that a run tells of, which are those of two epochs, each once. */
function expectEveryStepOnce(name: string): void {
  const events = parse(readFileSync(inRun(name, 'metrics.jsonl'), 'utf8'));
  const steps = events.flatMap((told) => (told.event === 'step' ? [`${told.epoch}.${told.step}`] : []));
  expect(steps).toEqual(['1.1', '1.2', '1.3', '2.1', '2.2', '2.3']);
}

/** The same epochs as those of the undisturbed run on the CPU, up to `digits` decimals. */
function expectAsOnCpu(name: string, digits: number): void {
  const close = (number: number) => expect.closeTo(number, digits);
  expect(epochsOf(name)).toEqual(
    epochsOf('cpu').map(({ epoch, loss, val_loss, top1_error }) => ({
      ...{ epoch, loss: close(loss), val_loss: close(val_loss) },
      // Rounding to bf16 may change the mind about a picture or two of the twelve.
      top1_error: digits > 3 ? top1_error : expect.closeTo(top1_error, 0),
    })),
  );
}

describe.skipIf(!canMock)('on two virtual GPUs', () => {
  beforeAll(async () => {
    const example = ['run', '--quiet', '--package', 'ilsvrc-cuda-mock', '--example', 'folder'];
    library = execFileSync('cargo', example, { cwd: root, encoding: 'utf8' }).trim();
    writeFileSync(join(place, 'ilsvrc.config.ts'), config);
    await generateBuiltin({ out: join(place, 'photos'), images: 60, seed: 1, workers: 2 });
    await succeed(['prep', 'photos', '-o', 'data', '--size', '20']);
    await succeed(train('cpu', 'cpu'));
    await succeed(train('gpus', '0,1'));
    // Long where `cargo test` did not build the driver before.
  }, 600_000);
  afterAll(() => rmSync(place, { recursive: true }));

  test('doctor lists them, whom they reach and where their kernels come from', async () => {
    // Columns are as wide as the longest word in them.
    const stdout = (await succeed(['doctor'])).stdout.replaceAll(/ {2,}/g, ' ');
    expect(stdout).toContain('ok driver supports CUDA 13.0, 2 GPUs\n');
    const gpu = (own: number, other: number) =>
      `ok GPU ${own} Mock GPU ${own}, compute capability 9.0, 1.1 GB of 1.1 GB free, peer access to GPU ${other}, kernels: embedded sm_90a\n`;
    expect(stdout).toContain(`${gpu(0, 1)}${gpu(1, 0)}ok NCCL 2.27.3, for several processes\n`);
    expect(stdout).toMatch(/ok kernels embedded for .*sm_90a.* \(.* MB, compiled by NVRTC [\d.]+\); /);
  });

  test('doctor says why there is no NCCL', async () => {
    const { stdout } = await start(['doctor'], {
      LD_LIBRARY_PATH: library,
      ILSVRC_NCCL: '/nowhere/libnccl.so.2',
    });
    expect(stdout).toMatch(
      /^no +NCCL +\/nowhere\/libnccl.so.2 cannot be loaded \(E0423\)\n.+\n +install NCCL 2.13.4/m,
    );
    const document = await start(['doctor', '--json'], { LD_LIBRARY_PATH: library, ILSVRC_NCCL: 'none' });
    expect(JSON.parse(document.stdout).devices.nccl).toMatchObject({
      version: null,
      problem: { code: 'E0423', message: 'ILSVRC_NCCL=none' },
    });
  });

  test('a tower a GPU, both on one, and the CPU learn the same', async () => {
    expectAsOnCpu('gpus', 5);
    const result = await succeed(train('one', '0'));
    expect(startOf(result)).toMatchObject({
      devices: [{ name: '0', device: 'Mock GPU 0', towers: [0, 1] }],
      exchange: 'same device',
    });
    expectAsOnCpu('one', 5);
  });

  test.each([
    ['1', 'bf16', 'exchange by peer copies', 'peer'],
    ['0', 'tf32', "exchange through the host's memory", 'host'],
  ])('with P2P=%s and %s it says where towers live: %s', async (P2P, precision, words, exchange) => {
    const mock = { P2P };
    const args = ['train', '--run', precision, '--devices', 'auto', '--precision', precision];
    const { stderr } = await succeed(args, { mock });
    const towers = 'tower 0 on GPU 0 (Mock GPU 0), tower 1 on GPU 1 (Mock GPU 1)';
    expect(stderr).toContain(`\n${towers}, ${words}, ${precision}\n`);
    expectAsOnCpu(precision, 1);
    const places = [
      { name: '0', device: 'Mock GPU 0', towers: [0] },
      { name: '1', device: 'Mock GPU 1', towers: [1] },
    ];
    const result = await succeed([...args, '--json', '--force', '--epochs', '1'], { mock });
    expect(startOf(result)).toMatchObject({ devices: places, precision, exchange, notice: null });
  });

  test('a run begun on the CPU and stopped in mid-epoch goes on on GPUs', async () => {
    const args = train('moved', 'cpu', '--checkpoint-steps', '1', '--force');
    let stopped: Result;
    // A CPU is done with this net at once: Ctrl-C may come too late.
    do stopped = await run(args, { interruptAt: '"event":"step"' });
    while (stopped.status === 0 || /after step [03] of 3/.test(stopped.stderr));
    expect(stopped.status, stopped.stderr).toBe(130);
    const result = await succeed(train('moved', '0,1', '--resume'));
    expect(startOf(result)?.resumed?.step).toBeGreaterThan(0);
    expectEveryStepOnce('moved');
    expectAsOnCpu('moved', 5);
  });

  test('a run that lost its GPU goes on on the CPU', async () => {
    const mock = { FAIL: 'cuGraphLaunch:3=46!' };
    const { stderr } = await fail('E0408', train('lost', '0,1', '--checkpoint-steps', '1'), { mock });
    expect(stderr).toContain('epoch 1, step 3: GPU 0 was lost');
    expect(stderr).toMatch(/hint: .*`ilsvrc train --resume`/);
    const result = await succeed(train('lost', 'cpu', '--resume'));
    expect(startOf(result)?.resumed).toEqual({ epoch: 1, step: 2 });
    expectEveryStepOnce('lost');
    expectAsOnCpu('lost', 5);
  });

  test('a run whose kernel failed goes on on GPUs, to the same bits', async () => {
    const mock = { FAIL: 'cuGraphLaunch:5=719!' };
    const { stderr } = await fail('E0409', train('failed', '0,1', '--checkpoint-steps', '1'), { mock });
    expect(stderr).toContain('epoch 2, step 2: GPU 0 failed');
    await succeed(train('failed', '0,1', '--resume'));
    expectEveryStepOnce('failed');
    const model = (name: string) => hashOf(inRun(name, 'model.safetensors'));
    expect(model('failed')).toBe(model('gpus'));
  });

  test('a model of the CPU gives the same answers on a GPU', async () => {
    const model = 'runs/cpu/model.safetensors';
    const on = async (verb: string[], places: string) => {
      const { stdout } = await succeed([...verb, '--json', '--devices', places, '--precision', 'f32']);
      return JSON.parse(stdout);
    };
    const evaluate = ['eval', model, '--batch', '32'];
    const { top1_error, log_loss } = await on(evaluate, 'cpu');
    expect(await on(evaluate, '0')).toMatchObject({ top1_error, log_loss: expect.closeTo(log_loss, 5) });
    const [photo = ''] = globSync('photos/val/*/*.jpg', { cwd: place });
    const classify = ['predict', model, photo];
    const [{ classes }] = await on(classify, 'cpu');
    const same = classes.map((found: { wnid: string; probability: number }) => ({
      ...found,
      probability: expect.closeTo(found.probability, 5),
    }));
    expect(await on(classify, '0,1')).toMatchObject([{ classes: same }]);
  });

  test('out of memory it names the largest batch, which then works', async () => {
    const mock = { MEM_MB: '1', PRINT: '0' };
    const begin = (batch: number) =>
      train('large', '0,1', '--batch', String(batch), '--epochs', '1', '--force');
    const { stderr } = await fail('E0402', begin(512), { mock });
    const batch = Number(/hint: .*`--batch (\d+)`/.exec(stderr)?.[1]);
    expect(batch).toBeGreaterThan(1);
    const memory = ['estimate', 'runs/cpu/model.safetensors', '--devices', '0,1', '--precision', 'f32'];
    const { stdout } = await succeed([...memory, '--json'], { mock });
    expect(JSON.parse(stdout)).toMatchObject({
      places: [{ device: 'Mock GPU 0', free_bytes: 2 ** 20 }, { device: 'Mock GPU 1' }],
      largest_batch: batch,
    });
    await fail('E0402', begin(batch + 1), { mock });
    expect(existsSync(inRun('large', '.'))).toBe(false);
    await succeed(begin(batch), { mock });
  });

  test.each([
    ['E0401', '0', { DEVICES: '0' }, 'the GPU driver sees no GPU'],
    ['E0401', '0,7', {}, 'there is no GPU 7'],
    ['E0406', '0', { VERSION: '11040' }, 'the GPU driver is too old: it supports CUDA 11.4'],
    ['E0407', '1', { CC: '7.5' }, 'GPU 1 has compute capability 7.5'],
  ])('%s for --devices %s with %o: %s', async (code, places, mock, message) => {
    const { stderr } = await fail(code, train('never', places), { mock });
    expect(stderr).toContain(`error[${code}]: ${message}`);
    expect(existsSync(inRun('never', '.'))).toBe(false);
  });

  test('`auto` computes on the CPU where the GPUs are too old, and says so', async () => {
    const args = ['train', '--run', 'old', '--devices', 'auto', '--epochs', '1'];
    const { stderr } = await succeed(args, { mock: { CC: '7.5' } });
    expect(stderr).toMatch(/^cpu: /m);
    expect(stderr).toMatch(/^no GPU is used: GPU 0 has compute capability 7\.5.*`ilsvrc doctor`/m);
  });

  test.skipIf(driver.problem?.code !== 'E0405')('E0405 where there is no driver at all', async () => {
    const { status, stderr } = await start(train('never', '0'), {});
    expect(status).toBe(4);
    expect(stderr).toMatch(/^error\[E0405\]: there is no NVIDIA driver/);
  });
});
