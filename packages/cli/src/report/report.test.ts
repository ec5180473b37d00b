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
  expect(commands[0]?.command).toBe(`ilsvrc prep PHOTOS -o 'it'\\''s; rm' --size 72`);
  // The net is one of ten classes, the data set has one.
  expect(commands[1]).toEqual({
    what: 'Train, with the net of ilsvrc.config.ts.',
    command: `ilsvrc train 'it'\\''s; rm' --epochs 40 --batch 32 --lr 0.01 --schedule exp --seed 3 --run 'my run'`,
  });
});

test('what is not as usual is in the commands, or said to be in the config file', () => {
  const { net, recipe } = presets['alexnet-64'];
  const sources = [
    { path: '/a/one', kind: 'folder' },
    { path: '/b/two.tar', kind: 'archive' },
  ];
  const manifest = {
    ...{ name: 'pets', size: 72, splits: [], classes: ['cat', 'dog'].map((name) => ({ wnid: name, name })) },
    preprocessing: { sources, resize: 'warp', exif_rotate: true, quality: 90, seed: 4 },
  } as unknown as Manifest;
  const settings = { net: net(2), seed: 0, shuffle: { window: 8 }, dataset: 'pets' } as const;
  const commandsOf = (momentum: number) =>
    planned({ name: 'r', settings: { ...settings, recipe: { ...recipe, momentum } }, manifest }, 'cpu')
      .commands;
  const [prepare, train] = commandsOf(recipe.momentum);
  expect(prepare?.command).toBe(
    'ilsvrc prep one two.tar -o pets --size 72 --resize warp --exif-rotate --quality 90 --seed 4',
  );
  expect(train?.what).toBe('Train.');
  expect(train?.command).toMatch(/^ilsvrc train pets --net alexnet-64 .* --shuffle window:8 --run r$/);
  expect(commandsOf(0.5)[1]?.what).toBe('Train, with the recipe of ilsvrc.config.ts.');
});
