/** A disk that fills up, as a small file system of our own: the error, what is left, and going on with more space. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateBuiltin } from '@ilsvrc/engine';
import { afterAll, beforeAll, expect, test } from 'vitest';

const program = join(import.meta.dirname, '../bin/ilsvrc.mjs');
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-disk-'));

beforeAll(() => generateBuiltin({ out: join(place, 'photos'), images: 120, seed: 1, workers: 2 }));
afterAll(() => rmSync(place, { recursive: true }));

/** Runs a script in a mount namespace of its own, where `mount` is allowed and leaves no trace. */
function apart(script: string) {
  return spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', script], {
    cwd: place,
    encoding: 'utf8',
    env: { ...process.env, NODE: process.execPath, ILSVRC: program },
  });
}

const canMount = apart('mount -t tmpfs none /mnt').status === 0;

test.skipIf(!canMount)('prep says so, leaves nothing half-written and goes on', () => {
  const { stdout, stderr, status } = apart(`
    mkdir -p disk && mount -t tmpfs -o size=300k none disk
    prep() { "$NODE" "$ILSVRC" prep photos -o "$1" --size 72 --shard-images 8; }
    prep disk/data; echo "status $?"
    find disk -name '*.tmp*' | wc -l
    test -e disk/data/dataset.json && echo finished
    mount -o remount,size=10m disk
    prep disk/data && prep whole && diff -r disk/data whole && echo same`);
  expect(stderr).toMatch(/error\[E0211\]: the disk is full/);
  expect(stderr).toMatch(/hint: free space or choose another disk/);
  expect(stdout).toMatch(/status 1\n0\n/);
  expect(stdout).not.toContain('finished');
  expect(stdout).toContain('same');
  expect(status).toBe(0);
});

test.skipIf(!canMount)('train says so, and goes on from its last whole checkpoint', () => {
  // Room for one checkpoint of 15 MB, but not for the next beside it.
  const { stdout, stderr } = apart(`
    mkdir -p disk && mount -t tmpfs -o size=24m none disk
    "$NODE" "$ILSVRC" prep photos -o data --size 72 --force
    cd disk
    train() {
      "$NODE" "$ILSVRC" train ../data --devices cpu --net alexnet-64 --batch 16 --epochs 2 --run r "$@"
      echo "status $?"
    }
    train --checkpoint-steps 2
    mount -o remount,size=200m .
    train --resume`);
  expect(stderr).toMatch(/error\[E0211\]: the disk is full/);
  expect(stdout).toMatch(/status 1\n[\s\S]*status 0\n/);
});
