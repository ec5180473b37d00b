// Runs every test, Rust and TypeScript, and ends with what failed, by name, and `N passed, N failed`, summed over both.
// With `--check` the checks of `npm run check` come first and count as one test.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

/** Runs a command, shows what it prints and returns it with the exit status. */
function show(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      process.stdout.write(data);
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, text }));
  });
}

/** What a part counted. One that fails without a failed test broke before it could count: that is one failure. */
function counted(part, status, passed, failures) {
  return {
    passed,
    failures: status !== 0 && failures.length === 0 ? [`${part}: exit status ${status}`] : failures,
  };
}

async function checks() {
  const { status } = await show('node', ['scripts/check.mjs']);
  return counted('npm run check', status, status === 0 ? 1 : 0, []);
}

async function rustTests() {
  const { status, text } = await show('cargo', ['test', '--workspace', '--no-fail-fast', '--quiet']);
  const passed = [...text.matchAll(/^test result: .*?(\d+) passed;/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
  const failures = [...text.matchAll(/^---- (.+) stdout ----$/gm)].map(([, name]) => `cargo test: ${name}`);
  return counted('cargo test', status, passed, failures);
}

async function typescriptTests() {
  const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-test-'));
  const file = join(folder, 'vitest.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const { status } = await show('vitest', ['run', ...reporters]);
    const { numPassedTests, testResults } = JSON.parse(readFileSync(file, 'utf8'));
    const failures = testResults
      .flatMap(({ name, assertionResults }) =>
        assertionResults.map((test) => ({ ...test, file: relative('.', name) })),
      )
      .filter((test) => test.status === 'failed')
      .map((test) => `vitest: ${test.file}: ${test.fullName}`);
    return counted('vitest', status, numPassedTests, failures);
  } catch (error) {
    console.error(`vitest left no report: ${error.message}`);
    return counted('vitest', 1, 0, []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const parts = process.argv.includes('--check') ? [await checks()] : [];
parts.push(await rustTests(), await typescriptTests());
const passed = parts.reduce((total, part) => total + part.passed, 0);
const failures = parts.flatMap((part) => part.failures);
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
