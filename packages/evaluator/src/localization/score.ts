/**
 * The localization error of the ILSVRC development kit (`eval_clsloc.m`): up to five guesses of a class and a box; an image
 * is right when any of them has the true class and an overlap of at least one half with any instance of it.
 */
import { wilson } from '../interval.ts';
import { type Box, bestOverlap, middle, type Size } from './box.ts';

/** What an image may be and where: a guess. */
export interface BoxGuess {
  /** The class by its WNID, or whatever the data set calls it by. */
  class: string;
  box: Box;
}

/** An image with its truth and what was guessed of it. */
export interface Located {
  class: string;
  /** All instances of the class, in the photo's pixels. Without any the image does not count. */
  boxes: Box[];
  size: Size;
  /** The likeliest first; those after the fifth do not count. */
  guesses: BoxGuess[];
  /** The box for the true class; where there is none, a miss. */
  known: Box | undefined;
  /** On the list of images that are left out. */
  isBlacklisted: boolean;
}

/** How well boxes agree with the truth where the class is given. */
interface KnownRates {
  /** Share of images whose box overlaps the truth by less than one half. */
  known_error: number;
  known_interval: [low: number, high: number];
  /** Mean of the best overlap with an instance. */
  mean_iou: number;
}

/** Localization errors of a method, as fractions. */
export interface BoxRates extends KnownRates {
  /** With one guess, with two, … with five. */
  errors: number[];
  /** The 95 % interval (Wilson) of each. */
  intervals: [low: number, high: number][];
}

/** Localization of a set of images, and of boxes that know nothing beside it. */
export interface LocalizationRates extends BoxRates {
  /** Images that count. */
  images: number;
  without_boxes: number;
  blacklisted: number;
  baselines: {
    /** The same classes, each in a box around the whole photo. */
    whole: BoxRates;
    /** The same classes, each in the middle of the photo, 70 % of its sides. */
    centre: BoxRates;
  };
}

const guessesAllowed = 5;
/** An overlap of just this is right. */
const required = 0.5;

/** Scores images by the rule above. */
export function localizationRates(all: readonly Located[]): LocalizationRates {
  const boxed = all.filter(({ boxes }) => boxes.length > 0);
  const images = boxed.filter(({ isBlacklisted }) => !isBlacklisted);
  const everywhere = (share: number) =>
    images.map((image) => {
      const box = middle(image.size, share);
      return { ...image, guesses: image.guesses.map((guess) => ({ ...guess, box })), known: box };
    });
  return {
    images: images.length,
    without_boxes: all.length - boxed.length,
    blacklisted: boxed.length - images.length,
    ...boxRates(images),
    baselines: { whole: boxRates(everywhere(1)), centre: boxRates(everywhere(0.7)) },
  };
}

function boxRates(images: readonly Located[]): BoxRates {
  const errors = Array.from(
    { length: guessesAllowed },
    (_, index) => 1 - share(images, (image) => isRight(image, index + 1)),
  );
  const overlaps = images.map(({ known, boxes }) => (known === undefined ? 0 : bestOverlap(known, boxes)));
  const knownError = 1 - share(overlaps, (value) => value >= required);
  return {
    errors,
    intervals: errors.map((error) => wilson(error, images.length)),
    known_error: knownError,
    known_interval: wilson(knownError, images.length),
    mean_iou: overlaps.reduce((sum, value) => sum + value, 0) / Math.max(images.length, 1),
  };
}

function isRight({ class: truth, boxes, guesses }: Located, allowed: number): boolean {
  return guesses
    .slice(0, allowed)
    .some((guess) => guess.class === truth && bestOverlap(guess.box, boxes) >= required);
}

function share<T>(values: readonly T[], holds: (value: T) => boolean): number {
  return values.length === 0 ? 0 : values.filter(holds).length / values.length;
}
