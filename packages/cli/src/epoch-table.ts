/** What `train` shows: a row an epoch on stdout, and one redrawn line on stderr between them. */

import { formatBytes, formatCount, formatCurve, formatDuration, formatPercent } from '@ilsvrc/terminal';
import {
  type EndEvent,
  type EpochEvent,
  type StartEvent,
  type StepEvent,
  stepsIn,
  type TrainEvent,
} from '@ilsvrc/trainer';
import { describeLayout, describeNotice, describeRanksOf, describeSums } from './layout.ts';
import type { Output } from './output.ts';
import { describeStages } from './stages.ts';

const columns = [
  ['epoch', 7],
  ['train loss', 12],
  ['val loss', 10],
  ['top-1 err', 11],
  ['top-5 err', 11],
  ['lr', 10],
  ['images/s', 10],
  ['time', 13],
] as const;

/** A row a line, each as wide as its column, so that a pipe reads the same as a terminal. */
export class EpochTable {
  readonly #output: Output;
  #start: StartEvent | undefined;
  readonly #epochs: EpochEvent[] = [];
  #progress: ReturnType<Output['progress']> | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  show(event: TrainEvent): void {
    switch (event.event) {
      case 'start':
        this.#begin(event);
        break;
      case 'step':
        this.#step(event);
        break;
      case 'epoch':
        this.stop();
        this.#row(event);
        break;
      case 'checkpoint':
        this.#output.detail(`saved ${event.path} (epoch ${event.epoch}, step ${event.step})`);
        break;
      case 'end':
        this.stop();
        this.#end(event);
    }
  }

  /** Takes the redrawn line away. */
  stop(): void {
    this.#progress?.stop();
    this.#progress = undefined;
  }

  #begin(event: StartEvent): void {
    this.#start = event;
    const { run, net, dataset, images, classes, batch, epochs, parameters, resumed } = event;
    const { devices: places, exchange, precision, cache, held_out } = event;
    const notice = describeNotice({ places, notice: event.notice });
    this.#output.say(`${run}: ${net}, ${formatCount(parameters)} parameters, on ${dataset}`);
    this.#output.say(
      `${formatCount(images)} images of ${formatCount(classes)} classes, batch ${batch}, ${epochs} ${epochs === 1 ? 'epoch' : 'epochs'}`,
    );
    if (held_out !== null) {
      this.#output.say(
        `held out: ${formatPercent(held_out.share)} of the images until epoch ${held_out.epochs}`,
      );
    }
    this.#output.say(describeLayout({ places, exchange, precision }));
    if (notice !== undefined) this.#output.say(notice);
    for (const line of describeShares(event)) this.#output.say(line);
    if (cache !== null) {
      this.#output.say(
        `cache: ${formatCount(cache.images)} of ${formatCount(cache.of)} images (${formatBytes(cache.bytes)})`,
      );
    }
    if (resumed) this.#output.say(`going on in epoch ${resumed.epoch} after step ${resumed.step}`);
    this.#output.data(columns.map(([name, width]) => name.padStart(width)).join(''));
  }

  #step(event: StepEvent): void {
    this.#progress ??= this.#output.progress(`epoch ${event.epoch}`);
    const note = `loss ${event.loss.toFixed(3)}, ${formatCount(event.images_per_second)} images/s`;
    const steps = this.#start === undefined ? 0 : stepsIn(this.#start, event.epoch - 1);
    this.#progress.update(event.step, steps, note);
  }

  #end({ top1_error, top5_error, seconds, model }: EndEvent): void {
    const errors = `top-1 error ${formatPercent(top1_error)}, top-5 error ${formatPercent(top5_error)}`;
    this.#output.data(
      `${errors} on the validation images (centre view), after ${formatDuration(seconds)}: ${model}`,
    );
    if (this.#epochs.length > 1) this.#curves();
  }

  /** How loss and error fell, a line each. */
  #curves(): void {
    const curve = (name: string, value: (epoch: EpochEvent) => number, format: (value: number) => string) => {
      const values = this.#epochs.map(value);
      const ends = [values[0] ?? 0, values.at(-1) ?? 0].map(format).join(' to ');
      this.#output.say(`  ${name.padEnd(11)}${formatCurve(values, 30)}  ${ends}`);
    };
    const loss = (value: number) => value.toFixed(3);
    curve('train loss', (epoch) => epoch.loss, loss);
    curve('val loss', ({ val_loss }) => val_loss, loss);
    curve(
      'top-1 err',
      ({ top1_error }) => top1_error,
      (value) => formatPercent(value),
    );
  }

  #row(event: EpochEvent): void {
    this.#epochs.push(event);
    const cells = [
      String(event.epoch),
      event.loss.toFixed(4),
      event.val_loss.toFixed(4),
      formatPercent(event.top1_error),
      formatPercent(event.top5_error),
      String(Number(event.lr.toPrecision(3))),
      formatCount(event.images_per_second),
      formatDuration(event.seconds),
    ];
    this.#output.data(cells.map((cell, index) => cell.padStart(columns[index]?.[1] ?? 0)).join(''));
    // A run that was stopped while validating goes on with an epoch whose steps another process has made.
    if (event.stages.train > 0) this.#output.say(`      ${describeStages(event, this.#start?.devices)}`);
  }
}

/** Who trains together, what that means for batch and learning rate, and how gradients go. */
function describeShares({ ranks, among, devices, batch, lr }: StartEvent): string[] {
  const replicas = new Set(devices.map(({ replica }) => replica)).size;
  const count = ranks?.length ?? replicas;
  if (ranks === null && count === 1) return [];
  const own = batch / count;
  const images = Number.isInteger(own) ? `${own}` : `${Math.floor(own)} or ${Math.ceil(own)}`;
  const share = `each computes ${images} images of a step's ${batch}; learning rate ${lr}, as`;
  if (ranks === null) {
    const line = `${count} replicas: ${share} with one and this batch`;
    return among === null ? [line] : [line, describeSums(among)];
  }
  const hosts = new Set(ranks).size;
  const where = hosts === 1 ? 'one host' : `${hosts} hosts`;
  const line = `${count} ranks on ${where}: ${share} in one process with this batch`;
  return among === null ? [line] : [line, `${describeRanksOf(among)}; ${describeSums(among)}`];
}
