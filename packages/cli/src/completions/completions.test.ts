import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const program = join(import.meta.dirname, '../../bin/ilsvrc.mjs');
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-completions-'));

beforeAll(() => {
  for (const folder of ['runs/first', 'runs/no-run', 'data/pets', 'data/raw'])
    mkdirSync(join(place, folder), { recursive: true });
  for (const file of [
    'runs/first/config.json',
    'runs/first/model.safetensors',
    'data/pets/dataset.json',
    'cat.jpg',
  ]) {
    writeFileSync(join(place, file), '{}');
  }
});
afterAll(() => rmSync(place, { recursive: true }));

/** What the program answers: the values that it offers, and what else a shell is to do. */
function answer(...words: string[]): { values: string[]; directive: number } {
  const { stdout, stderr } = spawnSync(process.execPath, [program, 'complete', '--', ...words], {
    cwd: place,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  const lines = stdout.trimEnd().split('\n');
  const directive = Number(lines.pop()?.slice(1));
  return { values: lines.map((line) => line.split('\t')[0] ?? ''), directive };
}

/** Nothing of the disk, and in this order; folders; files. */
const [only, folders, files] = [36, 16, 0];

test.each<[words: string[], values: string[], directive: number]>([
  [['tr'], ['train'], only],
  [['--v'], ['--version'], only],
  [['help', 'ret'], ['retrieve'], only],
  [['runs', ''], ['list', 'compare', 'best', 'clean'], only],
  [['runs', 'compare', ''], ['first'], only],
  [['runs', 'best', '--by', 't'], ['top1', 'top5'], only],
  [['train', '--sch'], ['--schedule'], only],
  [['train', '--schedule', 'exp', '--sch'], [], only],
  [['train', '--net', 'cifar'], ['cifar-80sec', 'cifar-18pct', 'cifar-11pct'], only],
  [['train', '--net=cifar-8'], ['cifar-80sec'], only],
  [['train', '--batch', ''], [], only],
  [['train', '--batch', '8', '--devices', 'c'], ['cpu', 'cpu,cpu'], only],
  [['train', ''], ['data/pets'], only],
  [['train', 'x'], [], folders],
  [['train', '--', '--n'], [], folders],
  [['report', ''], ['first'], only],
  [['predict', ''], ['runs/first/model.safetensors'], only],
  [['predict', 'runs/first/model.safetensors', ''], [], files],
  [['predict', 'M', 'cat.jpg', 'do'], [], files],
  [['eval', '--from', 'a', 'b'], [], folders],
  [['bench', 'st', 'co'], ['conv'], only],
  [['prep', '--layout', 'image'], ['imagenet'], only],
  [['completions', 'f'], ['fish'], only],
  [['no-verb', ''], [], only],
])('%j', (words, values, directive) => {
  expect(answer(...words)).toEqual({ values, directive });
});

test('an optional value may be left out', () => {
  expect(answer('train', '--live', '--res')).toEqual({ values: ['--resume'], directive: only });
  expect(answer('train', '--live', '')).toEqual({ values: ['data/pets'], directive: only });
});

test('verbs are completed without the code of any, the option parser and the engine', () => {
  const hook = `import { registerHooks } from 'node:module';
    registerHooks({ load: (url, context, next) => (process.stderr.write(url + '\\n'), next(url, context)) });`;
  const loaded = (...words: string[]) =>
    spawnSync(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, program, 'complete', '--', ...words],
      {
        encoding: 'utf8',
      },
    ).stderr;
  const heavy = /\/commands\/|commander|engine/;
  expect(loaded('tr')).toContain('/verbs.js');
  expect(loaded('tr')).not.toMatch(heavy);
  expect(loaded('runs', '')).not.toMatch(heavy);
  expect([...loaded('summary', '--b').matchAll(/\/commands\/(\w+)/g)].map(([, name]) => name)).toEqual([
    'summary',
  ]);
});
