/** `train --live`: the report's page, filled while the run goes on. */
import { basename, join } from 'node:path';
import { readManifest } from '@ilsvrc/dataset';
import { LivePage } from '@ilsvrc/report';
import { RunDirectory, readMetrics, stepsIn, type TrainEvent } from '@ilsvrc/trainer';
import { describeLayout } from './layout.ts';
import { planned } from './report/facts.ts';
import type { RunChoice } from './run-choice.ts';

/** Where a run's events go on their way to browsers. */
export interface Live {
  url: string;
  show(event: TrainEvent): void;
  close(text: string): Promise<void>;
}

/** Opens the page of a run that is about to begin, or to go on. */
export async function openLive(choice: RunChoice, port: number, resumes: boolean): Promise<Live> {
  const directory = new RunDirectory(join('runs', choice.run));
  const plan = {
    name: basename(directory.path),
    settings: choice,
    manifest: await readManifest(choice.dataset),
  };
  const report = planned(plan, undefined);
  const page = await LivePage.open({
    port,
    report,
    epochs: choice.recipe.epochs,
    filters: directory.filters,
  });
  const earlier = resumes ? (await readMetrics(directory)).epochs : [];
  return {
    url: page.url,
    show(event) {
      switch (event.event) {
        case 'start': {
          const { devices: places, exchange, precision } = event;
          report.trained = planned(plan, describeLayout({ places, exchange, precision })).trained;
          page.begin(
            (epoch) => stepsIn(event, epoch - 1),
            earlier.filter(({ epoch }) => epoch < (event.resumed?.epoch ?? 1)),
          );
          break;
        }
        case 'step':
          page.step(event);
          break;
        case 'epoch':
          page.epoch(event);
      }
    },
    close: (text) => page.close(text),
  };
}
