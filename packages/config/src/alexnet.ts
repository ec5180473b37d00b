/**
 * The paper's net, its authors' released form, the ablations that the paper reports, and a small net of the same shape.
 * Krizhevsky, Sutskever, Hinton: "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012; the released
 * net is layers-145 of the authors' source code.
 */
import { conv, dense, dropout, joined, learning, lrn, maxPool, overlapping, relu, tanh } from './layers.ts';
import type { Layer, Net } from './net.ts';

/** What the ablations change. */
interface Choices {
  activation?: Layer;
  /** Without local response normalisation. */
  plain?: boolean;
  pool?: Layer;
  /** Pads of conv2 and conv5; they differ where pooling does not overlap. */
  pads?: { conv2: number; conv5: number };
  /** conv3, fc6 and fc7 read their own tower only; the towers meet in fc8. */
  apart?: boolean;
}

const weights = learning(0.01);
const positive = learning(0.01, 1);

function paperNet(name: string, classes: number, choices: Choices = {}): Net {
  const { activation = relu, pool = overlapping, pads = { conv2: 2, conv5: 1 } } = choices;
  const norm = choices.plain ? [] : [lrn];
  const across = choices.apart ? 'own' : 'both';
  return {
    name,
    image: 256,
    crop: 224,
    towers: 2,
    layers: [
      ...[conv('conv1', 48, [11, 4, 0], weights), activation, ...norm, pool],
      ...[conv('conv2', 128, [5, 1, pads.conv2], positive), activation, ...norm, pool],
      ...[conv('conv3', 192, [3, 1, 1], weights, across), activation],
      ...[conv('conv4', 192, [3, 1, 1], positive), activation],
      ...[conv('conv5', 128, [3, 1, pads.conv5], positive), activation, pool],
      ...[dense('fc6', 2048, positive, across), activation, dropout],
      ...[dense('fc7', 2048, positive, across), activation, dropout],
      joined('fc8', classes, weights),
    ],
  };
}

/** The paper's net exactly. */
export const alexnet = (classes: number): Net => paperNet('alexnet', classes);
/** Without local response normalisation (the paper: +1.4 / +1.2 points of error). */
export const noLrn = (classes: number): Net => paperNet('no-lrn', classes, { plain: true });
/** Pooling windows of 2 that do not overlap (+0.4 / +0.3). */
export const noOverlap = (classes: number): Net =>
  paperNet('no-overlap', classes, { pool: maxPool(2, 2), pads: { conv2: 1, conv5: 0 } });
/** Towers that meet only in fc8. */
export const noCross = (classes: number): Net => paperNet('no-cross', classes, { apart: true });
/** tanh in place of ReLU. */
export const tanhNet = (classes: number): Net => paperNet('tanh', classes, { activation: tanh });

/** One tower: conv5 and the dense layers as wide as both towers' together, the others as one tower's (+1.7 / +1.2). */
export const oneTower = (classes: number): Net => ({
  name: 'one-tower',
  image: 256,
  crop: 224,
  towers: 1,
  layers: [
    ...[conv('conv1', 48, [11, 4, 0], weights), relu, lrn, overlapping],
    ...[conv('conv2', 128, [5, 1, 2], positive), relu, lrn, overlapping],
    ...[conv('conv3', 192, [3, 1, 1], weights), relu],
    ...[conv('conv4', 192, [3, 1, 1], positive), relu],
    ...[conv('conv5', 256, [3, 1, 1], positive), relu, overlapping],
    ...[dense('fc6', 4096, positive), relu, dropout],
    ...[dense('fc7', 4096, positive), relu, dropout],
    dense('fc8', classes, weights),
  ],
});

/** The released net: pooling before the activation in layers 1 and 5, a second normalisation in layer 2, wider weights. */
export const alexnetSource = (classes: number): Net => {
  const twice = { bias_rate: 2 };
  const mapNorm: Layer = { type: 'map_norm', size: 5, k: 1, alpha: 1e-3, beta: 0.75 };
  return {
    name: 'alexnet-source',
    image: 256,
    crop: 224,
    towers: 2,
    layers: [
      ...[conv('conv1', 48, [11, 4, 0], learning(0.01, 0, twice)), lrn, overlapping, relu],
      ...[conv('conv2', 128, [5, 1, 2], learning(0.01, 1, twice)), relu, lrn, mapNorm, overlapping],
      ...[conv('conv3', 192, [3, 1, 1], learning(0.03, 0, twice), 'both'), relu],
      ...[conv('conv4', 192, [3, 1, 1], learning(0.03, 1, twice)), relu],
      ...[conv('conv5', 128, [3, 1, 1], learning(0.03, 1, twice)), overlapping, relu],
      ...[dense('fc6', 2048, learning(0.01, 1, twice), 'both'), relu, dropout],
      ...[dense('fc7', 2048, learning(0.01, 1, twice), 'both'), relu, dropout],
      joined('fc8', classes, learning(0.01, 0, twice)),
    ],
  };
};

/**
 * A small two-tower net of the same shape for crops of 64 pixels: minutes on a CPU. Weights start at sqrt(2 / fan-in)
 * (He et al. 2015) and biases at 0, since with few images the paper's constants sit on a flat loss for many epochs; the
 * first layer, whose inputs are pixels of order 60 rather than 1, keeps the paper's 0.01.
 */
export const alexnet64 = (classes: number): Net => {
  const he = (fanIn: number) => learning(Math.sqrt(2 / fanIn));
  return {
    name: 'alexnet-64',
    image: 72,
    crop: 64,
    towers: 2,
    layers: [
      ...[conv('conv1', 32, [5, 2, 2], learning(0.01)), relu, lrn, overlapping],
      ...[conv('conv2', 64, [5, 1, 2], he(5 * 5 * 32)), relu, lrn, overlapping],
      ...[conv('conv3', 96, [3, 1, 1], he(3 * 3 * 128), 'both'), relu],
      ...[conv('conv4', 96, [3, 1, 1], he(3 * 3 * 96)), relu],
      ...[conv('conv5', 64, [3, 1, 1], he(3 * 3 * 96)), relu, overlapping],
      ...[dense('fc6', 256, he(4 * 4 * 128), 'both'), relu, dropout],
      ...[dense('fc7', 256, he(512), 'both'), relu, dropout],
      joined('fc8', classes, learning(0.01)),
    ],
  };
};
