/** The first layer of a model file. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { Session } from '@ilsvrc/engine';
import type { ModelInfo } from '@ilsvrc/evaluator';
import type { Kernels } from '@ilsvrc/report';

/** The first layer of a net: E0404 where it is not a convolution, whose kernels alone can be drawn. */
export function firstConvolution({ name, layers }: ModelInfo['net']) {
  const first = layers.find((layer) => layer.type === 'conv' || layer.type === 'dense');
  if (first?.type === 'conv') return first;
  throw new IlsvrcError('E0404', `${name} does not begin with a convolution`, {
    info: 'only kernels can be drawn',
  });
}

/** The first layer's kernels, tower by tower. */
export async function readKernels({ path, net }: ModelInfo): Promise<Kernels[]> {
  const first = firstConvolution(net);
  const session = await Session.open({
    net,
    batch: 1,
    seed: 0,
    threads: 1,
    places: ['cpu'],
    precision: 'f32',
    use: 'inference',
  });
  await session.loadModel(path);
  const names = Array.from({ length: net.towers }, (_, tower) => `tower${tower}.${first.name}.weight`);
  return Promise.all(names.map((name) => session.parameter(name)));
}
