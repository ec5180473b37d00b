/** What a report says. Texts are plain: the page escapes them. Errors and probabilities are fractions. */
import type { ConfusionCounts } from '../charts/confusion.ts';
import type { Epoch } from '../charts/curves.ts';
import type { Calibration } from '../charts/reliability.ts';
import type { TowerLayer } from '../charts/traffic.ts';

/** Names and values under a title. */
export interface FactGroup {
  title: string;
  facts: [name: string, value: string][];
}

/** An epoch with what it took. */
export interface TimedEpoch extends Epoch {
  images_per_second: number;
  /** Training and validation. */
  seconds: number;
}

/** A step's loss: at epoch `at`, as 1.5 in the middle of the second. */
export interface StepLoss {
  at: number;
  loss: number;
}

/** A rate and its 95 % interval. */
interface Rate {
  error: number;
  interval: [low: number, high: number];
}

/** What became of a class. `null` where the split has no image of it. */
export interface ClassRow {
  name: string;
  wnid: string;
  images: number;
  top1_error: number | null;
  top5_error: number | null;
  /** What most of its mistakes were taken for. */
  confused_with: { name: string; images: number } | null;
}

/** An evaluation. */
export interface EvaluationPart {
  /** What was evaluated, in a few words, as `3,925 images (val), ten views`. */
  what: string;
  top1: Rate;
  top5: Rate;
  log_loss: number;
  calibration: Calibration;
  confusion: ConfusionCounts;
  classes: ClassRow[];
  /** The pairs that are mistaken most. */
  worst: { truth: string; guess: string; images: number; share: number }[];
}

/** A photo and what the model says of it. */
export interface PanelPart {
  picture: Embedded;
  truth: string;
  guesses: { name: string; probability: number; isTruth: boolean }[];
}

/** Some kilobytes of a picture. */
export interface Embedded {
  type: 'png' | 'webp';
  bytes: Uint8Array;
}

/** A picture of another part of the program, such as boxes or neighbours. */
export interface PicturePart {
  title: string;
  /** What it shows, also for those who do not see it. */
  description: string;
  picture: Embedded;
}

/** All that is on the page. What is absent is left out. */
export interface Report {
  /** The run's name. */
  name: string;
  /** A sentence below it. */
  summary: string;
  trained: FactGroup[];
  epochs: TimedEpoch[];
  steps: StepLoss[];
  net: { name: string; towers: number };
  layers: TowerLayer[];
  /** The first layer; `png` is absent where it comes later. */
  filters?: { description: string; png?: Uint8Array | undefined } | undefined;
  evaluation?: EvaluationPart | undefined;
  panels: PanelPart[];
  pictures: PicturePart[];
  measured: FactGroup[];
  commands: { command: string; what: string }[];
}
