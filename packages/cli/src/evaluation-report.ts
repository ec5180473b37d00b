/** An evaluation as a person reads it, on a terminal of 40 columns too. */
import type { Member, Rates, Result } from '@ilsvrc/evaluator';
import { formatBar, formatCount, formatPercent, shorten } from '@ilsvrc/terminal';
import type { Output } from './output.ts';
import { fewWords } from './views.ts';
import { wrap } from './wrap.ts';

/** Classes and pairs that are listed; `--verbose` lists all of the result. */
const listed = 5;

/** Prints a result, the error that was asked for first. */
export function showEvaluation(result: Result, asked: number, output: Output): void {
  showRates(result, asked, output);
  if (result.models.length > 1) showModels(result, output);
  showCalibration(result, output);
  showMistakes(result, output);
  if (output.isVerbose) showPreprocessing(result, output);
  if (result.classes <= 5)
    output.say(`with ${result.classes} classes the top-5 error says nothing: look at top-1`);
}

/** Says loudly that a model's photos were prepared otherwise than the data set's, and what that does. */
export function warnOfDifferences(
  { path, differences }: Pick<Member, 'path' | 'differences'>,
  data: string,
  effect: string,
  output: Output,
): void {
  if (differences.length === 0) return;
  const lines = differences.map(
    ({ field, model, data }) => `\n  ${field}: ${JSON.stringify(model)}, here ${JSON.stringify(data)}`,
  );
  output.warn(
    `${path} learned from photos that were prepared otherwise than those of ${data}: ${effect}${lines.join('')}`,
  );
}

function showRates(result: Result, asked: number, output: Output): void {
  const wide = output.width >= 50;
  const row = (k: number, error: number, [low, high]: [number, number]) => [
    `top-${k}`,
    formatPercent(error),
    ...(wide ? [formatPercent(1 - error)] : []),
    `${formatPercent(low)} – ${formatPercent(high)}`,
  ];
  const rows = [
    row(1, result.top1_error, result.top1_interval),
    row(5, result.top5_error, result.top5_interval),
  ];
  if (asked === 5) rows.reverse();
  if (result.top_k !== null) rows.unshift(row(result.top_k.k, result.top_k.error, result.top_k.interval));
  output.table(['', 'error', ...(wide ? ['accuracy'] : []), 'error, 95 % interval'], rows);
  const facts = [
    `${formatCount(result.images)} images (${result.split})`,
    ...(result.fit === null ? [] : ['those that no weights were fitted on']),
    result.views === null ? 'views as saved' : fewWords(result.views),
    result.models.length === 1 ? '1 model' : `mean of ${result.models.length} models`,
    `log loss ${result.log_loss.toFixed(4)}`,
  ];
  if (result.images_per_second !== null) facts.push(`${formatCount(result.images_per_second)} images/s`);
  if (result.images_failed > 0) facts.push(`${formatCount(result.images_failed)} images missing`);
  output.data(wrap(facts, output.width));
}

function showModels({ models, fit, ...mean }: Result, output: Output): void {
  const wide = output.width >= 50;
  const row = (name: string, weight: number | undefined, rates: Rates, ece?: number) => [
    name,
    weight?.toFixed(3) ?? '',
    formatPercent(rates.top1_error),
    formatPercent(rates.top5_error),
    ...(wide ? [rates.log_loss.toFixed(4)] : []),
    ece === undefined ? '' : formatPercent(ece),
  ];
  output.data('');
  output.table(
    ['model', 'weight', 'top-1', 'top-5', ...(wide ? ['log loss'] : []), 'ECE'],
    [
      ...models.map((model, index) => row(String(index + 1), model.weight, model, model.calibration.ece)),
      ...(fit === null ? [] : [row('equal', undefined, fit.equal_weights)]),
      row('mean', undefined, mean, mean.calibration.ece),
    ],
  );
  for (const [index, { path }] of models.entries()) output.data(`${index + 1}: ${path}`);
  for (const facts of comparisons(mean, models)) output.data(wrap(facts, output.width));
}

