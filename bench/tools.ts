/** What the commands of this folder share: running programs, throw-away environments, medians, rows of the table of results. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { machine } from '@ilsvrc/engine';

/** The top of the repository. */
export const root = join(import.meta.dirname, '..');

/** Where results go unless `--out` says otherwise. */
export const resultsFolder = join(root, 'bench', 'results');

/** The program's standard output; its errors go to ours. */
export function run(program: string, args: string[], env: Record<string, string> = {}): string {
  const result = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${result.status ?? result.signal}`);
  return result.stdout;
}

/** What `ilsvrc` of this clone prints. */
export const runIlsvrc = (args: string[]) =>
  run(process.execPath, [join(root, 'packages/cli/bin/ilsvrc.mjs'), ...args]);

/** Installs what `requirements` (a path below the root) lists where it goes away with `directory`; the Python to use. */
export function installPython(directory: string, requirements: string): string {
  const environment = join(directory, 'python');
  run('python3', ['-m', 'venv', environment]);
  const python = join(environment, 'bin', 'python');
  run(python, ['-m', 'pip', 'install', '--quiet', '-r', join(root, requirements)]);
  return python;
}

/** A program that prints a line of JSON when it is ready and answers each line that it gets with another. */
export interface Peer {
  // biome-ignore lint/suspicious/noExplicitAny: what a peer says is its script's business.
  line(): Promise<any>;
  // biome-ignore lint/suspicious/noExplicitAny: likewise.
  ask(request?: unknown): Promise<any>;
  end(): void;
}

/** Starts a peer. It keeps what it compiled and allocated while others have their turn. */
export function startPeer(program: string, args: string[], env: Record<string, string> = {}): Peer {
  const child = spawn(program, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  // A program that cannot be started, or has ended, shows at the next line.
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${program} ${args.join(' ')} stopped`);
    return JSON.parse(value);
  };
  return {
    line,
    ask: (request) => {
      child.stdin.write(`${request === undefined ? '' : JSON.stringify(request)}\n`);
      return line();
    },
    end: () => child.stdin.end(),
  };
}

/** n, the middle sample (the mean of two), and the spread. */
export function spread(samples: number[]) {
  const sorted = samples.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const median = ((sorted[Math.ceil(half) - 1] ?? Number.NaN) + (sorted[Math.floor(half)] ?? Number.NaN)) / 2;
  return { n: sorted.length, median, low: sorted[0] ?? Number.NaN, high: sorted.at(-1) ?? Number.NaN };
}

/** A peer that was not measured. */
export interface Skipped {
  peer: string;
  reason: string;
}

/** What `work` gives, or nothing where it fails: the peer is then named among `skipped`. */
export async function available<T>(
  peer: string,
  skipped: Skipped[],
  work: () => T | Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    skipped.push({ peer, reason: error instanceof Error ? error.message : String(error) });
    process.stderr.write(`left out: ${peer} (${skipped.at(-1)?.reason})\n`);
    return undefined;
  }
}

/** One work and everybody who does it. */
export interface Contestant {
  who: string;
  /** Seconds of passes, after one that is not counted. */
  run(): Promise<number[]> | number[];
}

/** Peers of which the fastest counts, and how many times as fast as it we want to be. */
export interface Group {
  bar?: number | undefined;
  peers: Contestant[];
}

/** What a figure is held against where no peer is: the least share of the limit, or the most of the figure. */
export type Held = { share: number } | { most: number };

/** A line of the table of results. */
export interface Row {
  work: string;
  who: string;
  unit: string;
  n: number;
  median: number;
  low: number;
  high: number;
  /** Share of the machine's own limit. */
  of_limit?: { name: string; share: number };
  /** How many times as fast as this one we are. */
  ratio?: number;
  /** What `ratio` is to be at least; only with the fastest of several that do the same. */
  bar?: number;
  held?: Held;
}

