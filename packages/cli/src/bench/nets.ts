/** The nets that `ilsvrc bench` works with. */
import { type PresetName, presets } from '@ilsvrc/config';

/** Presets and the number of their classes; the first one's ops are also measured alone, and its latency and memory. */
const measured = { alexnet: 1000, 'alexnet-64': 10, 'cifar-80sec': 10 } as const satisfies Partial<
  Record<PresetName, number>
>;

/** The paper's net at this batch is enough for a first look. */
const quickBatch = 32;

/** Nets and the batches of their recipes. */
export function benchNets(quick: boolean) {
  return Object.entries(measured).map(([name, classes]) => {
    const { net, recipe } = presets[name as keyof typeof measured];
    return { name, net: net(classes), batch: quick ? Math.min(recipe.batch, quickBatch) : recipe.batch };
  });
}