/** Two models against each other; of more, the mean against the best one. Results hold every pair. */
function comparisons(
  { comparisons: all }: Pick<Result, 'comparisons'>,
  models: Result['models'],
): string[][] {
  const errors = models.map(({ top1_error }) => top1_error);
  const best = errors.indexOf(Math.min(...errors));
  const name = (side: number | 'mean') => (side === 'mean' ? 'the mean' : `model ${side + 1}`);
  return all
    .filter(({ a, b }) => (models.length === 2 && b !== 'mean') || (a === best && b === 'mean'))
    .map(({ a, b, k, only_a, only_b, p_value }) => [
      `top-${k}: ${formatCount(only_a)} right by ${name(a)} alone`,
      `${formatCount(only_b)} by ${name(b)} alone`,
      chance(p_value),
    ]);
}

/** A p-value of McNemar's test in words. */
const chance = (p: number) => (p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`);

function showCalibration({ calibration: { ece, overconfidence, bins } }: Result, output: Output): void {
  const sure = `${formatPercent(Math.abs(overconfidence))} too ${overconfidence > 0 ? 'sure' : 'modest'}`;
  output.data(
    `\n${wrap([`calibration error (ECE) ${formatPercent(ece)}`, `on average ${sure}`], output.width)}`,
  );
  if (!output.isVerbose) return;
  const width = Math.min(Math.max(output.width - 26, 4), 40);
  output.data(output.bold('confidence  right'));
  for (const { low, high, images, confidence, accuracy } of bins) {
    if (images === 0) continue;
    const bar = [...formatBar(accuracy, width).padEnd(width + 1)];
    // Where the bar would end if the model knew how often it is right.
    bar[Math.round(confidence * width)] = '│';
    const range = `${formatPercent(low, 0).slice(0, -2)} – ${formatPercent(high, 0)}`.padStart(10);
    output.data(
      `${range}  ${formatPercent(accuracy, 0).padStart(5)} ${bar.join('')} ${formatCount(images).padStart(6)}`,
    );
  }
}

function showMistakes({ worst_classes, confusions, models: _, ...result }: Result, output: Output): void {
  const limit = output.isVerbose ? Number.POSITIVE_INFINITY : listed;
  const room = Math.max(output.width - 26, 10);
  if (worst_classes.length > 0) {
    output.data('');
    const rows = worst_classes
      .slice(0, limit)
      .map(({ name, images, top1_error, top5_error }) => [
        shorten(name, room),
        formatPercent(top1_error, 1),
        ...(result.classes > 5 ? [formatPercent(top5_error, 1)] : []),
        formatCount(images),
      ]);
    output.table(['worst classes', 'top-1', ...(result.classes > 5 ? ['top-5'] : []), 'images'], rows);
  }
  if (confusions.length > 0) {
    const half = Math.max(Math.floor((output.width - 18) / 2), 9);
    const rows = confusions
      .slice(0, limit)
      .map(({ truth, predicted, images, share }) => [
        shorten(truth.name, half),
        shorten(predicted.name, half),
        formatCount(images),
        formatPercent(share, 1),
      ]);
    output.table(['truth', 'taken for', 'images', 'share'], rows);
  }
}

function showPreprocessing({ data, data_checksum, preprocessing, models }: Result, output: Output): void {
  output.data(`${output.bold('data')}  ${data}\nsha256 ${data_checksum}`);
  for (const [key, value] of Object.entries(preprocessing)) {
    output.data(`  ${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  }
  for (const [index, { path, checksum, differences }] of models.entries()) {
    const same = differences.length === 0 ? 'prepared the same way' : `${differences.length} differences`;
    output.data(`${output.bold(`model ${index + 1}`)}  ${path}, ${same}\nsha256 ${checksum}`);
  }
}
