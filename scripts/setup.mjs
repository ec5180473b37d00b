// One command from a fresh clone: `node scripts/setup.mjs demo|test|check|build|docs [arguments]`.
// Plain JavaScript for Node 20: it runs before anything is installed, and goes on under the repository's own Node 24.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');
const env = {
  ...process.env,
  // Where rustup puts cargo comes last: a shell opened before its installation does not have it.
  PATH: [bin, process.env.PATH, join(homedir(), '.cargo', 'bin')].join(delimiter),
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
};

/** What runs when all is built; nothing for `build`. */
const targets = {
  build: undefined,
  demo: ['packages/cli/bin/ilsvrc.mjs', 'demo'],
  test: ['scripts/test.mjs'],
  check: ['scripts/check.mjs'],
  docs: ['scripts/docs.mjs'],
};

const say = (text) => console.error(`setup: ${text}`);

function fail(text) {
  say(text);
  process.exit(1);
}

/** Runs a command with our PATH; its failure ends the setup with the same status. */
function run(command, args, extra = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', env, ...extra });
  if (result.error) fail(`${command}: ${result.error.message}`);
  if (result.signal) process.kill(process.pid, result.signal);
  if (result.status !== 0) {
    say(`${command} ${args.join(' ')} ended with status ${result.status}`);
    process.exit(result.status);
  }
}

/** The version a program prints, or undefined where it does not run. */
function version(command, args = ['--version']) {
  const result = spawnSync(command, args, { encoding: 'utf8', env });
  return result.status === 0 ? (result.stdout.match(/\d+\.\d+(\.\d+)?/)?.[0] ?? '0') : undefined;
}

function atLeast(have, want) {
  const [a, b] = [have, want].map((text) => text.split('.').map(Number));
  for (let i = 0; i < 3; i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0);
  return true;
}

/** What cannot come from npm or cargo: a C compiler, cmake and nasm (libjpeg-turbo), and cargo itself. */
function needTools() {
  const tools = [
    { command: 'cc', apt: 'build-essential' },
    { command: 'c++', apt: 'build-essential' },
    { command: 'cmake', apt: 'cmake', min: '3.15' },
    { command: 'nasm', args: ['-v'], apt: 'nasm', skip: process.arch !== 'x64' },
  ];
  const missing = tools.filter((tool) => {
    if (tool.skip) return false;
    const have = version(tool.command, tool.args);
    return !have || (tool.min && !atLeast(have, tool.min));
  });
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((tool) => tool.apt))];
    const names = missing.map((tool) => tool.command).join(', ');
    const isRoot = process.getuid?.() === 0;
    if (!existsSync('/etc/debian_version') || !isRoot) {
      const command = `apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')}`;
      fail(
        `missing: ${names}\n  Debian, Ubuntu: ${isRoot ? '' : 'sudo '}sh -c '${command}'\n  macOS: xcode-select --install; brew install cmake nasm`,
      );
    }
    say(`installing ${packages.join(' ')}`);
    run('apt-get', ['-qq', 'update']);
    run('apt-get', ['-qq', 'install', '-y', '--no-install-recommends', ...packages], {
      env: { ...env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }
  const want = readFileSync(join(root, 'Cargo.toml'), 'utf8').match(/rust-version = "([\d.]+)"/)[1];
  const cargo = version('cargo');
  if (!cargo || !atLeast(cargo, want)) {
    fail(
      `cargo ${cargo ?? 'is missing'}: Rust ${want} or newer is needed (Debian's own is too old); https://rustup.rs installs it`,
    );
  }
}

/** What `npm ci` reads of a manifest: other edits need no new installation. */
const installedFields = [
  ...['name', 'version', 'workspaces', 'bin'],
  ...['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'],
];

/** node_modules, when it is missing or the lock has moved on. The stamp is written only after success. */
function installPackages() {
  const manifests = [
    'package.json',
    ...readdirSync(join(root, 'packages')).map((name) => join('packages', name, 'package.json')),
  ];
  const pick = (name) => {
    const manifest = JSON.parse(readFileSync(join(root, name), 'utf8'));
    return installedFields.map((field) => manifest[field]);
  };
  const want = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(JSON.stringify(manifests.map(pick)))
    .digest('hex');
  const stamp = join(root, 'node_modules', '.setup-stamp');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want) return;
  say('npm ci');
  const flags = ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--include=dev', '--include=optional'];
  const npm = process.env.npm_execpath;
  if (npm?.endsWith('.js')) run(process.execPath, [npm, ...flags]);
  else run('npm', flags);
  writeFileSync(stamp, want);
}

/** Features of the engine that can be built here: ranks on several hosts need the system's MPI, and libclang for its headers. */
function features() {
  const folders = [
    process.env.LIBCLANG_PATH,
    ...['/usr/lib', '/usr/lib64', '/usr/local/lib'].flatMap((folder) =>
      existsSync(folder) ? [folder, ...readdirSync(folder).map((name) => join(folder, name))] : [],
    ),
  ].flatMap((folder) => (folder ? [folder, join(folder, 'lib')] : []));
  const isLibclang = (name) => /^libclang(-\d+)?\.(so|dylib)/.test(name);
  const hasLibclang = folders.some((folder) => {
    try {
      return readdirSync(folder).some(isLibclang);
    } catch {
      return false;
    }
  });
  return version('mpicc') && hasLibclang ? 'mpi' : '';
}

/** Runs what was asked for and ends with its status. Ctrl-C reaches it by itself: it saves and stops, so we wait. */
function finish(args) {
  const child = spawn('node', args, { cwd: root, stdio: 'inherit', env });
  process.on('SIGINT', () => {});
  for (const name of ['SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name));
  child.on('error', ({ message }) => fail(`node: ${message}`));
  child.on('exit', (status, signal) => {
    if (!signal) process.exit(status);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

const [target, ...rest] = process.argv.slice(2);
if (!(target in targets)) fail(`usage: node scripts/setup.mjs ${Object.keys(targets).join('|')}`);
if (Number(process.versions.node.split('.')[0]) < 20) {
  fail(`Node ${process.version} is too old to start the setup; Node 20 or newer is needed`);
}
needTools();
installPackages();
if (!atLeast(version('node') ?? '0', '24')) {
  fail(
    'Node 24 is needed. On Linux it comes as an npm package (was --omit=optional used?); elsewhere install it',
  );
}
// What is published asks for none.
env.ILSVRC_FEATURES ??= features();
say(`building${env.ILSVRC_FEATURES && ' with MPI'} (the first time takes minutes)`);
run(join(bin, 'turbo'), ['run', 'build', 'build:native', '--output-logs=errors-only']);
const script = targets[target];
if (script) finish([...script, ...rest]);
