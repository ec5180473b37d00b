/** Files of an evaluation, each whole or not at all. docs/formats.md describes them. */
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { writeFailed } from '@ilsvrc/diagnostics';
import { confusionMatrix } from './confusion.ts';
import { csvLine } from './csv.ts';
import type { Evaluation } from './judge.ts';
import { perClass } from './per-class.ts';
import { probabilitiesFile, writeProbabilities } from './saved.ts';
import type { Prediction, Result } from './schema.ts';
import { best, rankOfTruth } from './top-k.ts';
import { writeLines } from './write.ts';

/** `result.json`'s name: where it is, a folder holds an evaluation. It is written last. */
export const resultFile = 'result.json';

/** Writes all files into a folder and returns their names. */
export async function writeEvaluation(
  folder: string,
  result: Result,
  evaluation: Evaluation,
): Promise<string[]> {
  const written = [probabilitiesFile];
  const lines = async (name: string, content: Iterable<string>) => {
    await writeLines(join(folder, name), content);
    written.push(name);
  };
  try {
    await mkdir(folder, { recursive: true });
    await writeProbabilities(folder, evaluation);
    await lines('predictions.jsonl', predictions(evaluation));
    await lines('per-class.csv', classLines(evaluation));
    await lines('confusion.csv', confusionLines(evaluation));
    if (canSubmit(evaluation)) await lines('submission.txt', submission(evaluation));
    await lines(resultFile, [JSON.stringify(result, null, 2)]);
  } catch (cause) {
    throw writeFailed(folder, cause);
  }
  return written;
}

/** Probabilities of an image. */
function row({ scores: { probabilities, classes } }: Evaluation, image: number): Float32Array {
  return probabilities.subarray(image * classes, (image + 1) * classes);
}

/** A line an image, in the split's order. */
function* predictions(evaluation: Evaluation): Generator<string> {
  const { subject } = evaluation;
  const wnid = (index: number) => subject.classes[index]?.wnid ?? String(index);
  for (const [image, label] of subject.labels.entries()) {
    const scores = row(evaluation, image);
    const prediction: Prediction = {
      image: subject.numbers[image] ?? 0,
      key: subject.keys[image] ?? '',
      path: subject.paths[image] ?? '',
      wnid: wnid(label),
      rank: rankOfTruth(scores, label),
      top5: best(scores, 5).map(({ class: index, probability }) => ({ wnid: wnid(index), probability })),
    };
    yield JSON.stringify(prediction);
  }
}

function* classLines({ scores, subject: { classes } }: Evaluation): Generator<string> {
  yield csvLine(['wnid', 'name', 'images', 'top1_error', 'top5_error', 'confused_with', 'confused_images']);
  for (const { class: index, images, top1_error, top5_error, confused_with } of perClass(scores)) {
    const { wnid = String(index), name = '' } = classes[index] ?? {};
    const other = confused_with && (classes[confused_with.class]?.wnid ?? String(confused_with.class));
    yield csvLine([wnid, name, images, top1_error, top5_error, other, confused_with?.images ?? 0]);
  }
}

/** The first row and the first column name classes: rows are true ones, columns predicted ones. */
function* confusionLines({ scores, subject }: Evaluation): Generator<string> {
  const { classes, counts } = confusionMatrix(scores);
  const wnids = subject.classes.map(({ wnid }) => wnid);
  yield csvLine(['wnid', ...wnids]);
  for (const [truth, wnid] of wnids.entries()) {
    yield csvLine([wnid, ...counts.subarray(truth * classes, (truth + 1) * classes)]);
  }
}

/** Whether a submission can be written: all classes are the devkit's, and all images of the split were judged. */
function canSubmit({ subject }: Evaluation): boolean {
  return (
    subject.labels.length === subject.expected &&
    subject.classes.every(({ devkit_id }) => devkit_id !== undefined)
  );
}

/** The devkit's form: a line an image in the order of file names, five `ILSVRC2012_ID`s, the likeliest first. */
function* submission(evaluation: Evaluation): Generator<string> {
  const { subject } = evaluation;
  const names = subject.paths.map((path) => basename(path));
  const order = [...names.keys()].sort((a, b) => {
    const [one = '', other = ''] = [names[a], names[b]];
    return one < other ? -1 : Number(one > other);
  });
  for (const image of order) {
    yield best(row(evaluation, image), 5)
      .map(({ class: index }) => subject.classes[index]?.devkit_id)
      .join(' ');
  }
}
