/** What models say of the images of a split: made by nets (evaluate.ts) or read from files (saved.ts). */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Views } from '@ilsvrc/engine';
import type { ClassName } from './model.ts';
import type { Difference } from './preprocessing.ts';
import type { Scores } from './top-k.ts';

/** The images that were shown. */
export interface Subject {
  /** Folder of the prepared data set. */
  data: string;
  /** SHA-256 that its manifest gives for itself, and by that for every shard. */
  checksum: string;
  split: string;
  /** Images that the manifest says the split has. */
  expected: number;
  classes: ClassName[];
  /** How they were prepared. */
  preprocessing: Record<string, unknown>;
  /** True classes, in the order of the split like all that follows. */
  labels: Uint32Array;
  /** Numbers in the split. */
  numbers: Uint32Array;
  /** Names in the shards. */
  keys: string[];
  /** Paths in the source. */
  paths: string[];
}

/** A model that was asked. */
export interface Member {
  path: string;
  /** SHA-256. */
  checksum: string;
  /** Name of its net. */
  net: string;
  views: Views;
  preprocessing: unknown;
  /** Where that is not the data set's. */
  differences: Difference[];
}

/** What each model says. */
export interface Outputs {
  subject: Subject;
  members: Member[];
  /** Of each member, `images x classes`. */
  probabilities: Float32Array[];
  /** Wall time of the passes; `null` where none were made. */
  seconds: number | null;
}

/** Scores of one member. */
export function scoresOf({ subject, probabilities }: Outputs, member: number): Scores {
  const found = probabilities[member];
  if (found === undefined) throw new IlsvrcError('E0901', `there is no member ${member}`);
  return { probabilities: found, labels: subject.labels, classes: subject.classes.length };
}

/** The same of some images, given by their places. */
export function select({ subject, probabilities, ...rest }: Outputs, places: readonly number[]): Outputs {
  const pick = <T>(values: readonly T[]) => places.flatMap((place) => values.slice(place, place + 1));
  const classes = subject.classes.length;
  return {
    ...rest,
    subject: {
      ...subject,
      labels: Uint32Array.from(places, (place) => subject.labels[place] ?? 0),
      numbers: Uint32Array.from(places, (place) => subject.numbers[place] ?? 0),
      keys: pick(subject.keys),
      paths: pick(subject.paths),
    },
    probabilities: probabilities.map((all) => {
      const some = new Float32Array(places.length * classes);
      for (const [index, place] of places.entries()) {
        some.set(all.subarray(place * classes, (place + 1) * classes), index * classes);
      }
      return some;
    }),
  };
}

/** Fails where a model gives something that is no probability: an average with it would be none either. */
export function expectNumbers(path: string, probabilities: Float32Array, classes: number): void {
  const bad = probabilities.findIndex((value) => !(value >= 0 && value <= 1.001));
  if (bad < 0) return;
  throw new IlsvrcError('E0505', `${path} gives no probabilities`, {
    info: `for image ${Math.floor(bad / classes)} it says ${probabilities[bad]}`,
    hint: 'its training diverged: use an earlier checkpoint, or train with a lower rate',
  });
}
