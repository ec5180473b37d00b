import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildPlan, type PlanOptions } from './index.ts';

let place = '';
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'ilsvrc-plan-'));
});
afterEach(() => rmSync(place, { recursive: true }));

/** Makes empty files; their content is the decoder's concern. */
function files(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(place, path)), { recursive: true });
    writeFileSync(join(place, path), '');
  }
}

/** Enough names that a tenth of them is some. */
const many = (folder: string) => Array.from({ length: 40 }, (_, i) => `${folder}/${i}.jpg`);

const plan = (changes: Partial<PlanOptions> = {}) =>
  buildPlan({
    sources: [place],
    out: 'out',
    name: 'test',
    size: 32,
    resize: 'crop',
    quality: 85,
    workers: 1,
    seed: 0,
    shardImages: 10,
    maxRejected: 0.01,
    force: false,
    ...changes,
  });

type Plan = Awaited<ReturnType<typeof plan>>;

const paths = ({ splits }: Plan, name: string) =>
  splits.find((split) => split.name === name)?.items.map(({ path }) => path) ?? [];

test('train/ and val/ are taken as they are, sorted, other files ignored', async () => {
  files(
    'train/b/2.jpg',
    'train/b/1.JPEG',
    'train/a/x.png',
    'val/a/y.webp',
    'test/a/z.jpg',
    'train/readme.md',
  );
  const made = await plan();
  expect(made.layout).toBe('image folder: train/<class>/, val/<class>/');
  expect(made.classes.map(({ wnid }) => wnid)).toEqual(['a', 'b']);
  expect(paths(made, 'train')).toEqual(['train/a/x.png', 'train/b/1.JPEG', 'train/b/2.jpg']);
  expect(paths(made, 'val')).toEqual(['val/a/y.webp']);
  expect(made.splits[0]?.items.map((item) => item.class)).toEqual([0, 1, 1]);
  expect(made.ignored).toBe(2);
});

test('test/ is for validation where there is no val/, also below a folder that wraps everything', async () => {
  files('set/train/a/1.jpg', 'set/train/b/1.jpg', 'set/test/b/2.jpg');
  expect(paths(await plan(), 'val')).toEqual(['set/test/b/2.jpg']);
});

test('class folders: each image keeps its side when others are added', async () => {
  files(...many('cat'), ...many('dog'));
  const before = paths(await plan(), 'val');
  expect(before.length).toBeGreaterThan(0);
  expect(before.length).toBeLessThan(20);
  files(...many('emu'));
  const after = paths(await plan(), 'val').filter((path) => !path.startsWith('emu'));
  expect(after).toEqual(before);
  expect(paths(await plan({ seed: 1 }), 'val')).not.toEqual(before);
});

test('hidden files, AppleDouble files and links that lead in circles are ignored', async () => {
  files(
    'train/a/1.jpg',
    'train/b/1.jpg',
    'val/a/1.jpg',
    'train/a/._1.jpg',
    '.cache/a/1.jpg',
    '__MACOSX/a/1.jpg',
  );
  symlinkSync(place, join(place, 'train/a/loop'));
  const made = await plan();
  expect(made.splits.flatMap(({ items }) => items)).toHaveLength(3);
  expect(made.ignored).toBe(4);
});

test('names come from a mapping in the source, or from a file', async () => {
  files('train/n01/1.jpg', 'train/n02/1.jpg', 'val/n01/1.jpg');
  writeFileSync(join(place, 'LOC_synset_mapping.txt'), 'n01 tench, Tinca tinca\r\nn02 crane\n\n');
  expect((await plan()).classes.map(({ name }) => name)).toEqual(['tench', 'crane']);
  writeFileSync(join(place, 'own.txt'), 'n02 bird');
  const names = join(place, 'own.txt');
  expect((await plan({ names })).classes.map(({ name }) => name)).toEqual(['n01', 'bird']);
  await expect(plan({ names: join(place, 'none.txt') })).rejects.toMatchObject({ code: 'E0201' });
});

test('a tar is planned as the folder is, with the place of each member', async () => {
  const header = (name: string, size: number) => {
    const block = Buffer.alloc(512);
    block.write(name, 0);
    block.write('0000644\0', 100);
    block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
    block.write('0ustar\x0000', 156);
    block.fill(' ', 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return block;
  };
  const members = ['./set/train/a/1.jpg', './set/train/b/1.jpg', './set/val/a/2.jpg'];
  const archive = join(place, 'set.tar');
  const body = Buffer.alloc(512, 'jpeg');
  writeFileSync(
    archive,
    Buffer.concat([...members.flatMap((name) => [header(name, 4), body]), Buffer.alloc(1024)]),
  );
  const made = await plan({ sources: [archive] });
  expect(made.sources).toEqual([{ path: archive, kind: 'tar' }]);
  expect(made.splits[1]?.items).toEqual([
    { source: 0, path: 'set/val/a/2.jpg', offset: 2560, size: 4, class: 0 },
  ]);
});

test('several sources become one data set', async () => {
  files('one/cat/1.jpg', ...many('one/dog'), ...many('two/emu'), 'two/cat/9.jpg');
  const made = await plan({ sources: [join(place, 'one'), join(place, 'two')] });
  expect(made.classes.map(({ wnid }) => wnid)).toEqual(['cat', 'dog', 'emu']);
  expect(new Set(made.splits.flatMap(({ items }) => items.map(({ source }) => source)))).toEqual(
    new Set([0, 1]),
  );
});

test('sources that cannot be learned from are refused', async () => {
  await expect(plan({ sources: [join(place, 'none')] })).rejects.toMatchObject({ code: 'E0201' });
  await expect(plan()).rejects.toMatchObject({ code: 'E0202' });
  files('1.jpg', '2.jpg');
  await expect(plan()).rejects.toMatchObject({ code: 'E0209' });
  files(...many('cat'));
  await expect(plan()).rejects.toMatchObject({ code: 'E0208' });
  files('train/a/1.jpg', 'train/b/1.jpg', 'val/c/1.jpg');
  await expect(plan()).rejects.toMatchObject({ code: 'E0209', message: expect.stringContaining(': c') });
});
