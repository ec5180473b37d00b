/** What a run tells. Names are those of `train --json` and `metrics.jsonl`; epochs and steps count from 1. */
import type { Layout, Place, TrainReport } from '@ilsvrc/engine';

/** The run begins, or goes on. */
export interface StartEvent {
  event: 'start';
  version: 1;
  run: string;
  net: string;
  dataset: string;
  images: number;
  classes: number;
  /** Images a step, of all ranks or replicas together. */
  batch: number;
  /** Learning rate of the first epoch. */
  lr: number;
  epochs: number;
  /** Of an epoch of all images. */
  steps_per_epoch: number;
  /** The share of the images that is left out of the first epochs; `null` for none. */
  held_out: { share: number; epochs: number } | null;
  parameters: number;
  /** Where the towers of this process live, replica by replica. A run may go on elsewhere, so its settings say nothing of it. */
  devices: Place[];
  precision: Layout['precision'];
  exchange: Layout['exchange'];
  /** Why `auto` found fewer GPUs than towers, where a GPU or its driver cannot be used. */
  notice: Layout['notice'];
  /** What fits into the cache of decoded images; `null` without one. */
  cache: Layout['cache'];
  /** The host of each rank; `null` where there is one process. */
  ranks: string[] | null;
  /** The GPUs of all ranks, or replicas of this process, and how gradients go between them; `null` for one replica and on CPUs. */
  among: Layout['among'];
  /** Steps of epoch `epoch` that an earlier process has made. */
  resumed: { epoch: number; step: number } | null;
}

/** A step was made. */
export interface StepEvent {
  event: 'step';
  epoch: number;
  step: number;
  loss: number;
  images_per_second: number;
}

/** An epoch was trained and validated. */
export interface EpochEvent {
  event: 'epoch';
  epoch: number;
  step: number;
  /** Mean over the epoch's training images, with dropout and augmentation. */
  loss: number;
  /** Of training, likewise. */
  train_top1_error: number;
  val_loss: number;
  /** Of the validation images, centre view. */
  top1_error: number;
  top5_error: number;
  lr: number;
  images_per_second: number;
  /** Training and validation. */
  seconds: number;
  /** The stage that held the others back, as far as this process trained the epoch. */
  limiting_stage: TrainReport['limiting_stage'];
  /** What that stage would reach if it never waited for another; 0 where this process only validated. */
  ceiling_images_per_second: number;
  /** Share of the time that each stage was busy. */
  stages: TrainReport['stages'];
  /** Of several ranks or replicas: what one has sent the others since they met, on ranks validation included. */
  traffic?: NonNullable<TrainReport['traffic']>;
}

/** All that is needed to go on is on the disk. */
interface CheckpointEvent {
  event: 'checkpoint';
  epoch: number;
  step: number;
  path: string;
}

/** All epochs are trained. */
export interface EndEvent {
  event: 'end';
  epoch: number;
  step: number;
  top1_error: number;
  top5_error: number;
  seconds: number;
  /** The most memory that the process has held, in bytes. */
  peak_memory: number;
  model: string;
}

/** An event of a run. */
export type TrainEvent = StartEvent | StepEvent | EpochEvent | CheckpointEvent | EndEvent;
