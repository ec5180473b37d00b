/** What the tarballs hold: the quick part of `npm run rehearse`, without installing anything. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const out = mkdtempSync(join(tmpdir(), 'ilsvrc-pack-'));
const tarballs = () => readdirSync(out).map((name) => join(out, name));
const tar = (...args: string[]) => execFileSync('tar', args, { encoding: 'utf8' });
const manifest = (file: string) => JSON.parse(tar('-xzOf', file, 'package/package.json'));

// npm starts a dozen times.
beforeAll(() => {
  execFileSync(process.execPath, [join(import.meta.dirname, 'pack.mjs'), out], { stdio: 'pipe' });
}, 120_000);
afterAll(() => rmSync(out, { recursive: true, force: true }));

test('packages hold what runs, with a licence and nothing of the tests', () => {
  for (const file of tarballs()) {
    const files = tar('-tzf', file).trim().split('\n');
    expect(files).toContain('package/LICENSE');
    expect(files.filter((name) => /\.test\.|\.testing\.|tsbuildinfo|\.map$/.test(name))).toEqual([]);
    expect(files.filter((name) => name.endsWith('.node'))).toHaveLength(/engine-\D/.test(file) ? 1 : 0);
  }
});

test('nothing runs at installation, nothing is private, all versions are one', () => {
  const manifests = tarballs().map(manifest);
  expect(manifests.length).toBeGreaterThan(10);
  for (const { scripts, private: isPrivate, version } of manifests) {
    expect([scripts, isPrivate, version]).toEqual([undefined, undefined, manifests[0].version]);
  }
});

test('the engine names its platforms, each of which says where it fits', () => {
  const all = new Map(tarballs().map((file) => [manifest(file).name, manifest(file)]));
  const platforms = Object.keys(all.get('@ilsvrc/engine').optionalDependencies);
  expect(platforms.length).toBeGreaterThan(0);
  for (const name of platforms) {
    const { os, cpu, libc } = all.get(name);
    expect(name).toContain([...os, ...cpu].join('-'));
    expect(libc).toEqual(os.includes('linux') ? ['glibc'] : undefined);
  }
});
