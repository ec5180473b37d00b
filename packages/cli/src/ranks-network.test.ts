/** Ranks on two hosts: two network namespaces, which a link with latency joins. Where these cannot be made, this is said and skipped. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ilsvrc, isBuiltWithMpi, losses, prepareData, start, train, underWay } from './ranks.testing.ts';

const place = join(tmpdir(), `ilsvrc-network-${process.pid}`);
const [first, second] = ['a', 'b'].map((name) => `ilsvrc${process.pid}${name}`) as [string, string];

/** What this test needs and does not find. */
function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun';
  for (const command of ['python3', 'ip', 'unshare', 'hostname']) {
    if (spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0) return `no ${command}`;
  }
  if (spawnSync('ip', ['netns', 'add', first]).status !== 0) return 'no network namespaces';
  spawnSync('ip', ['netns', 'delete', first]);
  return isBuiltWithMpi() ? undefined : 'no MPI here, or a build without it';
}

const reason = missing();
if (reason !== undefined) console.warn(`ranks on two hosts: ${reason}: not tested`);

/** Goes before a command that is to run on a host. */
const on = (host: string) => [
  'ip',
  'netns',
  'exec',
  host,
  'unshare',
  '--uts',
  'sh',
  '-c',
  `hostname ${host}; exec "$@"`,
  host,
];

/** Processes of a host. */
const processesOf = (host: string): number[] =>
  spawnSync('ip', ['netns', 'pids', host], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter(Boolean)
    .map(Number);

/** Joins the hosts by a link that takes so many milliseconds. */
async function link(latency: number): Promise<ChildProcess> {
  const program = join(import.meta.dirname, 'network-link.testing.py');
  const child = spawn('python3', [program, String(latency), first, second], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

/**
 * Two ranks, the second on the other host. Daemons that have nothing to say ask after a second whether the other is there, and give up after
 * three questions 6 s apart: later than the ranks do, so that these are heard.
 */
const twoHosts = [
  ...on(first),
  ...[
    'mpirun',
    '-np',
    '2',
    '--host',
    '10.77.0.1:1,10.77.0.2:1',
    '--mca',
    'plm_rsh_agent',
    join(place, 'rsh'),
  ],
  ...['--mca', 'btl', 'tcp,self', '--mca', 'btl_tcp_if_include', '10.77.0.0/24'],
  ...['--mca', 'oob_tcp_if_include', '10.77.0.0/24', '--mca', 'oob_tcp_keepalive_time', '1'],
  ...['--mca', 'oob_tcp_keepalive_intvl', '6', '--mca', 'oob_tcp_keepalive_probes', '3'],
  ...ilsvrc,
];

const model = (name: string) => readFileSync(join(place, 'runs', name, 'model.safetensors'));

describe.runIf(reason === undefined)('ranks on two hosts', () => {
  let wire: ChildProcess;
  beforeAll(async () => {
    for (const host of [first, second]) spawnSync('ip', ['netns', 'add', host]);
    mkdirSync(place);
    // What `mpirun` starts a daemon with: the address, and a line for a shell there.
    const rsh = `#!/bin/sh\nshift\nexec ip netns exec ${second} unshare --uts sh -c "hostname ${second}; $*"\n`;
    writeFileSync(join(place, 'rsh'), rsh, { mode: 0o755 });
    await prepareData(place);
  });
  afterAll(() => {
    for (const host of [first, second]) spawnSync('ip', ['netns', 'delete', host]);
    rmSync(place, { recursive: true });
  });
  afterEach(async () => {
    for (const process_ of [first, second].flatMap(processesOf)) process.kill(process_, 'SIGKILL');
    wire.kill('SIGKILL');
    await once(wire, 'exit');
  });

  test('latency changes no bit', { timeout: 60_000 }, async () => {
    await start(place, ['mpirun', '-np', '2', ...ilsvrc, ...train('near')]).ended;
    wire = await link(20);
    const { status, messages } = await start(place, [...twoHosts, ...train('far')]).ended;
    expect({ status, messages }).toMatchObject({ status: 0 });
    expect(messages).toContain(`2 ranks on 2 hosts`);
    expect(losses(place, 'far')).toEqual(losses(place, 'near'));
    expect(model('far').equals(model('near'))).toBe(true);
  });

  test('a link that is down ends the run within half a minute, on both hosts', {
    timeout: 90_000,
  }, async () => {
    wire = await link(20);
    const { child, ended } = start(place, [...twoHosts, ...train('cut', '--json', '--epochs', '6')]);
    await underWay(child);
    wire.kill('SIGSTOP');
    const begin = performance.now();
    const { status, messages } = await ended;
    expect(performance.now() - begin).toBeLessThan(30_000);
    expect(status).not.toBe(0);
    expect(messages).toMatch(
      new RegExp(
        `error\\[E0421\\]: (epoch \\d, step \\d+: )?rank 1 on ${second} has not been heard of for 15 s`,
      ),
    );
    await expect.poll(() => [first, second].flatMap(processesOf), { timeout: 10_000 }).toEqual([]);
    const resumed = await start(place, [...ilsvrc, ...train('cut', '--resume', '--epochs', '6')]).ended;
    expect(resumed).toMatchObject({ status: 0 });
    expect(losses(place, 'cut')).toHaveLength(6 * (losses(place, 'far').length / 2));
  });
});
