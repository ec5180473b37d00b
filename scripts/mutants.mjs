// Shows that the tests of the CUDA backend bite: makes one small mistake at a time in a kernel or in the host's code and
// runs the test that must find it. `npm run mutants`, `npm run mutants -- NAME…` for those with NAME in their name or their
// test's, `-- --quick` for one of each kind. Ends with status 1 when a mutant survives or its place in the source is gone.
//
// Nothing is changed in this checkout: all of it happens in a copy, in `mutants` of cargo's target folder.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostMutants } from './mutants/host.mjs';
import { kernelMutants } from './mutants/kernels.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target', 'mutants');
const checkout = join(folder, 'checkout');
const crate = join(checkout, 'crates', 'cuda');
const kernels = join(folder, 'kernels');
const env = { ...process.env, CARGO_TARGET_DIR: join(folder, 'target') };

/** Host code that is compiled again for every mutant is compiled quickly: the time goes into what it calls. */
const profile = ['--config', 'profile.dev.package.ilsvrc-cuda.opt-level=0'];

/** A test may take this many times as long as without a mutant, and a minute, before it counts as failed. */
const PATIENCE = 5;

function fail(text) {
  console.error(`mutants: ${text}`);
  process.exit(1);
}

/** Runs a command; what came of it, with what it printed. */
function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', env, maxBuffer: 1 << 28, ...options });
  if (result.signal === 'SIGINT') process.exit(130);
  if (result.error && result.error.code !== 'ETIMEDOUT') throw result.error;
  return { ...result, slow: result.error?.code === 'ETIMEDOUT' };
}

function cargo(args) {
  const result = run('cargo', [...args, ...profile, '--message-format=json-render-diagnostics'], {
    cwd: checkout,
  });
  const messages = result.stdout.split('\n').filter((line) => line.startsWith('{'));
  const built = messages.map((line) => JSON.parse(line)).filter((message) => message.executable);
  const programs = Object.fromEntries(built.map(({ target, executable }) => [target.name, executable]));
  return { programs, log: result.status === 0 ? undefined : result.stderr };
}

function buildTests(names) {
  return cargo(['test', '--no-run', '--package=ilsvrc-cuda', ...names.map((name) => `--test=${name}`)]);
}

/** What cargo needs of this checkout, as it is now. Files that are already there as they are keep their time. */
function copyCheckout() {
  const list = [
    'ls-files',
    '-z',
    '--cached',
    '--others',
    '--exclude-standard',
    'Cargo.*',
    'crates',
    'datasets',
    'bench',
  ];
  const { status, stdout } = run('git', list, { cwd: root });
  if (status !== 0) fail('git cannot list the files of this checkout');
  const files = stdout.split('\0').filter((name) => name && existsSync(join(root, name)));
  mkdirSync(checkout, { recursive: true });
  for (const name of readdirSync(checkout, { recursive: true, withFileTypes: true })) {
    const path = join(name.parentPath, name.name);
    if (name.isFile() && !files.includes(path.slice(checkout.length + 1))) rmSync(path);
  }
  for (const name of files) copy(join(root, name), join(checkout, name));
}

function copy(from, to) {
  const data = readFileSync(from);
  if (existsSync(to) && readFileSync(to).equals(data)) return;
  mkdirSync(dirname(to), { recursive: true });
  writeFileSync(to, data);
}

/** The source with the mistake; undefined where the place is not there exactly once. A formatter may move its lines. */
function mutated(source, { from, to }) {
  const words = () => from.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(/\s+/g, '\\s+');
  const place = from instanceof RegExp ? from : new RegExp(words(), 'g');
  return [...source.matchAll(place)].length === 1 ? source.replace(place, () => to) : undefined;
}

/** Runs one test, alone. `library`: the driver with the kernels. */
function runTest(programs, test, library, timeout) {
  const [program, name] = test.split(' ');
  const begin = Date.now();
  const result = run(programs[program], [name, '--exact'], {
    timeout,
    killSignal: 'SIGKILL',
    env: library ? { ...env, MOCK_CUDA_LIBRARY: library } : env,
  });
  return {
    ...result,
    passed: result.status === 0 && result.stdout.includes('1 passed'),
    took: Date.now() - begin,
  };
}

/** Why a test failed, in a line. */
function reason({ slow, signal, stdout }) {
  if (slow) return 'it did not end';
  const message = stdout.match(/panicked at [^\n]*\n([^\n]*)/)?.[1] ?? signal ?? 'it failed';
  return message.length > 90 ? `${message.slice(0, 90)}…` : message;
}

