import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Output } from '../output.ts';
import { compare, expectNothingWorse, showComparison, smallestBand } from './compare.ts';
import { printed } from './printed.testing.ts';
import { readSaved, type SavedFigure } from './saved.ts';

const peak = (before: number, after = before) => ({ name: 'FMA peak', unit: 'GFLOP/s', before, after });

function figure(samples: number[], rest: Partial<SavedFigure> = {}): SavedFigure {
  return {
    name: 'step/alexnet/batch128',
    unit: 'images/s',
    better: 'more',
    samples,
    yardstick: peak(200),
    ...rest,
  };
}

function change(base: SavedFigure, now: SavedFigure) {
  const [only] = compare({ benches: [base] }, { benches: [now] }).changes;
  if (only === undefined) throw new Error('not compared');
  return only;
}

describe('a change', () => {
  test('is the same within the smallest band, and one way or the other beyond it', () => {
    const of = (now: number) => change(figure([100, 100, 100]), figure([now, now, now]));
    expect(of(100 * (1 + smallestBand) - 0.1).verdict).toBe('same');
    expect(of(100 * (1 + smallestBand) + 0.1).verdict).toBe('better');
    expect(of(100 / (1 + smallestBand) + 0.1).verdict).toBe('same');
    expect(of(100 / (1 + smallestBand) - 0.1).verdict).toBe('worse');
  });

  test('of a time is better where it is less', () => {
    const time = { unit: 'ms', better: 'less' } as const;
    const { verdict, change: grown, gain } = change(figure([10], time), figure([12.5], time));
    expect([verdict, grown, gain]).toEqual(['worse', 0.25, expect.closeTo(-0.2)]);
    expect(change(figure([10], time), figure([8], time)).verdict).toBe('better');
  });

  test('on a slower clock is none, and on a faster one it shows', () => {
    const slower = change(figure([100]), figure([50], { yardstick: peak(100) }));
    expect([slower.verdict, slower.change, slower.gain]).toEqual(['same', -0.5, expect.closeTo(0)]);
    expect(change(figure([100]), figure([100], { yardstick: peak(250) })).verdict).toBe('worse');
    const time = { unit: 'ms', better: 'less', yardstick: peak(100) } as const;
    expect(change(figure([10], { ...time, yardstick: peak(200) }), figure([20], time)).verdict).toBe('same');
  });

  test('is taken as measured where yardsticks are of different things', () => {
    const memory = { name: 'reading memory', unit: 'GB/s', before: 20, after: 20 };
    expect(change(figure([100]), figure([100], { yardstick: memory })).gain).toBe(0);
    expect(change(figure([100]), figure([100], { yardstick: null })).gain).toBe(0);
  });

  test('has a band of three standard errors, that one slow round does not widen', () => {
    const quiet = [98, 99, 100, 101, 102];
    // 1.2533 * 1.4826 * MAD / sqrt(n) / median, of both sides.
    const expected = 3 * Math.SQRT2 * ((1.2533 * 1.4826 * 1) / Math.sqrt(5) / 100);
    expect(expected).toBeLessThan(smallestBand);
    expect(change(figure(quiet), figure(quiet)).band).toBe(smallestBand);
    const loud = [80, 90, 100, 110, 120];
    expect(change(figure(loud), figure(loud)).band).toBeCloseTo(10 * expected);
    expect(change(figure([10, 99, 100, 101, 102]), figure(quiet)).band).toBe(smallestBand);
    expect(change(figure(loud), figure(loud.map((sample) => 0.8 * sample))).verdict).toBe('same');
  });

  test('has a wider band where the clock changed meanwhile', () => {
    const wandering = figure([100, 100, 100], { yardstick: peak(180, 220) });
    expect(change(wandering, wandering).band).toBeCloseTo(0.2);
  });
});

