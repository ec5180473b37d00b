import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type BenchName, bench, benches, generatePhotos, type Layer } from './index.ts';

test('photos are where their paths say, as long as said', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-photos-'));
  const { paths, bytes } = await generatePhotos({ out: folder, images: 3, seed: 1, workers: 2 });
  expect(paths).toEqual(['class0/000000.jpg', 'class1/000001.jpg', 'class2/000002.jpg']);
  expect(paths.map((path) => statSync(join(folder, path)).size)).toEqual(bytes);
  rmSync(folder, { recursive: true });
});

test('every benchmark of the table is known to the engine and can be stopped', async () => {
  const learning = { weight_std: 0.01, bias: 0 };
  const norm = { type: 'lrn' as const, size: 5, k: 2, alpha: 1e-4, beta: 0.75 };
  const layers: Layer[] = [
    { type: 'conv', name: 'conv1', filters: 4, size: 3, stride: 1, pad: 1, learning },
    norm,
    { type: 'dense', name: 'fc2', units: 2, learning },
  ];
  const nets = [{ name: 'tiny', net: { name: 'tiny', image: 8, crop: 8, towers: 1, layers }, batch: 2 }];
  for (const name of Object.keys(benches) as BenchName[]) {
    const stopped = bench({ names: [name], quick: true, nets }, { signal: AbortSignal.abort('enough') });
    await expect(stopped).rejects.toBe('enough');
  }
});

test('the engine says which benchmarks there are', async () => {
  const unknown = bench({ names: ['nothing' as BenchName], quick: true });
  await expect(unknown).rejects.toMatchObject({ info: Object.keys(benches).join(', ') });
});
