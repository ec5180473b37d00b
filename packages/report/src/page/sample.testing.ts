/** A report as a run could have made it, for tests. */
import sharp from 'sharp';
import { towerLayers } from '../charts/traffic.ts';
import { thumbnail } from '../thumbnail.ts';
import type { EvaluationPart, Report } from './report.ts';

/** What a test wants to see in it. */
export interface Sample {
  name?: string;
  /** Name of every class. */
  className?: string;
  classes?: number;
  photos?: number;
  epochs?: number;
}

/** Random numbers from 0 to 1, the same ones each time. */
function chance(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** A report with all its parts; photos are noise, which takes as much room as photos come to. */
export async function sampleReport(sample: Sample): Promise<Report> {
  const { name = 'sample', classes = 12, photos = 4, epochs = 6 } = sample;
  const draw = chance();
  const nameOf = (index: number) => sample.className ?? `class ${index}`;
  const noise = Uint8Array.from({ length: 48 * 48 * 3 }, () => 256 * draw());
  const photo = await sharp(noise, { raw: { width: 48, height: 48, channels: 3 } })
    .jpeg()
    .toBuffer();
  const picture = await thumbnail(photo);
  return {
    name,
    summary: `a net on ${nameOf(0)}`,
    trained: [{ title: 'Network', facts: [['net', nameOf(0)]] }],
    epochs: Array.from({ length: epochs }, (_, index) => ({
      ...{
        epoch: index + 1,
        loss: 2 / (index + 1),
        val_loss: 2.2 / (index + 1),
        lr: index < 3 ? 0.01 : 0.001,
      },
      ...{ train_top1_error: 0.6, top1_error: 0.5 - 0.02 * index, top5_error: 0.2 },
      ...{ images_per_second: 400, seconds: 20 },
    })),
    steps: Array.from({ length: 10 * epochs }, (_, index) => ({ at: (index + 1) / 10, loss: 2 * draw() })),
    net: { name: 'small', towers: 2 },
    layers: towerLayers(
      {
        ...{ towers: 2, crop: 8 },
        layers: [
          { type: 'conv', name: 'conv1' },
          { type: 'conv', name: 'conv2', reads: 'both' },
        ],
      },
      [
        { shape: [8, 8, 4], towers: 2 },
        { shape: [8, 8, 4], towers: 2 },
      ],
    ),
    filters: { description: '8 kernels', png: await sharp(photo).png().toBuffer() },
    evaluation: evaluation(classes, nameOf, draw),
    panels: Array.from({ length: photos }, (_, index) => ({
      picture,
      truth: nameOf(index % 2),
      guesses: [0, 1].map((guess) => ({
        ...{ name: nameOf(guess), probability: 0.7 - 0.4 * guess, isTruth: guess === index % 2 },
      })),
    })),
    pictures: [{ title: 'Boxes', description: nameOf(0), picture }],
    measured: [{ title: 'Evaluation', facts: [['split', 'val']] }],
    commands: [{ what: 'Train.', command: `ilsvrc train ${nameOf(0)}` }],
  };
}

function evaluation(classes: number, nameOf: (index: number) => string, draw: () => number): EvaluationPart {
  const counts = Uint32Array.from({ length: classes * classes }, (_, cell) =>
    cell % (classes + 1) === 0 ? 40 : draw() < 0.02 ? Math.floor(1 + 5 * draw()) : 0,
  );
  return {
    what: '120 images',
    top1: { error: 0.4, interval: [0.3, 0.5] },
    top5: { error: 0.1, interval: [0.05, 0.2] },
    log_loss: 1.234,
    calibration: { ece: 0.05, bins: [{ low: 0, high: 1, images: 120, confidence: 0.65, accuracy: 0.6 }] },
    confusion: { classes, counts },
    classes: Array.from({ length: classes }, (_, index) => ({
      ...{ name: nameOf(index), wnid: `n${index}`, images: 50, top1_error: draw(), top5_error: draw() / 2 },
      confused_with: index === 0 ? null : { name: nameOf(0), images: index },
    })),
    worst: [{ truth: nameOf(1), guess: nameOf(0), images: 9, share: 0.18 }],
  };
}
