// A registry that lacks packages of other platforms makes `npm install` leave them out of the lock, and `npm ci` then
// refuses the lock where it finds them missing. Adds their entries, without fetching anything:
//
//     node scripts/complete-lock.mjs            after `npm install`
//     node scripts/complete-lock.mjs --check    fails where the committed lock is not complete, or names a registry
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);

/** What a name says of the platform: the words that packages use, and what npm calls it. First match wins. */
const systems = {
  android: /android/,
  darwin: /darwin/,
  win32: /win32|windows/,
  openharmony: /openharmony|ohos/,
};
for (const name of ['freebsd', 'linux', 'netbsd', 'openbsd', 'sunos', 'aix'])
  systems[name] = new RegExp(name);
const processors = {
  wasm32: /wasm32/,
  arm64: /arm64|aarch64/,
  arm: /armv7|arm-|-arm$|armhf/,
  ia32: /ia32|i686/,
};
for (const name of ['ppc64', 'riscv64', 's390x', 'loong64', 'mips64el']) processors[name] = new RegExp(name);
processors.x64 = /x64|x86_64|-64$/;

const firstMatch = (table, name) => Object.keys(table).find((key) => table[key].test(name));

/** The `os`, `cpu` and `libc` of a platform package; undefined where its name does not tell. */
function platform(name) {
  const os = firstMatch(systems, name);
  const cpu = firstMatch(processors, name);
  if (!os && !cpu) return undefined;
  return {
    ...(os && { os: [os] }),
    ...(cpu && { cpu: [cpu] }),
    ...(/musl/.test(name) && { libc: ['musl'] }),
  };
}

/** Whether `name` is found from the package at `path`, as Node looks for it: nearest node_modules first. */
function isPresent(packages, path, name) {
  const folders = path.split('/node_modules/');
  for (let depth = folders.length; depth > 0; depth--) {
    if (`${folders.slice(0, depth).join('/node_modules/')}/node_modules/${name}` in packages) return true;
  }
  return `node_modules/${name}` in packages;
}

const lock = JSON.parse(readFileSync(file, 'utf8'));
const { packages } = lock;
const added = {};
for (const [path, entry] of Object.entries(packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    if (entry.peerDependencies?.[name] || isPresent(packages, path, name)) continue;
    const where = platform(name);
    const version = range.match(/\d+\.\d+\.\d+[\w.-]*/)?.[0];
    if (!where || !version) throw new Error(`cannot tell which platform or version ${name}@${range} is`);
    added[`node_modules/${name}`] = { version, ...(entry.dev && { dev: true }), optional: true, ...where };
  }
}

if (process.argv.includes('--check')) {
  // A lock that says where packages were fetched from sends everybody there. Links to our own packages stay.
  const fetched = Object.keys(packages).filter((path) => packages[path].resolved && !packages[path].link);
  for (const path of Object.keys(added)) console.error(`package-lock.json lacks ${path}`);
  for (const path of fetched) console.error(`package-lock.json says where ${path} comes from`);
  if (Object.keys(added).length + fetched.length > 0) process.exit(1);
} else {
  const sorted = Object.entries({ ...packages, ...added }).sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
  console.log(`${Object.keys(added).length} entries added`);
}