function buildDriver(program) {
  const result = run(program, [kernels, join(folder, 'mock')]);
  return result.status === 0 ? { library: result.stdout.trim() } : { log: result.stderr };
}

/** Runs a mutant's test with the mistake in place. */
function outcome(mutant, { programs, driver, times }) {
  const inKernel = mutant.file.startsWith('kernels/');
  const path = inKernel ? join(folder, mutant.file) : join(crate, mutant.file);
  const source = readFileSync(path, 'utf8');
  writeFileSync(path, mutated(source, mutant));
  try {
    const [program] = mutant.test.split(' ');
    const built = inKernel ? { programs, ...buildDriver(driver) } : buildTests([program]);
    if (built.log) return { word: 'BROKEN', why: built.log.match(/error[^\n]*/)?.[0] ?? 'does not compile' };
    const result = runTest(
      built.programs,
      mutant.test,
      built.library,
      60_000 + PATIENCE * times[mutant.test],
    );
    if (result.passed) return { word: 'SURVIVED', why: `${mutant.test} passes` };
    return { word: 'caught', why: `${mutant.test}: ${reason(result)}` };
  } finally {
    writeFileSync(path, source);
  }
}

/** The mutants that were asked for, their places in the source checked. */
function chosen(args) {
  const quick = args.includes('--quick');
  const names = args.filter((arg) => arg !== '--quick');
  const all = [...kernelMutants, ...hostMutants];
  const mutants = all.filter(
    (mutant) =>
      (!quick || mutant.quick) &&
      (names.length === 0 || names.some((name) => `${mutant.name} ${mutant.test}`.includes(name))),
  );
  if (mutants.length === 0)
    fail(`no mutant is called so; there are\n  ${all.map(({ name }) => name).join('\n  ')}`);
  const lost = mutants.filter((mutant) => {
    const path = join(root, 'crates', 'cuda', mutant.file);
    return !existsSync(path) || mutated(readFileSync(path, 'utf8'), mutant) === undefined;
  });
  if (lost.length > 0) {
    const places = lost.map(({ name, file }) => `${name}: its place is not there exactly once in ${file}`);
    fail(`the source has moved on:\n  ${places.join('\n  ')}`);
  }
  return mutants;
}

/** Everything built without a mistake, and how long each test takes that way. */
function prepare(mutants) {
  copyCheckout();
  rmSync(kernels, { recursive: true, force: true });
  mkdirSync(kernels, { recursive: true });
  for (const name of readdirSync(join(crate, 'kernels')))
    copy(join(crate, 'kernels', name), join(kernels, name));
  console.log('building without a mutant (the first time takes minutes)');
  const tests = [...new Set(mutants.map(({ test }) => test))];
  const tools = cargo(['build', '--package=ilsvrc-cuda-mock', '--example=build']);
  const { programs, log } = buildTests([...new Set(tests.map((test) => test.split(' ')[0]))]);
  if (tools.log || log) fail(`the tests do not compile:\n${tools.log ?? log}`);
  const driver = tools.programs.build;
  const plain = buildDriver(driver);
  if (plain.log) fail(`the kernels do not compile:\n${plain.log}`);
  const times = {};
  for (const test of tests) {
    const result = runTest(programs, test, plain.library);
    if (!result.passed) fail(`${test} fails without a mutant:\n${result.stdout}${result.stderr}`);
    times[test] = result.took;
  }
  return { programs, driver, times };
}

const begin = Date.now();
const mutants = chosen(process.argv.slice(2));
const ready = prepare(mutants);
const counts = { caught: 0, SURVIVED: 0, BROKEN: 0 };
const width = Math.max(...mutants.map(({ name }) => name.length));
for (const mutant of mutants) {
  const start = Date.now();
  const { word, why } = outcome(mutant, ready);
  counts[word]++;
  const seconds = String(Math.round((Date.now() - start) / 1000)).padStart(4);
  console.log(`${word.padEnd(8)}  ${mutant.name.padEnd(width)} ${seconds} s  ${why}`);
}
const minutes = ((Date.now() - begin) / 60_000).toFixed(1);
console.log(
  `${mutants.length} mutants: ${counts.caught} caught, ${counts.SURVIVED} survived, ${minutes} minutes`,
);
process.exitCode = counts.caught === mutants.length ? 0 : 1;
