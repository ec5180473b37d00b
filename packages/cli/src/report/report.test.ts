import { presets } from '@ilsvrc/config';
import type { Manifest } from '@ilsvrc/dataset';
import { expect, test } from 'vitest';
import { flatten, planned } from './facts.ts';
import { pathFromHere } from './paths.ts';
import { mix } from './photos.ts';

const images = Array.from({ length: 1000 }, (_, index) => index);

test('half of the photos are wrong ones, and more of one kind where the other is rare', () => {
  const wrongs = (isRight: (image: number) => boolean) =>
    mix(images, isRight).filter((image) => !isRight(image)).length;
  expect(wrongs((image) => image % 2 === 0)).toBe(12);
  expect(wrongs((image) => image >= 3)).toBe(3);
  expect(wrongs((image) => image < 3)).toBe(21);
  expect(mix(images.slice(0, 5), () => true)).toHaveLength(5);
});

test('the photos are drawn by chance, and the same ones each time', () => {
  const isRight = (image: number) => image % 3 === 0;
  const [first, again] = [mix(images, isRight), mix(images, isRight)];
  expect(again).toEqual(first);
  expect(new Set(first).size).toBe(24);
  expect(first).not.toEqual([...first].sort((a, b) => a - b));
});

test('paths above the working folder are not passed on', () => {
  expect(pathFromHere(`${process.cwd()}/data/photos`)).toBe('data/photos');
  expect(pathFromHere('/home/someone/data/photos')).toBe('photos');
  expect(flatten({ sources: [{ path: '/home/someone/pets', kind: 'folder' }], exif_rotate: true })).toEqual([
    ['sources 1 path', 'pets'],
    ['sources 1 kind', 'folder'],
    ['exif rotate', 'true'],
  ]);
});

test('a plan becomes facts, and commands that a shell takes as they are meant', () => {
  const { net, recipe } = presets['alexnet-64'];
  const manifest = {
    ...{ name: 'pets', size: 72, classes: [{ wnid: 'cat', name: 'cat' }], preprocessing: {} },
    splits: [{ name: 'train', images: 12_345 }],
  } as unknown as Manifest;
  const settings = { net: net(10), recipe, seed: 3, shuffle: 'full', dataset: "/data/it's; rm" } as const;
  const { summary, commands, layers, filters } = planned({ name: 'my run', settings, manifest }, 'cpu');
  expect(summary).toContain('12,345 training images');
  expect(layers.map(({ name, other }) => [name, other > 0])).toContainEqual(['conv3', true]);
  expect(filters?.description).toContain('64 kernels of 5 × 5 × 3');
  expect(commands[1]?.command).toContain(`ilsvrc train 'it'\\''s; rm' --net alexnet-64`);
  expect(commands[1]?.command).toContain("--seed 3 --run 'my run'");
});
