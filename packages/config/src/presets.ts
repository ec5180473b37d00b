/** Nets by name, each with the recipe that trains it. */
import {
  alexnet,
  alexnet64,
  alexnetSource,
  noCross,
  noLrn,
  noOverlap,
  oneTower,
  tanhNet,
} from './alexnet.ts';
import { cifar11pct, cifar18pct, cifar80sec } from './cifar.ts';
import type { Net } from './net.ts';
import type { Recipe } from './recipe.ts';

/** A net for a number of classes, its recipe, and a line for the help. */
export interface Preset {
  about: string;
  net(classes: number): Net;
  recipe: Recipe;
}

/** The paper's: divided by ten, three times, when the validation error stops improving. */
const paper: Recipe = {
  batch: 128,
  epochs: 90,
  rate: 0.01,
  momentum: 0.9,
  decay: 0.0005,
  schedule: { kind: 'plateau', factor: 10, patience: 3, drops: 3 },
  mirror: true,
  colour_noise: 0.1,
};

/** Small sets have few batches an epoch; smaller batches give more steps. */
const small: Recipe = {
  ...paper,
  batch: 32,
  epochs: 40,
  schedule: { kind: 'exp', steps: 8, final: 0.0002 },
};

const cifar: Recipe = {
  ...paper,
  epochs: 10,
  rate: 0.001,
  // Each layer names its own decay.
  decay: 0,
  schedule: { kind: 'step', factor: 10, after: [8] },
  mirror: false,
  colour_noise: 0,
};

/** Every preset, in the order of the help. */
export const presets = {
  alexnet: { about: "the paper's net", net: alexnet, recipe: paper },
  'alexnet-64': { about: 'a small two-tower net for 64 px crops', net: alexnet64, recipe: small },
  'alexnet-source': { about: "the authors' released net (layers-145)", net: alexnetSource, recipe: paper },
  'no-lrn': { about: 'without local response normalisation', net: noLrn, recipe: paper },
  'no-overlap': { about: 'pooling that does not overlap', net: noOverlap, recipe: paper },
  'one-tower': { about: 'one tower', net: oneTower, recipe: paper },
  'no-cross': { about: 'towers that meet only in fc8', net: noCross, recipe: paper },
  tanh: { about: 'tanh in place of ReLU', net: tanhNet, recipe: paper },
  'cifar-80sec': { about: 'CIFAR-10, 26 % error in 10 epochs', net: cifar80sec, recipe: cifar },
  'cifar-18pct': {
    about: 'CIFAR-10, 18 % error in 140 epochs',
    net: cifar18pct,
    recipe: { ...cifar, epochs: 140, schedule: { kind: 'step', factor: 10, after: [120, 130] } },
  },
  'cifar-11pct': {
    about: 'CIFAR-10, 11 % error in 520 epochs',
    net: cifar11pct,
    // The authors' stages: batches 1 to 4, all five, then two falls of the rate.
    recipe: {
      ...cifar,
      epochs: 520,
      schedule: { kind: 'step', factor: 10, after: [500, 510] },
      held_out: { share: 0.2, epochs: 350 },
      mirror: true,
    },
  },
} as const satisfies Record<string, Preset>;

/** The name of a preset. */
export type PresetName = keyof typeof presets;

/** Whether a preset has that name. */
export const isPreset = (name: string): name is PresetName => Object.hasOwn(presets, name);
