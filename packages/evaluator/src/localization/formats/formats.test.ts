/** Boxes go out and come back in every form; what is malformed is named. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type ImageBoxes, namesOf } from './boxes.ts';
import { fromCoco } from './coco.ts';
import { fromDevkit } from './devkit.ts';
import { expectForm, readBoxes, writeBoxes } from './files.ts';
import { fromKaggle } from './kaggle.ts';

const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-boxes-'));
afterAll(() => rmSync(folder, { recursive: true }));

const classes = [
  { wnid: 'n01', devkit_id: 7 },
  { wnid: 'n02 & <co>', devkit_id: 3 },
];
const spaceless = [
  { wnid: 'n01', devkit_id: 7 },
  { wnid: 'n02', devkit_id: 3 },
];

const imagesOf = ([first, second]: readonly { wnid: string }[]): ImageBoxes[] => [
  {
    name: 'val_2',
    ending: '.JPEG',
    size: { width: 500, height: 334 },
    guesses: [
      { class: second?.wnid ?? '', box: [1.25, 2, 300.5, 333.99], probability: 0.75 },
      { class: first?.wnid ?? '', box: [0, 0, 500, 334], probability: 0.25 },
    ],
  },
  { name: '=cmd,"1"', ending: '.jpg', size: { width: 10, height: 20 }, guesses: [] },
  {
    name: 'val_1',
    ending: '.png',
    size: { width: 10, height: 20 },
    guesses: [{ class: first?.wnid ?? '', box: [-1, 0, 5, 6], probability: 0.5 }],
  },
];

test.each(['boxes.json', 'boxes.csv', 'boxes.txt', 'boxes-voc'])('%s: out and in again', async (name) => {
  const path = join(folder, name);
  // Kaggle's form parts words by blanks.
  const known = name.endsWith('.csv') ? spaceless : classes;
  const images = imagesOf(known);
  await writeBoxes(path, images, known);
  const names = images.map((image) => image.name);
  const expected = images.map(({ guesses }) => guesses.map(({ class: wnid, box }) => ({ class: wnid, box })));
  expect(await readBoxes(path, names, known)).toEqual(expected);
  // In whatever order they are asked for.
  expect(await readBoxes(path, names.toReversed(), known)).toEqual(expected.toReversed());
  expect(readdirSync(folder).filter((file) => file.includes('tmp'))).toEqual([]);
});

test('devkit text is in the order of names and has the numbers of the kit', async () => {
  const path = join(folder, 'order.txt');
  await writeBoxes(path, imagesOf(spaceless), spaceless);
  expect(readFileSync(path, 'utf8')).toBe('\n7 -1 0 5 6\n3 1.25 2 300.5 333.99 7 0 0 500 334\n');
});

test('a spreadsheet sees no formula', async () => {
  const path = join(folder, 'formula.csv');
  await writeBoxes(path, imagesOf(spaceless), spaceless);
  expect(readFileSync(path, 'utf8')).toContain(`\n"'=cmd,""1""",\n`);
});

test('others may name files with ending and folders; guesses of COCO are sorted by score', async () => {
  const path = join(folder, 'others.json');
  const annotation = { image_id: 9, bbox: [1, 2, 3, 4] };
  const content = {
    images: [{ id: 9, file_name: 'val2017/000042.jpg' }],
    categories: [
      { id: 90, name: 'cat' },
      { id: 1, name: 'dog' },
    ],
    annotations: [
      { ...annotation, category_id: 90, score: 0.1 },
      { ...annotation, category_id: 1, score: 0.9 },
    ],
  };
  writeFileSync(path, JSON.stringify(content));
  expect(await readBoxes(path, ['000041', '000042'], [])).toEqual([
    [],
    [
      { class: 'dog', box: [1, 2, 4, 6] },
      { class: 'cat', box: [1, 2, 4, 6] },
    ],
  ]);
  await expect(readBoxes(path, ['somebody'], [])).rejects.toMatchObject({ code: 'E0514' });
});

test('names are short where that tells images apart', () => {
  expect(namesOf(['a/1.jpg', 'b/2.v.jpg'])).toEqual(['1', '2.v']);
  expect(namesOf(['a/1.jpg', 'b/1.jpg'])).toEqual(['a/1', 'b/1']);
});

test('devkit: fewer guesses and zeros that fill a table up', () => {
  const text = '3 1 2 3 4 0 0 0 0 0\r\n';
  expect(fromDevkit(text, 'f', ['a'], spaceless).get('a')).toEqual([{ class: 'n02', box: [1, 2, 3, 4] }]);
  const six = '7 1 1 2 2 '.repeat(6);
  expect(fromDevkit(six, 'f', ['a'], spaceless).get('a')).toHaveLength(5);
});

test.each([
  ['3 1 2 3', 'f, line 1, is not a valid file of boxes', '4 numbers; a guess has 5: class x1 y1 x2 y2'],
  ['8 1 2 3 4', 'f, line 1,', '"8" is no class; there are 2'],
  ['3 1 2 3 1e99', 'f, line 1,', '"1e99" is not a coordinate (a number of pixels)'],
  ['3 1 NaN 3 1', 'f, line 1,', '"NaN" is not a coordinate'],
  ['3 1 2 3 4\n3 1 2 3 4', 'f is', '2 lines for 1 images; there is one for each'],
])('devkit %j is refused', (text, message, info) => {
  expect(() => fromDevkit(text, 'f', ['a'], spaceless)).toThrow(
    expect.objectContaining({
      code: 'E0221',
      message: expect.stringContaining(message),
      info: expect.stringContaining(info),
    }),
  );
});

test.each([
  ['', 'its first line is ""'],
  ['a,b\n', 'its first line is "a,b"'],
  ['ImageId,PredictionString\na;n01 1 2 3 4', 'is not two cells'],
  ['ImageId,PredictionString\na,n01 1 2 3', '4 words; a guess has 5'],
  ['ImageId,PredictionString\na,n01 1 2 x 4', '"x" is not a coordinate'],
  ['ImageId,PredictionString\na,\na,', '"a" was there before'],
])('Kaggle %j is refused', (text, info) => {
  expect(() => fromKaggle(text, 'f')).toThrow(
    expect.objectContaining({ code: 'E0221', info: expect.stringContaining(info) }),
  );
});

const coco = (change: object) =>
  JSON.stringify({
    images: [{ id: 1, file_name: 'a.jpg' }],
    categories: [{ id: 1, name: 'cat' }],
    annotations: [{ image_id: 1, category_id: 1, bbox: [1, 2, 3, 4], ...change }],
  });

test.each([
  ['{', 'not JSON'],
  ['[]', 'it has no list `images`'],
  ['null', 'it has no list `images`'],
  ['{"__proto__": {"images": []}}', 'it has no list `images`'],
  ['['.repeat(100_000), 'not JSON'],
  [coco({ bbox: [1, 2, 3] }), 'bbox is [1,2,3]'],
  [coco({ bbox: [1, 2, 3, -1] }), 'a box of 3 x -1'],
  [coco({ bbox: [1, 2, 3, 1e300] }), '1e+300 is not a coordinate'],
  [coco({ image_id: 2 }), 'image_id 2 is no image'],
  [coco({ image_id: 1.5 }), 'image_id is 1.5; it is a whole number'],
  [coco({ category_id: 2 }), 'category_id 2 is no category'],
  [coco({ score: 'high' }), 'score is "high"'],
])('COCO %j is refused', (text, info) => {
  expect(() => fromCoco(text, 'f')).toThrow(
    expect.objectContaining({ code: 'E0221', info: expect.stringContaining(info) }),
  );
});

test('XML bombs, other forms and names that lead out of the folder are refused', async () => {
  const voc = join(folder, 'bombs');
  mkdirSync(voc);
  const bomb = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotation>&b;</annotation>';
  writeFileSync(join(voc, 'bomb.xml'), bomb);
  writeFileSync(join(voc, 'deep.xml'), '<a>'.repeat(300_000));
  for (const name of ['bomb', 'deep']) {
    await expect(readBoxes(voc, [name], [])).rejects.toMatchObject({ code: 'E0221' });
  }
  await expect(readBoxes(voc, ['none'], [])).rejects.toMatchObject({ code: 'E0514' });
  await expect(readBoxes(voc, ['../bombs/bomb'], [])).rejects.toMatchObject({ code: 'E0221' });
  await expect(readBoxes(join(folder, 'no.json'), ['a'], [])).rejects.toMatchObject({ code: 'E0201' });
  writeFileSync(join(folder, 'a.yaml'), '');
  await expect(readBoxes(join(folder, 'a.yaml'), ['a'], [])).rejects.toMatchObject({ code: 'E0221' });
  const outside = imagesOf(classes).map((image) => ({ ...image, name: `../${image.name}` }));
  await expect(writeBoxes(join(folder, 'out'), outside, classes)).rejects.toMatchObject({ code: 'E0221' });
});

test('a class with a blank is refused where it would become two words', () => {
  expect(() => expectForm('a.CSV', classes)).toThrow(expect.objectContaining({ code: 'E0103' }));
  expectForm('a.csv', spaceless);
  for (const path of ['a.json', 'a.txt', 'a']) expectForm(path, classes);
});

test('a device is no file of boxes, whatever it is called', async () => {
  const device = join(folder, 'device.csv');
  symlinkSync('/dev/null', device);
  await expect(readBoxes(device, ['a'], [])).rejects.toMatchObject({ code: 'E0221' });
});
