// Builds the addon as it is published: `node scripts/build-addon.mjs [TARGET]`. The same commit, target and tools give the same
// bytes wherever it lies (docs/releasing.md): neither the folder nor cargo's home shows, and nothing asks for the time.
import { spawnSync } from 'node:child_process';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
const target = process.argv[2];

/** What a path in the binary begins with, and what is written in its place. */
const prefixes = [
  [root, '/ilsvrc'],
  [cargoHome, '/cargo'],
];
const rustFlags = prefixes.flatMap(([from, to]) => ['--remap-path-prefix', `${from}=${to}`]);
const cFlags = prefixes.map(([from, to]) => `-ffile-prefix-map=${from}=${to}`);
const env = {
  ...process.env,
  PATH: [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
  // Separated so that a folder's name may hold blanks; it takes the place of RUSTFLAGS.
  CARGO_ENCODED_RUSTFLAGS: rustFlags.join('\x1f'),
  // MSVC has no such option; its paths do not get into a release build.
  ...(process.platform === 'win32'
    ? {}
    : { CFLAGS: [process.env.CFLAGS, ...cFlags].filter(Boolean).join(' ') }),
  SOURCE_DATE_EPOCH: '0',
};
const args = [
  ...['build', '--platform', '--release', '--esm', '--manifest-path', '../../crates/node/Cargo.toml'],
  ...['--output-dir', 'native', '--js', 'index.js', '--dts', 'index.d.ts'],
  ...(target === undefined ? [] : ['--target', target]),
  ...['--', '--locked'],
];
const { status, error } = spawnSync('napi', args, {
  cwd: join(root, 'packages', 'engine'),
  env,
  stdio: 'inherit',
  shell: process.platform === 'win32',
});
if (error) throw error;
process.exitCode = status ?? 1;
