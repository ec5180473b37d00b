/** An evaluation as it is printed and stored. */
import { confusionMatrix, worstConfusions } from './confusion.ts';
import { wilson } from './interval.ts';
import type { Evaluation } from './judge.ts';
import { perClass } from './per-class.ts';
import type { Result } from './schema.ts';
import { topKError } from './top-k.ts';

/** Classes and pairs of classes that are named in a result; the CSVs have all. */
const named = 10;

/** The document of an evaluation; `k` is the error that was asked for. */
export function toResult(evaluation: Evaluation, k: number): Result {
  const { subject, members, scores, images } = evaluation;
  const { classes } = subject;
  const name = (index: number) => {
    const { wnid = String(index), name = wnid } = classes[index] ?? {};
    return { wnid, name };
  };
  const error = topKError(scores, k);
  const views = new Set(members.map((member) => member.views));
  const { top1_error, top1_interval, top5_error, top5_interval, log_loss } = evaluation;
  return {
    version: 2,
    images,
    classes: classes.length,
    top1_error,
    top1_interval,
    top5_error,
    top5_interval,
    log_loss,
    top_k: k === 1 || k === 5 ? null : { k, error, interval: wilson(error, images) },
    images_expected: subject.expected,
    images_seen: evaluation.seen,
    images_failed: Math.max(subject.expected - evaluation.seen, 0),
    data: subject.data,
    data_checksum: subject.checksum,
    split: subject.split,
    views: views.size === 1 ? (members[0]?.views ?? null) : null,
    models: members,
    calibration: evaluation.calibration,
    comparisons: evaluation.comparisons,
    worst_classes: worstClasses(evaluation),
    confusions: worstConfusions(confusionMatrix(scores), named).map(({ truth, predicted, ...rest }) => ({
      truth: name(truth),
      predicted: name(predicted),
      ...rest,
    })),
    fit: evaluation.fit,
    preprocessing: subject.preprocessing,
    images_per_second: evaluation.images_per_second,
    seconds: evaluation.seconds,
  };
}

/** The classes with the most errors, top-1 first; those without an error are left out. */
function worstClasses({ scores, subject }: Evaluation): Result['worst_classes'] {
  return perClass(scores)
    .flatMap(({ class: index, images, top1_error, top5_error }) => {
      const { wnid = String(index), name = String(index) } = subject.classes[index] ?? {};
      return top1_error === null || top5_error === null || top1_error === 0
        ? []
        : [{ wnid, name, images, top1_error, top5_error }];
    })
    .sort((a, b) => b.top1_error - a.top1_error || b.top5_error - a.top5_error)
    .slice(0, named);
}
