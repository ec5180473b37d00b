import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { presets } from '@ilsvrc/config';
import { generateBuiltin } from '@ilsvrc/engine';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { configText } from './config-text.ts';

const root = join(import.meta.dirname, '../../..');
const program = join(root, 'packages/cli/bin/ilsvrc.mjs');
let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'ilsvrc-init-'));
});
afterEach(() => rmSync(place, { recursive: true }));

const ilsvrc = (...args: string[]) =>
  spawnSync(process.execPath, [program, ...args], { cwd: place, encoding: 'utf8' });

test('the file has the types that it claims, also with all that stands in comments', {
  timeout: 300_000,
}, () => {
  const modules = join(place, 'node_modules');
  mkdirSync(modules);
  symlinkSync(join(root, 'packages/cli'), join(modules, 'ilsvrc'));
  for (const net of Object.keys(presets) as (keyof typeof presets)[]) {
    const text = configText({ data: "it's/here", net, devices: '0,1' });
    // Settings in comments are indented code; what explains them is not of this form.
    const whole = text.replaceAll(/^( +)\/\/ (\w+: .*,)$/gm, '$1$2');
    expect(
      whole.match(
        /^ +(batch|epochs|rate|schedule|momentum|decay|mirror|colour_noise|seed|precision|threads): /gm,
      ),
    ).toHaveLength(11);
    writeFileSync(join(place, `${net}.ts`), text);
    writeFileSync(join(place, `${net}-whole.ts`), whole);
  }
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--types',
    '',
    '--skipLibCheck',
  ];
  const check = (files: string[]) =>
    spawnSync(process.execPath, [tsc, ...options, ...files], { cwd: place, encoding: 'utf8' });
  const files = Object.keys(presets).flatMap((net) => [`${net}.ts`, `${net}-whole.ts`]);
  writeFileSync(join(place, 'package.json'), '{"type":"module"}');
  expect(check(files).stdout).toBe('');
  // That nothing is said means something: a wrong member is seen.
  writeFileSync(
    join(place, 'wrong.ts'),
    configText({ data: 'x', net: 'tanh', devices: 'cpu' }).replace('data:', 'date:'),
  );
  expect(check(['wrong.ts']).stdout).toContain("'date'");
});

test('train does what the file says, in a folder that has no package', { timeout: 300_000 }, async () => {
  await generateBuiltin({ out: join(place, 'photos'), images: 60, seed: 0, workers: 2 });
  const written = ilsvrc('init', '--data', 'photos', '--net', 'cifar-80sec', '--devices', 'cpu,cpu');
  expect(written.status, written.stderr).toBe(0);
  const [prep = ''] = /ilsvrc prep (.*)/.exec(written.stderr)?.slice(1) ?? [];
  expect(prep).toBe('photos -o data/photos --size 32');
  expect(ilsvrc('prep', ...prep.split(' ')).status).toBe(0);
  const file = join(place, 'ilsvrc.config.ts');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('// epochs: 10,', 'epochs: 1,').replace('// batch: 128,', 'batch: 20,'));
  const { stdout, stderr, status } = ilsvrc('train', '--json', '--devices', 'cpu');
  expect(status, stderr).toBe(0);
  expect(stderr).toBe('');
  const [start] = stdout.split('\n');
  expect(JSON.parse(start ?? '')).toMatchObject({ event: 'start', net: 'cifar-80sec', epochs: 1, batch: 20 });
  // Without the flag the file's two places are two replicas of a net of one tower.
  const devices = ilsvrc('train', '--run', 'other');
  expect(devices.stderr).toContain('2 replicas: each computes 10 images');
  // Prepared at 32 px: the paper's net is not for it.
  expect(ilsvrc('init', '--data', 'data/photos', '--net', 'alexnet', '--force').stderr).toContain('E0214');
  expect(JSON.parse(ilsvrc('init', '--data', 'data/photos', '--force', '--json').stdout)).toMatchObject({
    ...{ data: 'data/photos', prepared: true, net: 'cifar-80sec', devices: 'auto', prep: null },
  });
});

/** The program at a terminal; each key waits for a text. */
function atTerminal(
  args: string,
  keys: [after: string, key: string][],
): Promise<{ printed: string; status: number | null }> {
  return new Promise((resolve) => {
    const child = spawn(
      'script',
      ['-qec', `stty cols 100 rows 40; '${process.execPath}' '${program}' ${args}`, '/dev/null'],
      {
        cwd: place,
        env: { ...process.env, TERM: 'xterm', COLUMNS: '100', CI: '' },
      },
    );
    let printed = '';
    let seen = 0;
    child.stdout.on('data', (data) => {
      printed += data;
      const [next] = keys;
      if (next === undefined || !printed.slice(seen).includes(next[0])) return;
      seen = printed.length;
      keys.shift();
      child.stdin.write(next[1]);
    });
    child.on('close', (status) => resolve({ printed, status }));
  });
}

const hasScript = spawnSync('sh', ['-c', 'command -v script']).status === 0;

test.skipIf(!hasScript)(`asks at a terminal${hasScript ? '' : ': no program script'}`, async () => {
  mkdirSync(join(place, 'photos'));
  const down = '\u001b[B';
  const { printed, status } = await atTerminal('init', [
    ['Where are your photos?', '\r'],
    ['Which network?', down],
    ['alexnet-64', '\r'],
    ['Where to compute?', down],
    ['CPU', '\r'],
  ]);
  expect(status, printed).toBe(0);
  const text = readFileSync(join(place, 'ilsvrc.config.ts'), 'utf8');
  expect(text).toContain("\n  data: 'data/photos',");
  expect(text).toContain("\n  net: 'alexnet-64',");
  expect(text).toContain("\n  devices: 'cpu',");
});

test.skipIf(!hasScript)('cancelled, it writes nothing', async () => {
  mkdirSync(join(place, 'photos'));
  for (const [key, args] of [
    ['\u0003', 'init'],
    ['\u0003', 'init --data photos'],
    ['\u001b', 'init --data photos --net alexnet'],
  ] as const) {
    const { printed, status } = await atTerminal(args, [['?', key]]);
    expect(printed).toContain('E0902');
    expect(status).toBe(130);
    expect(existsSync(join(place, 'ilsvrc.config.ts'))).toBe(false);
  }
});

test.skipIf(!hasScript)('a run is deleted after a yes at a terminal, and not after a no', async () => {
  const run = join(place, 'runs/old');
  mkdirSync(run, { recursive: true });
  const { net, recipe } = presets['cifar-80sec'];
  const settings = { version: 1, dataset: 'data', dataset_hash: '', net: net(10), recipe, seed: 0 };
  writeFileSync(join(run, 'config.json'), JSON.stringify(settings));
  const no = await atTerminal('runs clean old', [['Delete 1 run', '\r']]);
  expect(no.status, no.printed).toBe(0);
  expect(no.printed).toContain('nothing was deleted');
  expect(existsSync(run)).toBe(true);
  const yes = await atTerminal('runs clean old', [['Delete 1 run', 'y']]);
  expect(yes.printed).toContain('deleted 1 run');
  expect(existsSync(run)).toBe(false);
});
