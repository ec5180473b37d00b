/** The pictures of a report as PNG files, for slides. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFailed } from '@ilsvrc/diagnostics';
import {
  drawConfusion,
  drawCurvesTogether,
  drawReliability,
  drawTraffic,
  rasterise,
  writeFilters,
  writePanel,
  writePng,
} from '@ilsvrc/report';
import type { Gathered } from './gather.ts';

/** Photos of a panel, so that it fits a slide. */
const slide = 8;

const names = ['filters', 'curves', 'panel', 'confusion', 'reliability', 'towers'] as const;

const fileOf = (folder: string, name: (typeof names)[number]) => join(folder, `${name}.png`);

/** The files that would be written. */
export function pictureFiles(folder: string | undefined): string[] {
  return folder === undefined ? [] : names.map((name) => fileOf(folder, name));
}

/** Draws what the report has and returns the files. */
export async function writePictures(
  { report, photos, kernels }: Gathered,
  folder: string,
): Promise<string[]> {
  await mkdir(folder, { recursive: true }).catch((cause) => Promise.reject(writeFailed(folder, cause)));
  const { evaluation, epochs } = report;
  const written: string[] = [];
  const draw = async (name: (typeof names)[number], write: (path: string) => Promise<void>) => {
    await write(fileOf(folder, name));
    written.push(fileOf(folder, name));
  };
  if (kernels.length > 0) await draw('filters', (path) => writeFilters(kernels, path));
  if (epochs.length > 0)
    await draw('curves', (path) => writePng(rasterise(drawCurvesTogether(epochs)), path));
  if (photos.length > 0) {
    const guessed = photos
      .slice(0, slide)
      .map(({ jpeg, truth, guesses }) => ({ photo: jpeg, truth, guesses }));
    await draw('panel', (path) => writePanel(guessed, path));
  }
  if (evaluation !== undefined) {
    const classes = evaluation.classes.map(({ name }) => name);
    await draw('confusion', (path) =>
      writePng(rasterise(drawConfusion(evaluation.confusion, classes)), path),
    );
    await draw('reliability', (path) => writePng(rasterise(drawReliability(evaluation.calibration)), path));
  }
  await draw('towers', (path) => writePng(rasterise(drawTraffic(report.net, report.layers)), path));
  return written;
}
