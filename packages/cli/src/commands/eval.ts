/** `ilsvrc eval`: error rates of a model, or of the average of several. */
import { readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { evaluate, type Result, toResult, writeResult } from '@ilsvrc/evaluator';
import { formatCount, formatPercent } from '@ilsvrc/terminal';
import { loadDefaults, requireDataset, requireModels } from '../defaults.ts';
import { examples } from '../examples.ts';
import { announce } from '../layout.ts';
import { machineOf, withMachine } from '../machine.ts';
import { Output } from '../output.ts';
import { batchSize, oneOf, real } from '../parse.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  withMachine(
    base
      .argument('[model...]', 'model files; several are averaged (default: that of the newest run)')
      .optionsGroup('Question:')
      .option('--top5', 'the top-5 error first (the default)')
      .option('--top1', 'the top-1 error first')
      .option(
        '--fail-above <error>',
        'exit with 5 where that error is greater, as 0.182',
        real('--fail-above', 0, 1, true),
      )
      .optionsGroup('Images:')
      .option('--data <dir>', 'a prepared data set (default: the one the model was trained on)')
      .option('--split <name>', 'val or train', oneOf('--split', ['val', 'train']), 'val')
      .option(
        '--views <n>',
        '10: corners and centre, each mirrored too; 1: the centre',
        oneOf('--views', ['10', '1']),
        '10',
      )
      .optionsGroup('Machine:')
      .option('--batch <n>', 'views a pass', batchSize, 120),
  )
    .optionsGroup('Files:')
    .option('--out <dir>', 'write result.json and predictions.jsonl there')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc eval --top5', 'the newest run'],
        ['ilsvrc eval runs/*/model.safetensors', 'all models, averaged'],
        ['ilsvrc eval --top5 --fail-above 0.182', 'for scripts'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const defaults = await loadDefaults();
      const models = requireModels(given, defaults);
      const data = await requireDataset(options.data, defaults, models[0]);
      const { classes } = await readManifest(data);
      const views = options.views === '10' ? 10 : 1;
      const progress = output.progress('evaluating');
      const evaluation = await evaluate({
        models,
        dataset: { path: data, classes },
        split: options.split,
        views,
        batch: options.batch,
        ...machineOf(options),
        signal,
        onOpen: (layout, model) => model === 0 && announce(layout, output),
        onProgress: ({ model, done, total }) =>
          progress.update(done, total, models.length > 1 ? `model ${model + 1} of ${models.length}` : ''),
      }).finally(() => progress.stop());
      const result = toResult(evaluation, { views, split: options.split, data });
      if (options.out !== undefined) {
        await writeResult(options.out, result, evaluation, classes);
        output.say(`wrote ${options.out}/result.json and predictions.jsonl`);
      }
      const asked = options.top1 && !options.top5 ? 1 : 5;
      if (output.isJson) output.document(result);
      else show(result, asked, output);
      await output.finish();
      judge(result, asked, options.failAbove);
    });

export default verb;

function show(result: Result, asked: 1 | 5, output: Output): void {
  const row = (name: string, error: number, [low, high]: [number, number]) => [
    name,
    formatPercent(error),
    formatPercent(1 - error),
    `${formatPercent(low)} – ${formatPercent(high)}`,
  ];
  const top5 = row('top-5', result.top5_error, result.top5_interval);
  const top1 = row('top-1', result.top1_error, result.top1_interval);
  output.table(['', 'error', 'accuracy', 'error, 95 % interval'], asked === 5 ? [top5, top1] : [top1, top5]);
  const views = result.views === 10 ? 'ten views' : 'centre view';
  const models = result.models.length === 1 ? '1 model' : `mean of ${result.models.length} models`;
  output.data(
    `${formatCount(result.images)} images (${result.split}), ${views}, ${models}, log loss ${result.log_loss.toFixed(4)}, ${formatCount(result.images_per_second)} images/s`,
  );
  if (result.classes <= 5)
    output.say(`with ${result.classes} classes the top-5 error says nothing: look at top-1`);
}

/** Fails where the error asked for is above the threshold. */
function judge(result: Result, asked: 1 | 5, threshold: number | undefined): void {
  const error = asked === 5 ? result.top5_error : result.top1_error;
  if (threshold === undefined || error <= threshold) return;
  throw new IlsvrcError('E0501', `the top-${asked} error is ${error.toFixed(4)}, above ${threshold}`, {
    info: `measured on ${formatCount(result.images)} images of ${result.data}`,
    hint: 'train longer, average several models, or allow more by --fail-above',
  });
}
