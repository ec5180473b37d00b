/** Weights of models that make the averaged probabilities most likely: found on one half of the images, judged on the other. */
import { createHash } from 'node:crypto';

/** Two halves of the numbers from 0 to `images`, the same for the same seed, each in ascending order. */
export function halves(images: number, seed: number): { fitted: number[]; held: number[] } {
  const order = Array.from({ length: images }, (_, image) => ({
    image,
    key: createHash('sha256').update(`${seed}:${image}`).digest('hex'),
  })).sort((a, b) => (a.key < b.key ? -1 : 1));
  const take = (from: number, to: number) =>
    order
      .slice(from, to)
      .map(({ image }) => image)
      .sort((a, b) => a - b);
  const middle = Math.ceil(images / 2);
  return { fitted: take(0, middle), held: take(middle, images) };
}

/**
 * Coordinate search. `truths[m][i]` is what model `m` gives the true class of image `i`. The log loss of a mean,
 * `-mean ln(sum_m w_m p_mi)`, is convex in the weights, so each step finds the best share of one model against the others as
 * they are by golden section, and the search ends where no share helps by more than 1e-9 nats.
 */
export function fitWeights(truths: readonly Float64Array[]): number[] {
  const images = truths[0]?.length ?? 0;
  let weights: number[] = Array(truths.length).fill(1 / truths.length);
  const loss = (candidate: readonly number[]) => {
    let sum = 0;
    for (let i = 0; i < images; i++) {
      let p = 0;
      for (let model = 0; model < truths.length; model++)
        p += (candidate[model] ?? 0) * (truths[model]?.[i] ?? 0);
      sum -= Math.log(Math.max(p, 2 ** -149));
    }
    return sum / images;
  };
  let best = loss(weights);
  for (let round = 0; round < 100; round++) {
    const before = best;
    for (const model of weights.keys()) {
      const others = weights.reduce((sum, weight, other) => (other === model ? sum : sum + weight), 0);
      // A model that has all the weight leaves the others in no proportion: they share what it gives up.
      const with_ = (share: number) =>
        weights.map((weight, other) => {
          if (other === model) return share;
          return (1 - share) * (others === 0 ? 1 / (weights.length - 1) : weight / others);
        });
      const candidate = with_(goldenSection((share) => loss(with_(share))));
      const found = loss(candidate);
      if (found < best) [weights, best] = [candidate, found];
    }
    if (before - best < 1e-9) break;
  }
  return weights;
}

/** Where a function with one minimum on [0, 1] is least, to 1e-5; the ends are candidates too. */
function goldenSection(value: (x: number) => number): number {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [0, 1];
  let [a, b] = [1 - ratio, ratio];
  let [atA, atB] = [value(a), value(b)];
  while (high - low > 1e-5) {
    if (atA < atB) {
      [high, b, atB] = [b, a, atA];
      a = high - ratio * (high - low);
      atA = value(a);
    } else {
      [low, a, atA] = [a, b, atB];
      b = low + ratio * (high - low);
      atB = value(b);
    }
  }
  const middle = (low + high) / 2;
  const candidates = [0, middle, 1].map((x) => ({ x, at: value(x) }));
  return candidates.reduce((least, next) => (next.at < least.at ? next : least)).x;
}
