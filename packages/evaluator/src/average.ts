/** Means over models. */
import { IlsvrcError } from '@ilsvrc/diagnostics';

/** The weights of `models` models, 0 or more with the sum 1; all the same where none are given. E0504 where they cannot be. */
export function normalise(weights: readonly number[] | undefined, models: number): number[] {
  if (weights === undefined) return Array(models).fill(1 / models);
  const bad = (message: string) =>
    new IlsvrcError('E0504', message, {
      info: `the weights are ${weights.join(', ')}`,
      hint: 'one number a model, 0 or more, as `--weights .5,.3,.2`; they need not sum up to 1',
    });
  if (weights.length !== models)
    throw bad(`the number of weights is ${weights.length}, that of models ${models}`);
  if (!weights.every((weight) => Number.isFinite(weight) && weight >= 0))
    throw bad('a weight is not a number from 0');
  const sum = weights.reduce((all, weight) => all + weight, 0);
  if (sum === 0) throw bad('all weights are 0');
  if (sum === Number.POSITIVE_INFINITY) throw bad('the weights are too large to be added up');
  return weights.map((weight) => weight / sum);
}

/** The weighted mean of several models' probabilities of the same images. Summed in f64 in the order given. */
export function average(all: readonly Float32Array[], weights: readonly number[]): Float32Array {
  const [first, ...rest] = all;
  if (first === undefined) throw new IlsvrcError('E0901', 'an average of no models');
  if (rest.length === 0) return first;
  const mean = new Float32Array(first.length);
  for (let i = 0; i < mean.length; i++) {
    let sum = 0;
    for (let model = 0; model < all.length; model++) sum += (weights[model] ?? 0) * (all[model]?.[i] ?? 0);
    mean[i] = sum;
  }
  return mean;
}
