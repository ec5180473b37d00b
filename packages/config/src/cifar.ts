/** The CIFAR-10 nets of the paper's authors (the example layers of cuda-convnet); their published test errors: 26 %, 18 % and 11 %. */
import { avgPool, conv, dense, learning, local, overlapping, relu } from './layers.ts';
import type { Layer, Net } from './net.ts';

const average = avgPool(3, 2);

/** 26 % after 80 seconds on a GPU of 2011. */
export const cifar80sec = (classes: number): Net => {
  const how = (std: number, decay: number) => learning(std, 0, { bias_rate: 2, decay });
  return {
    name: 'cifar-80sec',
    image: 32,
    crop: 32,
    towers: 1,
    layers: [
      ...[conv('conv1', 32, [5, 1, 2], how(0.0001, 0.004)), overlapping, relu],
      ...[conv('conv2', 32, [5, 1, 2], how(0.01, 0.004)), relu, average],
      ...[conv('conv3', 64, [5, 1, 2], how(0.01, 0.004)), relu, average],
      ...[dense('fc64', 64, how(0.1, 0.03)), relu],
      dense('fc10', classes, how(0.1, 0.03)),
    ],
  };
};

/** 18 %: normalisation within each map after the first two pools. */
export const cifar18pct = (classes: number): Net => {
  const how = (std: number, decay: number) => learning(std, 0, { bias_rate: 2, decay });
  const mapNorm: Layer = { type: 'map_norm', size: 3, k: 1, alpha: 5e-5, beta: 0.75 };
  return {
    name: 'cifar-18pct',
    image: 32,
    crop: 32,
    towers: 1,
    layers: [
      ...[conv('conv1', 32, [5, 1, 2], how(0.0001, 0.004)), overlapping, relu, mapNorm],
      ...[conv('conv2', 32, [5, 1, 2], how(0.01, 0.004)), relu, average, mapNorm],
      ...[conv('conv3', 64, [5, 1, 2], how(0.01, 0.004)), relu, average],
      dense('fc10', classes, how(0.01, 1)),
    ],
  };
};

/** 11 %: random crops, normalisation across maps, and locally connected layers in place of the third convolution. */
export const cifar11pct = (classes: number): Net => {
  const how = (std: number, decay: number) => learning(std, 0, { bias_rate: 2, decay });
  const norm: Layer = { type: 'lrn', size: 9, k: 1, alpha: 0.001, beta: 0.75 };
  return {
    name: 'cifar-11pct',
    image: 32,
    crop: 24,
    towers: 1,
    layers: [
      ...[conv('conv1', 64, [5, 1, 2], how(0.0001, 0)), relu, overlapping, norm],
      ...[conv('conv2', 64, [5, 1, 2], how(0.01, 0)), relu, norm, overlapping],
      ...[local('local3', 64, [3, 1, 1], how(0.04, 0.004)), relu],
      ...[local('local4', 32, [3, 1, 1], how(0.04, 0.004)), relu],
      dense('fc10', classes, how(0.01, 0.01)),
    ],
  };
};
