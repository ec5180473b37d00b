/** Means over models. */
import { IlsvrcError } from '@ilsvrc/diagnostics';

/** The mean of several models' probabilities for the same images. Summed in f64 in the order given. */
export function average(all: Float32Array[]): Float32Array {
  const [first, ...rest] = all;
  if (first === undefined) throw new IlsvrcError('E0901', 'an average of no models');
  if (rest.length === 0) return first;
  const mean = new Float32Array(first.length);
  for (let i = 0; i < mean.length; i++) {
    let sum = 0;
    for (const probabilities of all) sum += probabilities[i] ?? 0;
    mean[i] = sum / all.length;
  }
  return mean;
}
