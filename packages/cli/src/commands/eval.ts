/** `ilsvrc eval`: error rates of a model, or of the average of several. */
import { join } from 'node:path';
import { readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import {
  evaluate,
  expectWeights,
  type JudgeOptions,
  judge,
  type Outputs,
  type Result,
  readSaved,
  resultFile,
  toResult,
  writeEvaluation,
} from '@ilsvrc/evaluator';
import { formatCount } from '@ilsvrc/terminal';
import { loadDefaults, requireDataset, requireModels } from '../defaults.ts';
import { showEvaluation, warnOfDifferences } from '../evaluation-report.ts';
import { examples } from '../examples.ts';
import type { Interrupts } from '../interrupts.ts';
import { announce } from '../layout.ts';
import { machineOf, withMachine } from '../machine.ts';
import { type CountedProgress, Output } from '../output.ts';
import { batchSize, numbers, oneOf, real, whole } from '../parse.ts';
import { expectAlone, outputOf, together } from '../ranks.ts';
import type { Verb } from '../verb.ts';
import { viewsHelp, viewsOfOption, viewsOption } from '../views.ts';

const verb: Verb = (base, { interrupts }) =>
  withMachine(
    base
      .argument('[model...]', 'model files; several are averaged (default: that of the newest run)')
      .optionsGroup('Question:')
      .option('--top5', 'the top-5 error first (the default with more than five classes)')
      .option('--top1', 'the top-1 error first')
      .option('--top <k>', 'the top-k error first', whole('--top', 1))
      .option(
        '--fail-above <error>',
        'exit with 5 where that error is greater, as 0.182',
        real('--fail-above', 0, 1, true),
      )
      .optionsGroup('Images:')
      .option('--data <dir>', 'a prepared data set (default: the one the model was trained on)')
      .option('--split <name>', 'val or train', oneOf('--split', ['val', 'train']), 'val')
      .option('--views <n>', viewsHelp, viewsOption, '10')
      .optionsGroup('Average:')
      .option('--weights <list>', 'weights of the models, as .5,.3,.2 (default: equal)', numbers('--weights'))
      .option('--fit-weights', 'find them on one half of the images, and judge on the other')
      .option('--from <dir...>', 'average what evaluations saved by --out, without running a net')
      .optionsGroup('Machine:')
      .option('--batch <n>', 'views a pass', batchSize, 120),
  )
    .optionsGroup('Files:')
    .option('--out <dir>', 'write the numbers, predictions, tables and probabilities there')
    .option('--force', 'replace what is there')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc eval --top5', 'the newest run'],
        ['ilsvrc eval runs/*/model.safetensors', 'all models, averaged'],
        ['ilsvrc eval --from a b --fit-weights', 'saved evaluations'],
        ['ilsvrc eval --top5 --fail-above 0.182', 'for scripts'],
      ]),
    )
    .action(async (given, options, command) => {
      const output = new Output(options);
      expectNoContradiction(given, (option) => command.getOptionValueSource(option) === 'cli');
      if (options.from !== undefined) expectAlone('`eval --from`');
      if (options.out !== undefined) await output.expectAbsent(join(options.out, resultFile), options.force);
      const outputs =
        options.from === undefined
          ? await together(
              async () => (await machineOf(options)).places,
              async (world) => {
                const outputs = await ask(given, options, outputOf(world, options), interrupts);
                return (world?.rank ?? 0) === 0 ? outputs : undefined;
              },
            )
          : await readSaved(options.from);
      // Rank 0 has what all have computed, and goes on alone.
      if (outputs === undefined) return;
      const asked = question(options, outputs.subject.classes.length);
      const evaluation = judge(outputs, averaging(options));
      const result = toResult(evaluation, asked);
      if (options.out !== undefined) {
        const written = await writeEvaluation(options.out, result, evaluation);
        output.say(`wrote ${written.join(', ')} to ${options.out}`);
        if (evaluation.fit !== null) output.say('no submission.txt: it would be of half of the images');
        else if (!written.includes('submission.txt'))
          output.say('no submission.txt: the classes have no devkit ids');
      }
      if (output.isJson) output.document(result);
      else showEvaluation(result, asked, output);
      await output.finish();
      expectBelow(result, asked, options.failAbove);
    });

