/** `localize` and `train --head boxes` as a user meets them, on the built-in set, whose boxes are known. */
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateBuiltin } from '@ilsvrc/engine';
import { afterAll, beforeAll, expect, test } from 'vitest';

const program = join(import.meta.dirname, '../bin/ilsvrc.mjs');
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-localize-'));
const env = { ...process.env, ILSVRC_DEVICES: 'cpu' };
const model = 'runs/r/model.safetensors';
const head = 'runs/r/head.safetensors';

function ilsvrc(...args: string[]) {
  return spawnSync(process.execPath, [program, ...args], { cwd: place, encoding: 'utf8', env });
}

/** What a run prints, which must end well. */
function done(...args: string[]): string {
  const { stdout, stderr, status } = ilsvrc(...args);
  expect(status, stderr).toBe(0);
  return stdout;
}

const json = (...args: string[]) => JSON.parse(done(...args, '--json'));

beforeAll(async () => {
  await generateBuiltin({ out: join(place, 'photos'), images: 60, seed: 1, workers: 2 });
  done('prep', 'photos', '-o', 'data', '--size', '72');
  done('train', 'data', '--net', 'alexnet-64', '--epochs', '1', '--run', 'r');
}, 120_000);
afterAll(() => rmSync(place, { recursive: true }));

test('without a head, parts are covered; what is asked for and not there is named', () => {
  const { stderr, stdout } = ilsvrc('localize', model, 'photos/val/ball', '--json');
  expect(stderr).toContain('has no box head: boxes are found by covering parts');
  expect(JSON.parse(stdout)).toMatchObject({
    version: 1,
    method: 'occlusion',
    photos: [{ width: expect.any(Number) }],
  });
  const missing = ilsvrc('localize', model, '--method', 'boxes');
  expect(missing.stderr).toContain('E0510');
  expect(missing.status).toBe(3);
  const photo = ilsvrc('localize', 'cat.jpg');
  expect(photo.stderr).toContain('error[E0104]: the argument MODEL is missing: cat.jpg is a photo');
  const both = ilsvrc('localize', model, 'photos/val/ball', '--data', 'data');
  expect(both.stderr).toContain('error[E0103]: --data is of the images of a data set');
  expect(both.status).toBe(2);
});

test('a head is learned beside the model, and is not replaced unasked', () => {
  const lines = done('train', 'data', '--head', 'boxes', '--model', model, '--epochs', '2', '--json');
  const events = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events.map(({ event }) => event)).toEqual(['epoch', 'epoch', 'end']);
  expect(events[2]).toMatchObject({ head, images: 48, boxed: 48, views: 10, windows: 90, per_class: false });
  expect(ilsvrc('train', 'data', '--head', 'boxes', '--model', model).stderr).toContain('E0308');
  expect(readdirSync(join(place, 'runs/r')).filter((name) => name.includes('tmp'))).toEqual([]);
});

test('the error of a split, and the same from boxes that were written', () => {
  const first = json('localize', model, '--out', 'boxes.json', '--panel', 'panel.png');
  expect(first).toMatchObject({
    version: 1,
    method: 'boxes',
    views: 10,
    images: 12,
    without_boxes: 0,
    split: 'val',
  });
  expect(first.errors).toHaveLength(5);
  expect(first.baselines.centre.known_error).toBeGreaterThan(0);
  expect(readFileSync(join(place, 'panel.png')).subarray(1, 4).toString()).toBe('PNG');
  // The truth itself, as VOC files, has no error.
  const truth = json('localize', '--data', 'data', '--boxes', 'photos/annotations');
  expect(truth).toMatchObject({ images: 12, known_error: 0, errors: [0, 0, 0, 0, 0] });
  expect(truth.mean_iou).toBeGreaterThan(0.99);
  for (const name of ['boxes.json', 'boxes.csv', 'boxes.txt', 'boxes']) {
    if (name !== 'boxes.json') done('localize', model, '--out', name);
    const again = json('localize', '--data', 'data', '--boxes', name);
    expect(again.errors, name).toEqual(first.errors);
  }
  expect(ilsvrc('localize', model, '--out', 'boxes.csv').stderr).toContain('E0308');
});

test('boxes of photos are in their pixels, and photos need no data set', () => {
  const { photos } = json('localize', model, 'photos/val');
  expect(photos).toHaveLength(12);
  for (const { width, height, guesses } of photos) {
    expect(guesses).toHaveLength(5);
    for (const { box, wnid } of guesses) {
      const [left, top, right, bottom] = box;
      expect(
        left >= 0 && left < right && right <= width && top >= 0 && top < bottom && bottom <= height,
      ).toBe(true);
      expect(wnid).toMatch(/^[a-z]+$/);
    }
  }
  // Photos and the split's prepared images are the same: so are their boxes, up to a JPEG's loss.
  done('localize', model, '--out', 'split.json');
  const split = JSON.parse(readFileSync(join(place, 'split.json'), 'utf8'));
  const file = split.images.findIndex((image: { file_name: string }) =>
    image.file_name.endsWith('ball/00004.jpg'),
  );
  const [x, y] = split.annotations.find((entry: { image_id: number }) => entry.image_id === file + 1).bbox;
  const ball = photos.find((photo: { file: string }) => photo.file.endsWith('ball/00004.jpg'));
  expect(Math.abs(ball.guesses[0].box[0] - x)).toBeLessThan(15);
  expect(Math.abs(ball.guesses[0].box[1] - y)).toBeLessThan(15);
});

