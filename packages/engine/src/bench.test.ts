import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type BenchName, bench, benches, generatePhotos } from './index.ts';

test('photos are where their paths say, as long as said', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-photos-'));
  const { paths, bytes } = await generatePhotos({ out: folder, images: 3, seed: 1, workers: 2 });
  expect(paths).toEqual(['class0/000000.jpg', 'class1/000001.jpg', 'class2/000002.jpg']);
  expect(paths.map((path) => statSync(join(folder, path)).size)).toEqual(bytes);
  rmSync(folder, { recursive: true });
});

test('every benchmark of the table is known to the engine and can be stopped', async () => {
  for (const name of Object.keys(benches) as BenchName[]) {
    const stopped = bench({ names: [name], quick: true }, { signal: AbortSignal.abort('enough') });
    await expect(stopped).rejects.toBe('enough');
  }
});

test('the engine says which benchmarks there are', async () => {
  const unknown = bench({ names: ['nothing' as BenchName], quick: true });
  await expect(unknown).rejects.toMatchObject({ info: Object.keys(benches).join(', ') });
});