export default verb;

interface Options {
  top?: number | undefined;
  top1?: true | undefined;
  top5?: true | undefined;
  failAbove?: number | undefined;
  weights?: number[] | undefined;
  fitWeights?: true | undefined;
  data?: string | undefined;
  from?: string[] | undefined;
  split: 'val' | 'train';
  views: '10' | '9' | '1';
  batch: number;
  devices?: string[] | undefined;
  precision?: 'bf16' | 'tf32' | 'f32' | undefined;
  threads?: number | undefined;
}

/** How models are averaged. The halves are always the same ones. */
const averaging = ({ weights, fitWeights }: Options): JudgeOptions => ({
  weights,
  fit: fitWeights ? { seed: 0 } : undefined,
});

/** Runs the models, when all that was asked for can be answered. */
async function ask(
  given: string[],
  options: Options,
  output: Output,
  { signal }: Interrupts,
): Promise<Outputs> {
  const defaults = await loadDefaults();
  const models = requireModels(given, defaults);
  const data = await requireDataset(options.data, defaults, models[0]);
  const manifest = await readManifest(data);
  question(options, manifest.classes.length);
  expectWeights(averaging(options), models.length);
  let progress: CountedProgress | undefined;
  return evaluate({
    models,
    dataset: { path: data, ...manifest },
    split: options.split,
    views: viewsOfOption(options.views),
    batch: options.batch,
    ...(await machineOf(options)),
    signal,
    onModel: (member) => warnOfDifferences(member, data, 'error rates may move by points', output),
    onOpen: (layout, model) => {
      if (model === 0) announce(layout, output);
      progress ??= output.progress('evaluating', 'images');
    },
    // One count over all models: the rate and the time left are of the whole evaluation.
    onProgress: ({ model, done, total }) =>
      progress?.update(
        model * total + done,
        models.length * total,
        models.length > 1 ? `model ${model + 1} of ${models.length}` : '',
      ),
  }).finally(() => progress?.stop());
}

/** The k that was asked for. With so few classes that every guess is right it is refused, where it is more than a heading. */
function question({ top, top1, top5, failAbove }: Options, classes: number): number {
  const k = top ?? (top5 ? 5 : top1 || classes <= 5 ? 1 : 5);
  if (k < classes || (top === undefined && failAbove === undefined)) return k;
  throw new IlsvrcError('E0503', `with ${classes} classes the top-${k} error is 0, whatever the model says`, {
    info: `the true class is always among ${k} of ${classes}`,
    hint: 'ask for `--top1`',
  });
}

/** Fails where two things were given of which one would be passed over in silence. */
function expectNoContradiction(models: string[], isGiven: (option: keyof Options) => boolean): void {
  const pairs: [string, boolean, string, boolean][] = [
    ['--top1', isGiven('top1'), '--top5', isGiven('top5')],
    ['--top', isGiven('top'), '--top1', isGiven('top1')],
    ['--top', isGiven('top'), '--top5', isGiven('top5')],
    ['--weights', isGiven('weights'), '--fit-weights', isGiven('fitWeights')],
    // What was saved is of its images, seen in its views.
    ['MODEL', models.length > 0, '--from', isGiven('from')],
    ['--data', isGiven('data'), '--from', isGiven('from')],
    ['--split', isGiven('split'), '--from', isGiven('from')],
    ['--views', isGiven('views'), '--from', isGiven('from')],
  ];
  const found = pairs.find(([, one, , other]) => one && other);
  if (found === undefined) return;
  throw new IlsvrcError('E0103', `${found[0]} and ${found[2]} cannot be given together`, {
    hint: 'see `ilsvrc eval --help`',
  });
}

/** Fails where the error asked for is above the threshold. */
function expectBelow(result: Result, k: number, threshold: number | undefined): void {
  const error = result.top_k?.error ?? (k === 5 ? result.top5_error : result.top1_error);
  if (threshold === undefined || error <= threshold) return;
  throw new IlsvrcError('E0501', `the top-${k} error is ${error.toFixed(4)}, above ${threshold}`, {
    info: `measured on ${formatCount(result.images)} images of ${result.data}`,
    hint: 'train longer, average several models, or allow more by --fail-above',
  });
}
