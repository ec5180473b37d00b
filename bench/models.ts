/** Model files of drawn weights, for commands that export what need not have been learned. */
import { globSync, mkdirSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { generateBuiltin, type Net, prep, Session } from '@ilsvrc/engine';

/** Classes that the built-in pictures have. */
const drawn = 12;

/**
 * Draws pictures and prepares them once for each side, below `place`: the folder is named after the side. More classes than
 * pictures have come of giving the pictures to all in turn.
 */
export async function drawDatasets(place: string, sides: Iterable<number>, classes = drawn): Promise<void> {
  let photos = join(place, 'photos');
  await generateBuiltin({ out: photos, images: 120, seed: 1, workers: 2 });
  if (classes !== drawn) {
    const pictures = globSync(join(photos, '**/*.{jpg,png}'));
    photos = join(place, 'classes');
    for (const [index, split] of ['train', 'val'].entries()) {
      for (let label = 0; label < classes; label += 1) {
        const folder = join(photos, split, String(label));
        const picture = pictures[(2 * label + index) % pictures.length];
        if (picture === undefined) throw new Error(`no pictures in ${place}`);
        mkdirSync(folder, { recursive: true });
        symlinkSync(picture, join(folder, basename(picture)));
      }
    }
  }
  for (const size of sides) {
    await prep({
      ...{ sources: [photos], out: join(place, `${size}`), name: 'builtin', size, resize: 'crop' },
      ...{ exif_rotate: false, quality: 85, workers: 2, seed: 1, shard_images: 50, max_rejected: 0 },
      ...{ force: false, part: null, layout: null, names: null, recipe: null },
    });
  }
}

/** Writes a net of drawn weights to `model`: a step of length nought over a set of `drawDatasets` brings the mean image. */
export async function drawModel(net: Net, place: string, model: string): Promise<Session> {
  const dataset = join(place, `${net.image}`);
  const options = { net, batch: 12, seed: 5, threads: 0, places: ['cpu'], precision: 'f32' } as const;
  const training = await Session.open({ ...options, places: [...options.places], use: 'training' });
  await training.train({
    ...{ dataset, split: 'train', epoch: 0, first_step: 0, steps: 1 },
    ...{ rule: { rate: 0, momentum: 0, decay: 0 }, mirror: false, colour_noise: 0 },
  });
  await training.saveModel(model, {
    net: JSON.stringify(net),
    classes: '[]',
    preprocessing: '{"resize":"crop"}',
  });
  return training;
}
