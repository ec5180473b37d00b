/** What ranks under the system's MPI do together beside training: what one process does, to the bit. Skipped as `ranks.test.ts` is. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { codes } from '@ilsvrc/diagnostics';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ended, ilsvrc, isBuiltWithMpi, prepareData, start, train } from './ranks.testing.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-sharing-'));
const model = 'runs/net/model.safetensors';

/** Runs the program as `ranks` processes; alone for 1. */
const run = (ranks: number, ...args: string[]): Promise<Ended> =>
  start(place, [...(ranks === 1 ? [] : ['mpirun', '-np', String(ranks)]), ...ilsvrc, ...args]).ended;

/** The document that the program prints, once. */
async function document(ranks: number, ...args: string[]) {
  const { status, out, messages } = await run(ranks, ...args, '--json', '--devices', 'cpu');
  expect({ status, messages }).toMatchObject({ status: 0 });
  return JSON.parse(out);
}

const builtWithMpi = isBuiltWithMpi();
if (!builtWithMpi) console.warn('ranks: no MPI here, or a build without it: not tested');

beforeAll(async () => {
  await prepareData(place);
  await run(1, ...train('net', '--epochs', '1'));
});
afterAll(() => rmSync(place, { recursive: true }));

/** Passes of 16 images: of three ranks two have some in the last round, and one of these few. */
const passes = ['--batch', '16'];

describe.runIf(builtWithMpi)('ranks under MPI', () => {
  /** Names and bytes of a folder's files. */
  const files = (folder: string) =>
    readdirSync(join(place, folder))
      .sort()
      .map((name) => [name, readFileSync(join(place, folder, name), 'latin1')]);

  test.each([['--pca', '8'], ['--half']])('build the store of one process (%s)', async (...options) => {
    const index = ['retrieve', 'index', model, ...passes, ...options, '--store'];
    const [one, three] = ['one', 'three'].map((name) => `${name}${options[0]}`) as [string, string];
    await run(1, ...index, one);
    const { status, messages } = await run(3, ...index, three);
    expect({ status, messages }).toMatchObject({ status: 0 });
    expect(messages.match(/wrote/g)).toHaveLength(1);
    expect(files(three)).toEqual(files(one));
  });

  test('find the neighbours of one process', async () => {
    const retrieve = ['retrieve', model, ...passes, '-k', '40', '--queries', '7', '--panel'];
    const one = await document(1, ...retrieve, 'one.png');
    expect(one).toHaveLength(7);
    expect(await document(3, ...retrieve, 'three.png')).toEqual(one);
    expect(readFileSync(join(place, 'three.png')).equals(readFileSync(join(place, 'one.png')))).toBe(true);
  });

  test('leave out a photo that cannot be used, and tell of it once', async () => {
    const [photo] = readdirSync(join(place, 'photos', 'train'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.jpg'))
      .map((name) => join('photos', 'train', name)) as [string];
    const photos = [photo, 'data/dataset.json', photo];
    const retrieve = ['retrieve', model, ...photos, ...passes, '--devices', 'cpu', '--color', 'never'];
    const [one, two] = [await run(1, ...retrieve), await run(2, ...retrieve)];
    expect(two.out).toBe(one.out);
    expect(two.status).toBe(codes.E0212.exit);
    expect(two.messages.match(/dataset.json cannot be decoded/g)).toHaveLength(1);
  });

  test('score a store as one process does', async () => {
    const scored = async (ranks: number) => {
      const { images_per_second, ...rest } = await document(ranks, 'retrieve', model, ...passes, '--score');
      expect(images_per_second).toBeGreaterThan(0);
      return rest;
    };
    expect(await scored(3)).toEqual(await scored(1));
  });

  test('train the box head of one process, and measure it alike', async () => {
    const head = ['train', 'data', '--head', 'boxes', '--model', model, '--epochs', '1', '--force'];
    const bytes = () => readFileSync(join(place, 'runs/net/head.safetensors'));
    await run(1, ...head, '--devices', 'cpu');
    const one = bytes();
    const { status, out, messages } = await run(3, ...head, '--devices', 'cpu');
    expect({ status, messages }).toMatchObject({ status: 0 });
    expect(out.match(/one box for all classes/g)).toHaveLength(1);
    expect(bytes().equals(one)).toBe(true);
    const located = async (ranks: number) => {
      const { seconds, ...rest } = await document(ranks, 'localize', model, '--views', '1', '--batch', '2');
      expect(seconds).toBeGreaterThan(0);
      return rest;
    };
    expect(await located(3)).toEqual(await located(1));
  });

  test('are refused where they would all do the same', async () => {
    const verbs = [
      ['predict', model, 'photo.jpg'],
      ['report', 'runs/net'],
      ['prep', 'photos', '-o', 'again'],
      ['localize', model, 'photo.jpg'],
      ['eval', '--from', 'somewhere'],
      ['retrieve', model, '-'],
      ['retrieve', model, '--engine', 'usearch'],
    ];
    for (const args of verbs) {
      const { status, messages } = await run(2, ...args);
      expect({ args, status, messages }).toMatchObject({ status: codes.E0426.exit });
      expect(messages).toMatch(/error\[E0426\]: .* is not shared out to several processes/);
      expect(messages).toContain('Open MPI started this one as rank');
    }
    expect(readdirSync(place)).not.toContain('again');
  });

  test('tell what goes wrong on one of them, with its number and host', async () => {
    // Rank 1 is elsewhere, where there is no data set.
    const script = `[ "$OMPI_COMM_WORLD_RANK" = 1 ] && cd /; exec "$@"`;
    const shell = ['mpirun', '-np', '2', 'sh', '-c', script, 'sh'];
    const { status, messages } = await start(place, [...shell, ...ilsvrc, ...train('lost')]).ended;
    expect(status).toBe(codes.E0201.exit);
    expect(messages).toContain(`rank 1 on ${hostname()}: `);
  });
});
