/** Where a net computes, in words. */
import type { Layout, Place } from '@ilsvrc/engine';
import type { Output } from './output.ts';

/** A place as people call it: `cpu`, or `GPU` and its number. */
export const placeName = (name: string): string => (name === 'cpu' ? 'cpu' : `GPU ${name}`);

/**
 * A line such as `cpu: AVX-512, 2 threads` or
 * `tower 0 on GPU 0 (NVIDIA H100 80GB HBM3), tower 1 on GPU 1, exchange by peer copies, bf16`.
 */
export function describeLayout({
  places,
  exchange,
  precision,
}: Pick<Layout, 'places' | 'exchange' | 'precision'>): string {
  const parts = [places.length === 1 ? places.map(only).join() : places.map(oneOfTwo).join(', ')];
  if (exchange === 'peer') parts.push('exchange by peer copies');
  if (exchange === 'host') parts.push("exchange through the host's memory");
  // A CPU computes in f32, which goes without saying.
  if (places.some(({ name }) => name !== 'cpu')) parts.push(precision);
  return parts.join(', ');
}

/**
 * A line such as `rank 0 on GPU 0, rank 1 on GPU 1; gradients are summed on the GPUs by NCCL 2.27.3`, or why they go through the
 * host's memory. Of many ranks the first two and the last are named.
 */
export function describeAmong({ gpus, nccl, reason }: NonNullable<Layout['among']>): string {
  const ranks = gpus.map((own, rank) => `rank ${rank} on GPU ${[...new Set(own)].join(' and ')}`);
  const named = ranks.length > 4 ? [...ranks.slice(0, 2), '…', ...ranks.slice(-1)] : ranks;
  const way =
    nccl === null
      ? `gradients go through the host's memory (no NCCL: ${reason})`
      : `gradients are summed on the GPUs by NCCL ${nccl}`;
  return `${named.join(', ')}; ${way}`;
}

/** What `auto` left out, and why; `undefined` where there is nothing to say. */
export function describeNotice({ places, notice }: Pick<Layout, 'places' | 'notice'>): string | undefined {
  if (notice === null) return undefined;
  const [first = 'cpu'] = places.map(({ name }) => name);
  const used = first === 'cpu' ? 'no GPU is used' : `only ${placeName(first)} is used`;
  return `${used}: ${notice} (\`ilsvrc doctor\` says more)`;
}

/** Tells those who ask for more where a net computes, and everybody what `auto` left out. */
export function announce(layout: Layout, output: Output): void {
  output.detail(describeLayout(layout));
  const notice = describeNotice(layout);
  if (notice !== undefined) output.say(notice);
}

function only({ name, device }: Place): string {
  return `${placeName(name)}: ${device}`;
}

/** The device is named once where both are of one kind. */
function oneOfTwo({ name, device, towers }: Place, index: number, all: readonly Place[]): string {
  const isNamed = all.slice(0, index).some((before) => before.device === device);
  return `tower ${towers.join()} on ${placeName(name)}${isNamed ? '' : ` (${device})`}`;
}
