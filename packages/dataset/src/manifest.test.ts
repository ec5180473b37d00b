import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readManifest } from './index.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-manifest-'));
afterAll(() => rmSync(place, { recursive: true }));

const manifest = {
  version: 2,
  checksum: '0a1b',
  name: 'pets',
  size: 72,
  classes: [{ wnid: 'cat', name: 'cat' }],
  splits: [{ name: 'train', images: 3 }],
  preprocessing: { resize: 'crop' },
};

function read(content: string) {
  writeFileSync(join(place, 'dataset.json'), content);
  return readManifest(place);
}

test('a manifest is read', async () => {
  expect(await read(JSON.stringify(manifest))).toEqual(manifest);
});

test('one that is cut short, of another shape or of another version is refused', async () => {
  await expect(readManifest(join(place, 'none'))).rejects.toMatchObject({ code: 'E0205' });
  await expect(read(JSON.stringify(manifest).slice(0, 40))).rejects.toMatchObject({ code: 'E0205' });
  await expect(read('null')).rejects.toMatchObject({ code: 'E0205' });
  await expect(read(JSON.stringify({ ...manifest, size: 'big' }))).rejects.toMatchObject({
    code: 'E0205',
    info: expect.stringMatching(/^size: /),
  });
  await expect(read(JSON.stringify({ ...manifest, version: 3 }))).rejects.toMatchObject({ code: 'E0206' });
});
