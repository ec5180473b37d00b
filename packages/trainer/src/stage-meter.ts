/** Joins the engine's reports on how busy each stage was. */
import type { TrainReport } from '@ilsvrc/engine';
import type { Stage } from './events.ts';

/** Shares and limiting stage over several reports, weighted by their time. */
export class StageMeter {
  readonly #reports: TrainReport[] = [];

  add(report: TrainReport): void {
    this.#reports.push(report);
  }

  /** Share of the time that each stage was busy, 0 to 1. */
  get shares(): TrainReport['stages'] {
    return {
      read: this.#share('read'),
      decode: this.#share('decode'),
      copy: this.#share('copy'),
      train: this.#share('train'),
    };
  }

  /** The stage that held the others back for the longest time. */
  get limiting(): Stage {
    const seconds = new Map<Stage, number>();
    for (const { limiting_stage, seconds: took } of this.#reports) {
      seconds.set(limiting_stage, (seconds.get(limiting_stage) ?? 0) + took);
    }
    return [...seconds].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'train';
  }

  #share(stage: keyof TrainReport['stages']): number {
    const seconds = this.#reports.reduce((sum, report) => sum + report.seconds, 0);
    const busy = this.#reports.reduce((sum, report) => sum + report.seconds * report.stages[stage], 0);
    return seconds > 0 ? busy / seconds : 0;
  }
}
