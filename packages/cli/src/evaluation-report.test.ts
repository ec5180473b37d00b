import type { Result } from '@ilsvrc/evaluator';
import { afterEach, expect, test, vi } from 'vitest';
import { showEvaluation, warnOfDifferences } from './evaluation-report.ts';
import { Output } from './output.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const rates = (error: number) => ({
  images: 3925,
  classes: 10,
  top1_error: error,
  top1_interval: [error - 0.01, error + 0.01] as [number, number],
  top5_error: error / 10,
  top5_interval: [0, error / 5] as [number, number],
  log_loss: 1.25,
});

const calibration = {
  ece: 0.0321,
  overconfidence: -0.03,
  bins: [
    { low: 0, high: 0.5, images: 0, confidence: 0, accuracy: 0 },
    { low: 0.5, high: 1, images: 3925, confidence: 0.75, accuracy: 0.8 },
  ],
};

const member = (path: string, error: number) => ({
  path,
  checksum: 'a'.repeat(64),
  net: 'alexnet-64',
  views: 10 as const,
  preprocessing: {},
  differences: [],
  weight: 0.5,
  ...rates(error),
  calibration,
});

const result: Result = {
  version: 2,
  ...rates(0.2),
  top_k: null,
  images_expected: 3925,
  images_seen: 3925,
  images_failed: 0,
  data: 'data/imagenette',
  data_checksum: 'b'.repeat(64),
  split: 'val',
  views: 10,
  models: [member('runs/a/model.safetensors', 0.25), member('runs/b/model.safetensors', 0.22)],
  calibration,
  comparisons: [
    { a: 0, b: 1, k: 1, only_a: 100, only_b: 130, p_value: 0.0559, method: 'chi-square' },
    { a: 0, b: 'mean', k: 1, only_a: 1, only_b: 200, p_value: 0, method: 'chi-square' },
    { a: 1, b: 'mean', k: 1, only_a: 30, only_b: 130, p_value: 1e-9, method: 'chi-square' },
  ],
  worst_classes: [
    {
      wnid: 'n03425413',
      name: 'gas pump with a name that is longer than lines',
      images: 419,
      top1_error: 0.4,
      top5_error: 0.1,
    },
  ],
  confusions: [
    {
      truth: { wnid: 'n1', name: 'gas pump' },
      predicted: { wnid: 'n2', name: 'garbage truck' },
      images: 31,
      share: 0.074,
    },
  ],
  fit: null,
  preprocessing: { resize: 'crop' },
  images_per_second: 512,
  seconds: 8,
};

function show(columns: number | undefined, shown: Result, asked: number, verbose?: true): string {
  let text = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((more) => {
    text += more;
    return true;
  });
  vi.stubGlobal('process', Object.create(process, { stdout: { value: Object.create(process.stdout, { columns: { value: columns } }) } })); // biome-ignore format: one line
  showEvaluation(shown, asked, new Output({ color: 'never', verbose }));
  return text;
}

test('the error that was asked for comes first', () => {
  expect(show(80, result, 5).split('\n')[1]).toMatch(/^top-5 +2\.00 % +98\.00 %/);
  expect(show(80, result, 1).split('\n')[1]).toMatch(/^top-1 +20\.00 % +80\.00 %/);
  const top3 = { ...result, top_k: { k: 3, error: 0.1, interval: [0.09, 0.11] as [number, number] } };
  expect(show(80, top3, 3).split('\n')[1]).toMatch(/^top-3 +10\.00 %/);
});

test('two models are compared with each other and the better one with the mean', () => {
  const text = show(80, result, 5);
  expect(text).toContain('top-1: 100 right by model 1 alone, 130 by model 2 alone, p = 0.056\n');
  expect(text).toContain('top-1: 30 right by model 2 alone, 130 by the mean alone, p < 0.001\n');
  expect(text).not.toContain('1 right by model 1');
});

test('no line is longer than a narrow terminal', () => {
  const text = show(40, result, 5, true).replaceAll(/^(sha256|model) .*$/gm, '');
  for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(40);
});

test('a terminal of ten columns is no reason to fail', () => {
  expect(show(10, result, 5, true)).toContain('confidence');
});

test('bars end where the model is right, a line stands where it thinks so', () => {
  const text = show(undefined, result, 5, true);
  // 40 columns: 0.8 of them are filled, the line covers the one at 0.75.
  expect(text).toContain(`${'█'.repeat(30)}│█${' '.repeat(9)}  3,925`);
  expect(text).toContain('3.00 % too modest');
});

test('the half that weights were judged on is named', () => {
  const fit = { seed: 0, fitted_images: 1963, equal_weights: rates(0.21) };
  const text = show(80, { ...result, fit }, 5);
  expect(text).toContain('those that no weights were fitted on');
  expect(text).toMatch(/^equal +21\.00 %/m);
});

test('a model whose photos were prepared otherwise is told of, field by field', () => {
  let text = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((more) => {
    text += more;
    return true;
  });
  const differences = [{ field: 'resize', model: 'crop', data: 'warp' }];
  const output = new Output({ color: 'never', quiet: true });
  warnOfDifferences({ path: 'm', differences }, 'data', 'error rates may move', output);
  expect(text).toContain('warning: m learned from photos');
  expect(text).toContain('those of data: error rates may move\n');
  expect(text).toContain('\n  resize: "crop", here "warp"\n');
});
