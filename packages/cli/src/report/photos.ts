/** Photos for the panels: drawn by chance, half of them from what the model has wrong where there are so many. */
import { createHash } from 'node:crypto';
import { imageRows, readJpegs } from '@ilsvrc/engine';
import { best, type Evaluation } from '@ilsvrc/evaluator';

/** A photo of the validation split and the likeliest classes. */
export interface Photo {
  jpeg: Uint8Array;
  truth: string;
  guesses: { name: string; probability: number; isTruth: boolean }[];
}

const count = 24;
const bars = 5;

/** Reads the photos that were drawn; the same ones for the same model and split. */
export async function choosePhotos({ scores, subject }: Evaluation, dataset: string): Promise<Photo[]> {
  const { probabilities, labels, classes: width } = scores;
  const guessesOf = (image: number) => best(probabilities.subarray(image * width, (image + 1) * width), bars);
  const chosen = mix([...labels.keys()], (image) => guessesOf(image)[0]?.class === labels[image]);
  const numbers = chosen.map((image) => subject.numbers[image] ?? 0);
  const rows = await imageRows({ dataset, split: subject.split, numbers });
  const jpegs = await readJpegs(dataset, rows);
  const name = (index: number) => subject.classes[index]?.name ?? String(index);
  return jpegs.map((jpeg, place) => {
    const image = chosen[place] ?? 0;
    const guesses = guessesOf(image).map(({ class: index, probability }) => ({
      ...{ name: name(index), probability, isTruth: index === labels[image] },
    }));
    return { jpeg, truth: name(labels[image] ?? 0), guesses };
  });
}

/** Half right and half wrong ones, in an order of chance; more of one kind where the other is rare. */
export function mix(images: readonly number[], isRight: (image: number) => boolean): number[] {
  const shuffled = byChance(images);
  const right: number[] = [];
  const wrong: number[] = [];
  for (const image of shuffled) {
    const kind = isRight(image) ? right : wrong;
    if (kind.length < count) kind.push(image);
  }
  const wrongs = Math.max(Math.floor(count / 2), count - right.length);
  const chosen = wrong.slice(0, wrongs);
  return byChance([...chosen, ...right.slice(0, count - chosen.length)]);
}

/** Sorted by a hash of the number: chance that is the same on all machines. */
function byChance(images: readonly number[]): number[] {
  return images
    .map((image) => ({ image, hash: createHash('sha256').update(`photo ${image}`).digest('hex') }))
    .sort((a, b) => (a.hash < b.hash ? -1 : 1))
    .map(({ image }) => image);
}