/** What a command of this folder leaves in `results/`. */
export interface Result {
  date: string;
  command: string;
  machine: ReturnType<typeof machine> & { others: number };
  versions: string[];
  /** GFLOP/s, before and after each of our rounds. */
  fma_peak: { before: number; after: number }[];
  skipped: Skipped[];
  rows: Row[];
}

/** Everybody in turn, ours first in each round; a row for each. A peer that fails is left out of the rows and named. */
export async function contest(
  work: { name: string; batch: number; unit: 'images/s' | 'ms'; rounds: number },
  ours: Contestant,
  groups: Group[],
  skipped: Skipped[],
): Promise<Row[]> {
  const all = [ours, ...groups.flatMap(({ peers }) => peers)];
  const samples = new Map(all.map((contestant) => [contestant, [] as number[]]));
  for (let round = 1; round <= work.rounds; round += 1) {
    for (const contestant of all) {
      const kept = samples.get(contestant);
      if (kept === undefined) continue;
      process.stderr.write(`${work.name}, round ${round} of ${work.rounds}: ${contestant.who}\n`);
      if (contestant === ours) kept.push(...(await ours.run()));
      else {
        const seconds = await available(contestant.who, skipped, () => contestant.run());
        if (seconds === undefined) samples.delete(contestant);
        else kept.push(...seconds);
      }
    }
  }
  const figure = (contestant: Contestant) =>
    (samples.get(contestant) ?? []).map((seconds) =>
      work.unit === 'ms' ? 1000 * seconds : work.batch / seconds,
    );
  const row = (contestant: Contestant): Row => ({
    ...{ work: work.name, who: contestant.who, unit: work.unit },
    ...spread(figure(contestant)),
  });
  const first = row(ours);
  const rows = [first];
  for (const { bar, peers } of groups) {
    const measured = peers
      .filter((peer) => samples.has(peer))
      .map(row)
      .map((theirs) => ({
        ...theirs,
        ratio: work.unit === 'ms' ? theirs.median / first.median : first.median / theirs.median,
      }));
    const least = Math.min(...measured.map(({ ratio }) => ratio));
    rows.push(...measured.map((one) => (bar !== undefined && one.ratio === least ? { ...one, bar } : one)));
  }
  return rows;
}

/** Writes `NAME.json` and returns the document. */
export function writeResult(folder: string, name: string, result: Omit<Result, 'date'>): Result {
  const document = { date: new Date().toISOString().slice(0, 10), ...result };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(document, null, 2)}\n`);
  return document;
}

/** A number as people read it: three digits or the whole part. */
export function shown(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}

/** A row's bar in words, and whether it is met. */
function verdict({ median, unit, of_limit, ratio, bar, held }: Row): [string, string] {
  const met = (isMet: boolean) => (isMet ? 'yes' : '**no**');
  if (bar !== undefined && ratio !== undefined) return [`${bar}x`, met(ratio >= bar)];
  if (held === undefined) return ['', ''];
  if ('most' in held) return [`at most ${shown(held.most)} ${unit}`, met(median <= held.most)];
  return [`${Math.round(100 * held.share)} %`, met(of_limit !== undefined && of_limit.share >= held.share)];
}

/** Rows as Markdown; a work is named in its first. */
export function table(rows: Row[]): string {
  const line = (row: Row, index: number) => {
    const { work, who, unit, n, median, low, high, of_limit, ratio } = row;
    const cells = [
      ...[work === rows[index - 1]?.work ? '' : work, who, String(n)],
      ...[`${shown(median)} ${unit}`, `${shown(low)} - ${shown(high)}`],
      of_limit === undefined ? '' : `${Math.round(100 * of_limit.share)} % of ${of_limit.name}`,
      ratio === undefined ? '' : `${ratio.toFixed(2)}x`,
      ...verdict(row),
    ];
    return `| ${cells.join(' | ')} |`;
  };
  return [
    '| work | who | n | median | low - high | of the limit | we are faster by | bar | met |',
    '|---|---|---:|---:|---:|---|---:|---:|---|',
    ...rows.map(line),
    '',
  ].join('\n');
}
