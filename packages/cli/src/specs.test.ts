/**
 * Golden runs of the real program: every folder of tests/specs that holds a spec.json is a case. Its steps run one after the
 * other in a temporary folder; what they print must be what the `.out` files say, where `[WILDCARD]` stands for
 * anything. `UPDATE_SPECS=1 npx vitest run packages/cli` writes files that do not exist yet.
 */
import { spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** A spec.json. */
interface Spec {
  /** Files to begin with; an empty folder where the content is null. */
  files?: Record<string, string | null>;
  steps: {
    args: string[];
    env?: Record<string, string>;
    /** 0 where absent. */
    exit?: number;
    /** Files beside spec.json. */
    stdout?: string;
    stderr?: string;
  }[];
}

const root = join(import.meta.dirname, '../../..');
const program = join(root, 'packages/cli/bin/ilsvrc.mjs');
const specs = join(root, 'tests/specs');

describe.each(globSync('*/*/spec.json', { cwd: specs }).sort())('%s', (path) => {
  const folder = join(specs, dirname(path));
  const spec: Spec = JSON.parse(readFileSync(join(specs, path), 'utf8'));
  let place = '';
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'ilsvrc-spec-'));
    for (const [name, content] of Object.entries(spec.files ?? {})) {
      const file = join(place, name);
      mkdirSync(content === null ? file : dirname(file), { recursive: true });
      if (content !== null) writeFileSync(file, content);
    }
  });
  afterAll(() => rmSync(place, { recursive: true }));
  for (const step of spec.steps) {
    test(`ilsvrc ${step.args.join(' ')}`, async () => {
      const result = await run(step.args, place, step.env);
      expect(result.status, result.stderr).toBe(step.exit ?? 0);
      compare(step.stdout, result.stdout);
      compare(step.stderr, result.stderr);
    });
  }

  function compare(name: string | undefined, printed: string): void {
    if (name === undefined) return;
    const file = join(folder, name);
    if (process.env.UPDATE_SPECS && !existsSync(file)) writeFileSync(file, printed);
    const expected = readFileSync(file, 'utf8');
    if (!matches(expected, printed)) expect(printed).toBe(expected);
  }
});

/** Runs the program and collects what it prints. */
function run(args: readonly string[], cwd: string, env: Record<string, string> = {}) {
  return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { cwd, env: { ...process.env, ...env } });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data) => (stdout += data));
    child.stderr.on('data', (data) => (stderr += data));
    child.stdin.end();
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

function matches(expected: string, printed: string): boolean {
  const parts = expected.split('[WILDCARD]').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^]*?')}$`).test(printed);
}