test('a narrow terminal and a closed pipe', async () => {
  const narrow = spawnSync(process.execPath, [program, 'localize', model, 'photos/val/ball'], {
    cwd: place,
    encoding: 'utf8',
    env: { ...env, COLUMNS: '40' },
  });
  expect(narrow.status).toBe(0);
  expect(Math.max(...narrow.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(40);
  const child = spawn(process.execPath, [program, 'localize', model, 'photos/val'], { cwd: place, env });
  child.stdout.destroy();
  const status = await new Promise((resolve) => child.on('close', resolve));
  expect(status).toBe(0);
});

test('heads of other models, damaged ones and other files are refused', () => {
  mkdirSync(join(place, 'other'));
  cpSync(join(place, 'runs/r/checkpoint.safetensors'), join(place, 'other/model.safetensors'));
  cpSync(join(place, head), join(place, 'other/head.safetensors'));
  expect(ilsvrc('localize', 'other/model.safetensors', 'photos/val/ball').stderr).toContain('E0511');
  cpSync(join(place, model), join(place, 'other/model.safetensors'));
  expect(ilsvrc('localize', 'other/model.safetensors', 'photos/val/ball').status).toBe(0);
  truncateSync(join(place, 'other/head.safetensors'), 5000);
  expect(ilsvrc('localize', 'other/model.safetensors', 'photos/val/ball').stderr).toContain('E0512');
  cpSync(join(place, model), join(place, 'other/head.safetensors'));
  expect(ilsvrc('localize', 'other/model.safetensors', 'photos/val/ball').stderr).toContain('E0512');
});

test('data without boxes, boxes of other images, lists that are none', () => {
  cpSync(join(place, 'photos'), join(place, 'plain'), { recursive: true });
  rmSync(join(place, 'plain/annotations'), { recursive: true });
  done('prep', 'plain', '-o', 'plain-data', '--size', '72');
  expect(ilsvrc('localize', model, '--data', 'plain-data').stderr).toContain('E0513');
  mkdirSync(join(place, 'third'));
  cpSync(join(place, model), join(place, 'third/model.safetensors'));
  const learned = ilsvrc('train', 'plain-data', '--head', 'boxes', '--model', 'third/model.safetensors');
  expect(learned.stderr).toContain('E0513');
  expect(existsSync(join(place, 'third/head.safetensors'))).toBe(false);

  writeFileSync(join(place, 'foreign.csv'), 'ImageId,PredictionString\nnobody,ball 1 2 3 4\n');
  expect(ilsvrc('localize', '--data', 'data', '--boxes', 'foreign.csv').stderr).toContain('E0514');
  writeFileSync(join(place, 'bad.csv'), 'ImageId,PredictionString\nval/ball/00004,ball 1 2 3\n');
  expect(ilsvrc('localize', '--data', 'data', '--boxes', 'bad.csv').stderr).toContain('E0221');
  writeFileSync(join(place, 'list.txt'), '1\n2\nx\n');
  expect(ilsvrc('localize', model, '--blacklist', 'list.txt').stderr).toContain('E0221');
});

test('the blacklist leaves images out by their number, but not all', () => {
  const photos = join(place, 'numbered');
  cpSync(join(place, 'photos'), photos, { recursive: true });
  for (const path of readdirSync(photos, { recursive: true, encoding: 'utf8' })) {
    const renamed = path.replace(/(\d{5})(\.\w+)$/, 'ILSVRC2012_val_000$1$2');
    if (renamed !== path) renameSync(join(photos, path), join(photos, renamed));
  }
  done('prep', 'numbered', '-o', 'numbered-data', '--size', '72');
  const measure = [
    'localize',
    model,
    '--data',
    'numbered-data',
    '--views',
    '1',
    '--blacklist',
    'numbers.txt',
  ];
  const numbers = readdirSync(join(photos, 'val'), { recursive: true, encoding: 'utf8' }).flatMap((path) =>
    path.endsWith('.jpg') ? [Number(path.slice(-9, -4))] : [],
  );
  // Every class has images of the same numbers.
  const others = numbers.filter((number) => number !== numbers[0]);
  writeFileSync(join(place, 'numbers.txt'), others.join('\n'));
  const { images, blacklisted } = json(...measure);
  expect([images, blacklisted]).toEqual([numbers.length - others.length, others.length]);
  writeFileSync(join(place, 'numbers.txt'), numbers.join('\n'));
  const nothing = ilsvrc(...measure);
  expect(nothing.stderr).toContain('error[E0513]: all images of numbered-data (val)');
  expect(nothing.status).toBe(3);
});

test('flags that do not go together', () => {
  const cases = [
    ['train', 'data', '--head', 'boxes', '--resume'],
    ['train', 'data', '--head', 'boxes', '--live'],
    ['train', 'data', '--per-class'],
    ['localize', model, '--boxes', 'boxes.json'],
  ];
  for (const args of cases) {
    const { stderr, status } = ilsvrc(...args);
    expect(stderr).toContain('E0103');
    expect(status).toBe(2);
  }
});

test('a head with a box for each class', () => {
  mkdirSync(join(place, 'classes'));
  cpSync(join(place, model), join(place, 'classes/model.safetensors'));
  const own = 'classes/model.safetensors';
  done('train', 'data', '--head', 'boxes', '--model', own, '--per-class', '--epochs', '1');
  const { photos } = json('localize', own, 'photos/val/ball');
  const boxes = photos[0].guesses.map(({ box }: { box: number[] }) => JSON.stringify(box));
  expect(new Set(boxes).size).toBe(5);
  expect(json('localize', own, '--data', 'data')).toMatchObject({ images: 12 });
});
