/** Presets against published counts, from the paper's shape rules written down a second time, apart from the engine's. */
import { expect, test } from 'vitest';
import type { Net } from './net.ts';
import { type PresetName, presets } from './presets.ts';

interface Counts {
  neurons: number;
  parameters: number;
  /** Multiply-adds of one image, forward. */
  connections: number;
}

/** Both towers together. A layer that reads both towers sees twice the maps of one. */
function count({ crop, towers, layers }: Net): Counts {
  const total = { neurons: 0, parameters: 0, connections: 0 };
  const add = (places: number, outputs: number, filters: number, fanIn: number) => {
    total.neurons += places * outputs;
    total.parameters += places * filters * (fanIn + 1);
    total.connections += places * outputs * fanIn;
  };
  // The image is whole on every tower.
  let [side, maps] = [crop, 3];
  for (const layer of layers) {
    const sources = 'reads' in layer && layer.reads === 'both' ? 2 : 1;
    if (layer.type === 'conv') {
      side = 1 + Math.ceil((2 * layer.pad + side - layer.size) / layer.stride);
      add(towers, side ** 2 * layer.filters, layer.filters, layer.size ** 2 * maps * sources);
      maps = layer.filters;
    } else if (layer.type === 'local') {
      side = 1 + Math.ceil((2 * layer.pad + side - layer.size) / layer.stride);
      // Every position has filters of its own.
      for (let position = 0; position < side ** 2; position++)
        add(towers, layer.filters, layer.filters, layer.size ** 2 * maps * sources);
      maps = layer.filters;
    } else if (layer.type === 'dense') {
      add(layer.joined ? 1 : towers, layer.units, layer.units, side ** 2 * maps * sources);
      [side, maps] = [1, layer.units];
    } else if (layer.type === 'max_pool' || layer.type === 'avg_pool') {
      side = Math.ceil((side - layer.size) / layer.stride) + 1;
    }
  }
  return total;
}

test.each<[PresetName, number, Partial<Counts>]>([
  ['alexnet', 1000, { neurons: 659_272, parameters: 60_965_224, connections: 724_406_816 }],
  ['alexnet-source', 1000, { neurons: 659_272, parameters: 60_965_224, connections: 724_406_816 }],
  ['no-lrn', 1000, { neurons: 659_272, parameters: 60_965_224 }],
  ['tanh', 1000, { neurons: 659_272, parameters: 60_965_224 }],
  // Pooling 55 to 28, 26 to 13 and 11 to 6 leaves fc6 as it was.
  ['no-overlap', 1000, { parameters: 60_965_224 }],
  ['one-tower', 1000, { parameters: 59_798_312 }],
  // Half of the weights of conv3, fc6 and fc7 less.
  ['no-cross', 1000, { parameters: 60_965_224 - 2 * (9 * 128 * 192 + 36 * 128 * 2048 + 2048 * 2048) }],
  ['cifar-80sec', 10, { parameters: 145_578, connections: 12_354_176 }],
  ['cifar-18pct', 10, { parameters: 89_578, connections: 12_298_240 }],
  ['cifar-11pct', 10, { parameters: 2_112_970, connections: 19_512_576 }],
])('%s has the counts that were published', (name, classes, counts) => {
  expect(count(presets[name].net(classes))).toMatchObject(counts);
});
