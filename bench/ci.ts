/**
 * Compares the speed of this checkout with that of another commit, both built here: what `.github/workflows/bench.yml` runs.
 *
 *     npm run build && node bench/ci.ts --base main [BENCH…]
 *
 * The base is where this branch left `--base`. Runs `ilsvrc bench --quick` of both in turns, compares all samples, runs what
 * seems worse again, and counts the instructions of training steps by callgrind (apt-get install valgrind). Writes `base.json`,
 * `now.json`, `findings.json` and `report.md` into `--out`, and the report to where GitHub shows it. Exit status 5: worse.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { presets } from '@ilsvrc/config';
import {
  type Count,
  collected,
  type Findings,
  instructionsOfStep,
  isChanged,
  isWorse,
  merge,
  report,
  type Saved,
} from './ci-report.ts';
import { root } from './tools.ts';

const { values, positionals: benches } = parseArgs({
  allowPositionals: true,
  options: {
    base: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    /** Where the base is checked out and built, and stays; without it, in a temporary folder. */
    tree: { type: 'string' },
    out: { type: 'string', default: join(root, 'target', 'bench-ci') },
  },
});
if (values.base === undefined) throw new Error('usage: node bench/ci.ts --base COMMIT [BENCH…]');

/** Nets whose steps are counted, and images in a batch: together they have every kind of layer. */
const counted = [
  { preset: 'alexnet-64', batch: 2 },
  { preset: 'cifar-80sec', batch: 4 },
] as const;
/** Steps that a long run has more than a short one. */
const steps = 2;

type Comparison = Pick<Findings, 'changes' | 'only_base' | 'only_now'>;

/** Runs a program and returns what it printed and its status; what it says goes to our standard error too, unless `quiet`. */
function attempt(program: string, args: string[], cwd: string, quiet = false) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', quiet ? 'pipe' : 'inherit'],
  });
  if (error) throw error;
  return { status, stdout, stderr };
}

