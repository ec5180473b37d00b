import { mkdtemp, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { afterAll, expect, test } from 'vitest';
import { csvLine } from './csv.ts';
import { writeEvaluation } from './files.ts';
import { judge } from './judge.ts';
import { toResult } from './result.ts';
import { madeOutputs } from './samples.ts';
import { readSaved } from './saved.ts';
import { predictionSchema, resultSchema } from './schema.ts';

const root = await mkdtemp(join(tmpdir(), 'ilsvrc-evaluation-'));
afterAll(() => rm(root, { recursive: true }));

const one = [
  [0.5, 0.25, 0.25, 0, 0, 0],
  [0, 0.75, 0.25, 0, 0, 0],
  [0, 0.875, 0.125, 0, 0, 0],
];
const two = [
  [0.5, 0.25, 0.25, 0, 0, 0],
  [0.25, 0.75, 0, 0, 0, 0],
  [0, 0.25, 0.75, 0, 0, 0],
];
const labels = [0, 1, 2];

async function write(name: string, rows: number[][][], truth = labels, devkit = false) {
  const folder = join(root, name);
  const evaluation = judge(madeOutputs(rows, truth, devkit));
  const written = await writeEvaluation(folder, toResult(evaluation, 3), evaluation);
  const text = (file: string) => readFile(join(folder, file), 'utf8');
  return { folder, evaluation, written, text };
}

test('result.json is what its schema says', async () => {
  const { text } = await write('result', [one, two]);
  const result = v.parse(resultSchema, JSON.parse(await text('result.json')));
  expect(result).toMatchObject({
    version: 2,
    images: 3,
    top1_error: expect.closeTo(1 / 3, 12),
    top5_error: 0,
    top_k: { k: 3, error: 0 },
    images_expected: 3,
    images_failed: 0,
    views: 10,
    images_per_second: 1.5,
  });
  expect(result.models.map(({ weight, top1_error }) => [weight, top1_error])).toEqual([
    [0.5, expect.closeTo(1 / 3, 12)],
    [0.5, 0],
  ]);
  // Both models, each with the mean; top-1 and top-5.
  expect(result.comparisons).toHaveLength(6);
  expect(result.comparisons[0]).toMatchObject({ a: 0, b: 1, k: 1, only_a: 0, only_b: 1, p_value: 1 });
  expect(result.worst_classes).toEqual([
    { wnid: 'n2', name: 'class 2', images: 1, top1_error: 1, top5_error: 0 },
  ]);
  expect(result.confusions).toMatchObject([{ truth: { wnid: 'n2' }, predicted: { wnid: 'n1' }, images: 1 }]);
});

test('predictions.jsonl: a line an image', async () => {
  const { text } = await write('predictions', [one]);
  const lines = (await text('predictions.jsonl')).trimEnd().split('\n');
  const [first, , last] = lines.map((line) => v.parse(predictionSchema, JSON.parse(line)));
  expect(lines).toHaveLength(3);
  expect(first).toMatchObject({
    image: 0,
    key: '00000000-photo',
    path: 'val/n0/photo-3.jpg',
    wnid: 'n0',
    rank: 1,
  });
  expect(last).toMatchObject({ wnid: 'n2', rank: 2 });
  expect(last?.top5[0]).toEqual({ wnid: 'n1', probability: 0.875 });
  expect(last?.top5).toHaveLength(5);
});

test('tables: a class a line, and what is taken for what', async () => {
  const { text } = await write('tables', [one]);
  expect(await text('per-class.csv')).toBe(
    `wnid,name,images,top1_error,top5_error,confused_with,confused_images
n0,class 0,1,0,0,,0
n1,"'=cmd, ""quoted""",1,0,0,,0
n2,class 2,1,1,0,n1,1
n3,class 3,0,,,,0
n4,class 4,0,,,,0
n5,class 5,0,,,,0
`,
  );
  expect(await text('confusion.csv')).toBe(
    'wnid,n0,n1,n2,n3,n4,n5\nn0,1,0,0,0,0,0\nn1,0,1,0,0,0,0\nn2,0,1,0,0,0,0\nn3,0,0,0,0,0,0\nn4,0,0,0,0,0,0\nn5,0,0,0,0,0,0\n',
  );
});

test('cells that a spreadsheet would run are harmless', () => {
  expect(csvLine(['=1+1', '+1', '-1', '@x', '\tx', 'a\nb', -1, null])).toBe(
    `'=1+1,'+1,'-1,'@x,'\tx,"a\nb",-1,`,
  );
});

test('a submission has the devkit numbers of five classes, in the order of file names', async () => {
  const { text } = await write('submission', [one], labels, true);
  // Images 2 and 1 (photo-1, photo-2) say the same, image 0 is photo-3.
  expect(await text('submission.txt')).toBe(
    '101 102 100 103 104\n101 102 100 103 104\n100 101 102 103 104\n',
  );
});

test('no submission without the devkit, and none of half the images', async () => {
  expect((await write('none', [one])).written).not.toContain('submission.txt');
  const evaluation = judge(madeOutputs([one, two], labels, true), { fit: { seed: 0 } });
  const folder = join(root, 'half');
  expect(await writeEvaluation(folder, toResult(evaluation, 5), evaluation)).not.toContain('submission.txt');
  expect((await readdir(folder)).sort()).toEqual([
    'confusion.csv', 'per-class.csv', 'predictions.jsonl', 'probabilities.safetensors', 'result.json',
  ]); // biome-ignore format: one line
  // Nor where the half is read again.
  const again = judge(await readSaved([folder]));
  const { images_seen, images_expected } = toResult(again, 5);
  expect([images_seen, images_expected]).toEqual([1, 3]);
  expect(await writeEvaluation(join(root, 'again'), toResult(again, 5), again)).not.toContain(
    'submission.txt',
  );
});

test('saved models are averaged as if they had just run', async () => {
  const [a, b] = [await write('a', [one]), await write('b', [two])];
  const both = await write('both', [one, two]);
  const again = judge(await readSaved([a.folder, b.folder]));
  const { seconds, images_per_second, ...now } = toResult(again, 3);
  const { seconds: _, images_per_second: __, ...then } = toResult(both.evaluation, 3);
  expect([seconds, images_per_second]).toEqual([null, null]);
  // A half cannot tell less than 2^-25 from 0: calibration and log loss move by that much.
  expect(now).toMatchObject({ ...then, calibration: expect.anything(), log_loss: expect.closeTo(then.log_loss, 6), models: expect.anything() }); // biome-ignore format: one line
  // The members of an average are there one by one.
  const apart = await readSaved([both.folder]);
  expect(apart.members.map(({ path }) => path)).toEqual(['model-0.safetensors', 'model-1.safetensors']);
  expect(judge(apart).top1_error).toBe(both.evaluation.top1_error);
});

test('a confident miss is not infinite after it was saved', async () => {
  const { folder } = await write('miss', [[[1, 0, 0]]], [2]);
  expect(judge(await readSaved([folder])).log_loss).toBeCloseTo(25 * Math.LN2, 6);
});

test('evaluations of other images are not averaged', async () => {
  const a = await write('same', [one]);
  const other = await write('other', [one], [0, 1, 1]);
  const fewer = await write('fewer', [one.slice(1)], [1, 2]);
  const classes = await write('classes', [one.map((row) => row.slice(0, 5))]);
  for (const [{ folder }, info] of [
    [other, 'image 2 is val/n2/photo-1.jpg and val/n1/photo-1.jpg'],
    [fewer, '3 images and 2'],
    [classes, '6 classes and 5'],
  ] as const) {
    await expect(readSaved([a.folder, folder])).rejects.toMatchObject({ code: 'E0506', info });
  }
});

test('a folder without probabilities, a file cut short, and probabilities that are none', async () => {
  await expect(readSaved([root])).rejects.toMatchObject({ code: 'E0506' });
  const { folder } = await write('cut', [one]);
  await truncate(join(folder, 'probabilities.safetensors'), 600);
  await expect(readSaved([folder])).rejects.toMatchObject({ code: 'E0507' });
  const wild = await write('wild', [[[Number.NaN, 1]]], [0]);
  await expect(readSaved([wild.folder])).rejects.toMatchObject({ code: 'E0505' });
  const nothing = await write('nothing', [[]], []);
  await expect(readSaved([nothing.folder])).rejects.toMatchObject({ code: 'E0507' });
});