test('what one run alone has is said, and so is a case that measures something else now', () => {
  const other = { ...figure([1]), name: 'prep/whole/2' };
  const { changes, only_base, only_now } = compare(
    { benches: [figure([1]), other] },
    { benches: [figure([1], { unit: 'ms', better: 'less' }), { ...other, name: 'lrn/conv1/forward' }] },
  );
  expect(changes).toEqual([]);
  expect(only_base).toEqual(['step/alexnet/batch128', 'prep/whole/2']);
  expect(only_now).toEqual(['step/alexnet/batch128', 'lrn/conv1/forward']);
});

test('a worse case fails with the status of thresholds, nothing in common as a useless file', () => {
  const benches = (samples: number[]) => ({ benches: [figure(samples)] });
  expect(() => expectNothingWorse(compare(benches([100]), benches([100])), 'a')).not.toThrow();
  expect(() => expectNothingWorse(compare(benches([100]), benches([80])), 'a')).toThrow(
    expect.objectContaining({ code: 'E0501', exitCode: 5 }),
  );
  expect(() => expectNothingWorse(compare({ benches: [] }, benches([80])), 'a')).toThrow(
    expect.objectContaining({ code: 'E0508', exitCode: 3 }),
  );
});

describe('on a terminal of 40 columns', () => {
  const width = process.stdout.columns;
  beforeEach(() => printed.start());
  afterEach(() => {
    printed.stop();
    process.stdout.columns = width;
  });

  test('no line is longer', () => {
    process.stdout.columns = 40;
    showComparison(
      compare({ benches: [figure([100])] }, { benches: [figure([80])] }),
      new Output({ color: 'never' }),
    );
    const lines = printed.text().split('\n');
    expect(lines.slice(0, 5)).toEqual([
      'step',
      '  alexnet/batch128',
      '    100 → 80 images/s, −20.0 %,',
      '    gain −20.0 % (band 5.0 %), ↓ worse',
      '',
    ]);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
  });
});

describe('a saved document', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-saved-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'base.json');
  const document = { version: 2, quick: true, machine: { cpu: 'a' }, benches: [figure([1])] };
  const refusal = async (content: unknown) => {
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return readSaved(path).then(
      () => 'read',
      (error) => `${error.code}: ${error.info}`,
    );
  };

  test('is read', async () => {
    expect(await refusal({ ...document, more: [] })).toBe('read');
    expect(await readSaved(path)).toEqual(document);
  });

  test.each([
    ['a folder or nothing', undefined, /ENOENT|EISDIR/],
    ['cut short', '{"version": 2, "ben', /no JSON/],
    ['foreign', [{ name: 'a' }], /version: /],
    ['of another version', { ...document, version: 1 }, /version: /],
    ['a version that moves the cursor', { ...document, version: '\u001b[2J' }, /"\?\[2J"/],
    ['a figure without samples', { ...document, benches: [figure([])] }, /benches.0.samples/],
    ['a figure that is nothing', { ...document, benches: [figure([0])] }, /benches.0.samples.0/],
    [
      'a name that moves the cursor',
      { ...document, benches: [figure([1], { name: '\u001b[2J/b/c' })] },
      /benches.0.name/,
    ],
    ['a case twice', { ...document, benches: [figure([1]), figure([1])] }, /twice/],
    ['endless', `"${'x'.repeat(9 << 20)}"`, /at most 8388608/],
    ['deep', '['.repeat(1 << 20), /no JSON/],
  ])('%s is refused', async (_, content, reason) => {
    if (content !== undefined) {
      const said = await refusal(content);
      expect(said).toMatch(/^E0508/);
      expect(said).toMatch(reason);
      return;
    }
    await expect(readSaved(join(folder, 'absent.json'))).rejects.toMatchObject({
      code: 'E0508',
      info: expect.stringMatching(reason),
    });
    await expect(readSaved(folder)).rejects.toMatchObject({
      code: 'E0508',
      info: expect.stringMatching(reason),
    });
  });
});