function must(program: string, args: string[], cwd: string): string {
  const { status, stdout } = attempt(program, args, cwd);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`);
  return stdout.trim();
}

const say = (text: string) => process.stderr.write(`bench: ${text}\n`);

/** One side of the comparison. */
interface Side {
  name: 'base' | 'now';
  folder: string;
  runs: Saved[];
}

/** The base, checked out and built. */
function checkOut(commit: string, folder: string): void {
  if (existsSync(join(folder, '.git'))) must('git', ['checkout', '--quiet', '--detach', commit], folder);
  else must('git', ['worktree', 'add', '--quiet', '--detach', folder, commit], root);
  say(`building the base in ${folder}`);
  must(process.execPath, ['scripts/setup.mjs', 'build'], folder);
}

/** One run of the quick suite; nothing where this program cannot. */
function measure({ folder, name }: Side, names: string[]): Saved | undefined {
  say(`${name}: ilsvrc bench --quick ${names.join(' ')}`);
  const program = join(folder, 'packages/cli/bin/ilsvrc.mjs');
  const { status, stdout } = attempt(
    process.execPath,
    [program, 'bench', ...names, '--quick', '--json'],
    folder,
  );
  if (status === 0) return JSON.parse(stdout);
  if (name === 'now') throw new Error(`ilsvrc bench ended with ${status}`);
  return undefined;
}

/** What `ilsvrc bench --compare` of this checkout says about all runs so far; nothing where it cannot read the base's. */
function compare(sides: [Side, Side]): Comparison | undefined {
  for (const { name, runs } of sides) {
    writeFileSync(join(out, `${name}.json`), `${JSON.stringify(merge(runs), null, 1)}\n`);
  }
  const files = ['--compare', join(out, 'base.json'), '--now', join(out, 'now.json')];
  const program = join(root, 'packages/cli/bin/ilsvrc.mjs');
  const { status, stdout, stderr } = attempt(
    process.execPath,
    [program, 'bench', ...files, '--json'],
    root,
    true,
  );
  // 5: something is worse. Anything else: there is nothing to compare.
  if (status !== 0 && status !== 5) {
    say(stderr);
    return undefined;
  }
  const { comparison }: { comparison: Comparison } = JSON.parse(stdout);
  return comparison;
}

/** Times both sides in turns, and again where something seems worse: a program beside us may have been in the way. */
function time(sides: [Side, Side], notes: string[]): Comparison {
  // In turns, the other one first each time: whoever is second may find a warmer or a hotter machine.
  const takeTurns = (names: string[]) => {
    for (let round = 0; round < Number(values.rounds); round += 1) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        const run = measure(side, names);
        if (run !== undefined) side.runs.push(run);
      }
    }
  };
  takeTurns(benches);
  let comparison = sides[0].runs.length === 0 ? undefined : compare(sides);
  if (comparison === undefined) {
    notes.push('The base has no benchmarks that this version could compare with.');
    return { changes: [], only_base: [], only_now: [] };
  }
  const worse = comparison.changes.filter(({ verdict }) => verdict === 'worse');
  if (worse.length > 0) {
    say(`once more, since these seem worse: ${worse.map(({ name }) => name).join(', ')}`);
    const areas = [...new Set(worse.map(({ name }) => name.split('/')[0] ?? ''))];
    takeTurns(areas);
    comparison = compare(sides) ?? comparison;
  }
  return comparison;
}

/** Instructions of a training step of a net in one thread. */
function count({ folder }: Side, net: string, batch: number): number {
  must('cargo', ['build', '--release', '--quiet', '-p', 'ilsvrc-engine', '--example', 'step'], folder);
  const work = [
    '--net',
    net,
    '--pass',
    'step',
    '--batch',
    String(batch),
    '--threads',
    '1',
    '--yardstick',
    'no',
  ];
  const run = (repeats: number) => {
    const callgrind = ['--tool=callgrind', `--callgrind-out-file=${join(out, 'callgrind.out')}`];
    const step = [join(folder, 'target/release/examples/step'), ...work, '--repeats', String(repeats)];
    const { status, stderr } = attempt('valgrind', [...callgrind, ...step], folder, true);
    if (status !== 0) throw new Error(`valgrind ended with ${status}:\n${stderr.slice(-2000)}`);
    return collected(stderr);
  };
  return instructionsOfStep(run(1), run(1 + steps), steps);
}

function countBoth([base, now]: [Side, Side], notes: string[]): Count[] {
  const counts: Count[] = [];
  for (const { preset, batch } of counted) {
    const net = join(out, `${preset}.json`);
    writeFileSync(net, JSON.stringify(presets[preset].net(10)));
    say(`counting instructions of a step of ${preset}`);
    const ours = count(now, net, batch);
    try {
      counts.push({ net: `\`${preset}\`, batch ${batch}`, base: count(base, net, batch), now: ours });
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
      notes.push(`The instructions of the base's step of ${preset} could not be counted.`);
    }
  }
  return counts;
}

const out = resolve(values.out);
mkdirSync(out, { recursive: true });
const temporary = values.tree === undefined ? mkdtempSync(join(tmpdir(), 'ilsvrc-bench-base-')) : undefined;
const folder = resolve(values.tree ?? join(temporary ?? '', 'base'));
try {
  const commit = must('git', ['merge-base', values.base, 'HEAD'], root);
  checkOut(commit, folder);
  const sides: [Side, Side] = [
    { name: 'base', folder, runs: [] },
    { name: 'now', folder: root, runs: [] },
  ];
  const notes: string[] = [];
  const comparison = time(sides, notes);
  const short = (revision: string) => must('git', ['rev-parse', '--short', revision], root);
  const isClean = must('git', ['status', '--porcelain'], root) === '';
  const findings: Findings = {
    base: short(commit),
    now: `${short('HEAD')}${isClean ? '' : ' and what is not committed'}`,
    machine: merge(sides.flatMap(({ runs }) => runs)).machine,
    ...comparison,
    counts: countBoth(sides, notes),
    notes,
  };
  const text = report(findings);
  writeFileSync(join(out, 'findings.json'), `${JSON.stringify(findings, null, 1)}\n`);
  writeFileSync(join(out, 'report.md'), text);
  const { GITHUB_STEP_SUMMARY, GITHUB_OUTPUT } = process.env;
  if (GITHUB_STEP_SUMMARY) appendFileSync(GITHUB_STEP_SUMMARY, text);
  else process.stdout.write(text);
  if (GITHUB_OUTPUT) appendFileSync(GITHUB_OUTPUT, `changed=${isChanged(findings)}\n`);
  if (isWorse(findings)) process.exitCode = 5;
} finally {
  if (temporary !== undefined) {
    spawnSync('git', ['worktree', 'remove', '--force', folder], { cwd: root, stdio: 'ignore' });
    rmSync(temporary, { recursive: true, force: true });
  }
}
