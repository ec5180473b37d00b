// Rehearses publishing: `node scripts/rehearse.mjs [TARBALLS]`. Packs everything (or takes what was packed), serves it from a registry
// on this machine, installs `ilsvrc` from there into an empty folder with Node and npm alone on the PATH, under Node 22 and 24,
// and runs the demo. Checks sizes, install scripts, and what is said where the native package is missing or does not fit.
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serve } from './registry.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const MB = 1e6;
const limits = { addon: 15 * MB, install: 60 * MB };
const nodes = ['22', '24'];
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-rehearsal-'));
// Where npm's own scripts lie: `npm` on the PATH leads to one of them.
const npmScripts = dirname(
  realpathSync(spawnSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).stdout.trim()),
);

/** Every check is told; the first that fails ends the rehearsal. */
function check(what, holds, seen = '') {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}${seen === '' ? '' : `: ${seen}`}`);
  if (!holds) throw new Error(`${what}: ${seen}`);
}

/** Bytes of all files in a folder. */
function bytesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + lstatSync(join(entry.parentPath, entry.name)).size, 0);
}

const inMB = (bytes) => `${(bytes / MB).toFixed(1)} MB`;

/** Runs a command where nothing but `bin` is on the PATH; not spawnSync, for the registry lives in this process. */
function run(bin, folder, command, extra = {}) {
  const [program, ...args] = command;
  const env = {
    PATH: bin,
    HOME: place,
    NO_COLOR: '1',
    ...pick(/^(https?_proxy|no_proxy|node_extra_ca_certs|ssl_cert)/i),
    ...extra,
  };
  return new Promise((done, fail) => {
    const child = spawn(join(bin, program), args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data));
    child.on('error', fail);
    child.on('close', (status) => done({ status, text }));
  });
}

const pick = (names) => Object.fromEntries(Object.entries(process.env).filter(([name]) => names.test(name)));

/** A folder with this Node, npm and npx, and the shell that npm starts programs with. */
function toolsOf(version) {
  const home = join(place, `node${version}`);
  mkdirSync(home);
  writeFileSync(join(home, 'package.json'), '{}');
  const name = `node-${process.platform}-${process.arch}`;
  const { status, stderr } = spawnSync('npm', ['install', '--no-audit', '--no-fund', `${name}@${version}`], {
    cwd: home,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  const bin = join(home, 'bin');
  mkdirSync(bin);
  const node = join(home, 'node_modules', name, 'bin', 'node');
  symlinkSync(node, join(bin, 'node'));
  for (const tool of ['npm', 'npx']) {
    const script = join(npmScripts, `${tool}-cli.js`);
    writeFileSync(join(bin, tool), `#!${node}\nimport(${JSON.stringify(script)});\n`, { mode: 0o755 });
  }
  symlinkSync('/bin/sh', join(bin, 'sh'));
  // `#!/usr/bin/env node` needs no PATH for env itself.
  return bin;
}

async function rehearse(version, registry) {
  const bin = toolsOf(version);
  const folder = join(place, `app${version}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{}');
  const node = await run(bin, folder, ['node', '--version']);
  console.log(`\nNode ${node.text.trim()}`);
  for (const tool of ['cargo', 'cc', 'gcc', 'cmake', 'python3', 'nasm'])
    check(`no ${tool}`, !existsSync(join(bin, tool)));
  const npmrc = {
    npm_config_registry: registry.url,
    npm_config_cache: join(place, 'cache'),
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  };
  const start = performance.now();
  const installed = await run(bin, folder, ['npm', 'install', 'ilsvrc'], npmrc);
  check(
    'npm install ilsvrc',
    installed.status === 0,
    installed.status === 0 ? `${((performance.now() - start) / 1000).toFixed(1)} s` : installed.text,
  );
  const modules = join(folder, 'node_modules');
  const { packages } = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8'));
  const scripted = Object.keys(packages).filter((path) => packages[path].hasInstallScript);
  check('no install scripts', scripted.length === 0, scripted.join(', '));
  const [addon] = globSync('node_modules/@ilsvrc/engine-*/*.node', { cwd: folder });
  check(
    'the addon is small enough',
    statSync(join(folder, addon)).size < limits.addon,
    inMB(statSync(join(folder, addon)).size),
  );
  const bytes = readFileSync(join(folder, addon));
  check("the addon needs no library of this machine's MPI", !bytes.includes('libmpi'));
  const pictures = ['sharp', '@img'].map((name) => join(modules, name)).filter(existsSync);
  const size = bytesOf(modules) - pictures.reduce((sum, path) => sum + bytesOf(path), 0);
  check('the installation without sharp is small enough', size < limits.install, inMB(size));

  const demo = async (...more) =>
    run(bin, folder, ['npx', 'ilsvrc', 'demo', '--images', '240', '--epochs', '1', ...more], npmrc);
  const whole = await demo();
  check(
    'npx ilsvrc demo',
    whole.status === 0 && existsSync(join(folder, 'demo/report.html')),
    whole.text.trim().split('\n').at(-6),
  );
  for (const path of pictures) rmSync(path, { recursive: true });
  const plain = await demo();
  check(
    'npx ilsvrc demo without sharp',
    plain.status === 0 && plain.text.includes('E0412'),
    plain.status === 0 ? '' : plain.text,
  );
  const filters = await run(bin, folder, ['npx', 'ilsvrc', 'filters', '--force'], npmrc);
  check(
    'a picture without sharp is refused',
    filters.status === 1 && /E0412[\s\S]*npm install/.test(filters.text),
    filters.text,
  );
  const page = /docs: (.*)/.exec(filters.text)?.[1] ?? '';
  check('the page that it names is there', existsSync(resolve(folder, page)), page);

  const broken = async (what, code, change) => {
    change(dirname(join(folder, addon)));
    const { status, text } = await run(bin, folder, ['npx', 'ilsvrc', 'train', 'demo/data'], npmrc);
    check(
      what,
      status === 4 && text.includes(`error[${code}]`) && text.includes('npm install'),
      `\n${text.trim()}`,
    );
  };
  await broken('an addon of another processor', 'E0414', (at) => {
    // ELF's e_machine: 183 is AArch64, 62 x86-64.
    const file = join(at, addon.split('/').at(-1));
    const bytes = readFileSync(file);
    bytes.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18);
    writeFileSync(file, bytes);
  });
  await broken('no native package', 'E0413', (at) => rmSync(at, { recursive: true }));
  await broken('the native package of another machine', 'E0413', (at) =>
    mkdirSync(at.replace(/engine-.*/, 'engine-darwin-arm64')),
  );
}

const tarballs = resolve(process.argv[2] ?? join(place, 'tarballs'));
if (process.argv[2] === undefined) {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts/pack.mjs'), tarballs], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('nothing was packed');
}
const upstream = spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).stdout.trim();
const registry = await serve(tarballs, upstream);
try {
  for (const { manifest } of registry.packages.values())
    check(`${manifest.name} has no scripts`, manifest.scripts === undefined);
  for (const version of nodes) await rehearse(version, registry);
  console.log('\nall of it works');
} finally {
  registry.server.close();
  rmSync(place, { recursive: true, force: true });
}
