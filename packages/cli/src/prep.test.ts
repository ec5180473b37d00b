/** `prep` as a user meets it: what is told, what is mended, and shards of other programs. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateBuiltin } from '@ilsvrc/engine';
import { afterAll, beforeAll, expect, test } from 'vitest';

const program = join(import.meta.dirname, '../bin/ilsvrc.mjs');
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-prep-'));

beforeAll(() => generateBuiltin({ out: join(place, 'photos'), images: 120, seed: 1, workers: 2 }));
afterAll(() => rmSync(place, { recursive: true }));

function ilsvrc(...args: string[]) {
  return spawnSync(process.execPath, [program, ...args], { cwd: place, encoding: 'utf8' });
}

/** The document that a run prints, which must end well. */
function json(...args: string[]) {
  const { stdout, stderr, status } = ilsvrc(...args, '--json');
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

test('every input is accounted for', () => {
  cpSync(join(place, 'photos'), join(place, 'dirty'), { recursive: true });
  const [first = ''] = globSync('dirty/train/*/*.jpg', { cwd: place }).sort();
  const folder = join(place, first, '..');
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
    'base64',
  );
  writeFileSync(join(folder, 'really-a-png.JPEG'), png);
  writeFileSync(join(folder, 'empty.jpg'), '');
  writeFileSync(join(folder, 'page.jpg'), '<!doctype html><title>404</title>');
  writeFileSync(join(folder, 'notes.md'), 'not an image');
  writeFileSync(join(folder, '._photo.jpg'), 'AppleDouble');
  symlinkSync(folder, join(folder, 'loop'));
  const summary = json('prep', 'dirty', '-o', 'clean', '--size', '40', '--max-rejected', '0.1');
  expect(summary).toMatchObject({ kept: 121, rejected: 2 });
  expect(summary.kept + summary.rejected + summary.ignored).toBe(summary.seen);
  const rejected = readFileSync(join(place, 'clean/rejected.jsonl'), 'utf8').trim().split('\n');
  expect(rejected.map((line) => JSON.parse(line).reason).sort()).toEqual([
    expect.stringContaining('an HTML page'),
    expect.stringContaining('an empty file'),
  ]);
});

test('a dry run tells what is there and what it takes, and writes nothing', () => {
  const found = json('prep', 'photos', '--dry-run', '--size', '40');
  expect(found).toMatchObject({ dry_run: true, classes: 12, rejected: 0 });
  expect(found.splits.map(({ name }: { name: string }) => name)).toEqual(['train', 'val']);
  expect(found.estimate.bytes).toBeGreaterThan(100_000);
  expect(found.estimate.bytes).toBeLessThan(found.free_bytes);
  const { stdout } = ilsvrc('prep', 'photos', '--dry-run');
  expect(stdout).toMatch(/^layout {4}image folder/m);
  expect(globSync('data/*', { cwd: place })).toEqual([]);
});

test('what is damaged is named, and mended on request', () => {
  const prepared = ['--size', '40', '--shard-images', '10'];
  json('prep', 'photos', '-o', 'set', ...prepared);
  const before = readFileSync(join(place, 'set/train-000003.tar'));
  truncateSync(join(place, 'set/train-000003.tar'), 5000);
  const { stderr, status } = ilsvrc('prep', '--check', 'set');
  expect(status).toBe(3);
  expect(stderr).toMatch(/error\[E0204\].*set/);
  expect(stderr).toContain('train-000003.tar: its bytes changed');
  expect(stderr).toContain('ilsvrc prep --check set --repair');
  const report = json('prep', '--check', 'set', '--repair');
  expect(report.repaired).toEqual({ shards: 1, files: ['train-000003.tar'] });
  expect(readFileSync(join(place, 'set/train-000003.tar')).equals(before)).toBe(true);
  expect(ilsvrc('prep', '--check', 'set').stdout).toContain('set is whole: 120 images');
});

test('photos that were added are told, and other settings refused', () => {
  cpSync(join(place, 'photos'), join(place, 'growing'), { recursive: true });
  const prep = (...more: string[]) => ilsvrc('prep', 'growing', '-o', 'grown', '--size', '40', ...more);
  expect(prep().status).toBe(0);
  const [photo = ''] = globSync('growing/val/*/*.jpg', { cwd: place });
  cpSync(join(place, photo), join(place, photo, '../added.jpg'));
  const again = prep();
  expect(again.stderr).toContain('photos have changed: 1 added, 0 removed; 1 of 2 shards stay');
  expect(again.stdout).toContain('kept 121');
  const other = prep('--quality', '70');
  expect(other.status).toBe(2);
  expect(other.stderr).toMatch(/E0210[\s\S]*--quality 85, now 70/);
});

test('names that nothing has are refused with the nearest one', () => {
  expect(ilsvrc('prep', 'photos', '--layout', 'kagle').stderr).toContain('did you mean `--layout kaggle`?');
  expect(ilsvrc('prep', 'photos', '--recipe', 'imagenet').stderr).toContain('imagenet-2012');
  expect(ilsvrc('prep', 'photos', '--recipe', 'imagenette').stderr).toMatch(/error\[E0216\]/);
  expect(ilsvrc('prep', 'photos', '--part', '4/3').stderr).toMatch(/error\[E0103\]/);
  expect(ilsvrc('prep', 'photos', '--repair').stderr).toContain('--repair needs --check');
});

test('shards of another program are trained on where they lie', () => {
  json('prep', 'photos', '-o', 'ours', '--size', '72');
  mkdirSync(join(place, 'theirs'));
  for (const shard of globSync('ours/*.tar', { cwd: place })) {
    cpSync(join(place, shard), join(place, 'theirs', `imagenet-${shard.slice(5)}`));
  }
  const train = ['train', 'theirs', '--net', 'alexnet-64', '--epochs', '1', '--batch', '16', '--run', 'r'];
  const { stderr, status } = ilsvrc(...train);
  expect(status, stderr).toBe(0);
  expect(stderr).toContain('120 images of 72 px, 12 classes');
  expect(ilsvrc('prep', '--check', 'theirs').stdout).toContain('theirs is whole: 120 images');
  // Of another size each, they have to be prepared first.
  mkdirSync(join(place, 'mixed'));
  json('prep', 'photos', '-o', 'smaller', '--size', '40');
  cpSync(join(place, 'ours/train-000000.tar'), join(place, 'mixed/train-000000.tar'));
  cpSync(join(place, 'smaller/val-000000.tar'), join(place, 'mixed/val-000000.tar'));
  const mixed = ilsvrc('train', 'mixed', '--net', 'alexnet-64');
  expect(mixed.status).toBe(3);
  expect(mixed.stderr).toMatch(/error\[E0214\][\s\S]*ilsvrc prep/);
});
