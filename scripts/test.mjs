// Runs every test, Rust and TypeScript, and ends with `N passed, N failed`, summed over both. With `--check` the checks
// of `npm run check` come first and count as one test.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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
function counted(status, passed, failed) {
  return { passed, failed: status !== 0 && failed === 0 ? 1 : failed };
}

async function checks() {
  const { status } = await show('node', ['scripts/check.mjs']);
  return counted(status, status === 0 ? 1 : 0, 0);
}

async function rustTests() {
  const { status, text } = await show('cargo', ['test', '--workspace', '--no-fail-fast', '--quiet']);
  let [passed, failed] = [0, 0];
  for (const [, good, bad] of text.matchAll(/^test result: .*?(\d+) passed; (\d+) failed/gm)) {
    passed += Number(good);
    failed += Number(bad);
  }
  return counted(status, passed, failed);
}

async function typescriptTests() {
  const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-test-'));
  const file = join(folder, 'vitest.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const { status } = await show('vitest', ['run', ...reporters]);
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(file, 'utf8'));
    return counted(status, numPassedTests, numFailedTests);
  } catch (error) {
    console.error(`vitest left no report: ${error.message}`);
    return counted(1, 0, 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const parts = process.argv.includes('--check') ? [await checks()] : [];
parts.push(await rustTests(), await typescriptTests());
const sum = (key) => parts.reduce((total, part) => total + part[key], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') === 0 ? 0 : 1;
