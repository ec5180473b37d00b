/** Where a net computes, in words. */
import type { Layout, Place } from '@ilsvrc/engine';
import type { Output } from './output.ts';

/** A place as people call it: `cpu`, or `GPU` and its number. */
export const placeName = (name: string): string => (name === 'cpu' ? 'cpu' : `GPU ${name}`);

/**
 * A line such as `cpu: AVX-512, 2 threads` or
 * `tower 0 on GPU 0 (NVIDIA H100 80GB HBM3), tower 1 on GPU 1, exchange by peer copies, bf16`. Of many replicas the first two and the
 * last are named.
 */
export function describeLayout({
  places,
  exchange,
  precision,
}: Pick<Layout, 'places' | 'exchange' | 'precision'>): string {
  const parts = [places.length === 1 ? places.map(only).join() : someOf(replicas(places)).join(', ')];
  if (exchange === 'peer') parts.push('exchange by peer copies');
  if (exchange === 'host') parts.push("exchange through the host's memory");
  // A CPU computes in f32, which goes without saying.
  if (places.some(({ name }) => name !== 'cpu')) parts.push(precision);
  return parts.join(', ');
}

/** A line such as `rank 0 on GPU 0, rank 1 on GPU 1`. Of many ranks the first two and the last are named. */
export function describeRanksOf({ gpus }: NonNullable<Layout['among']>): string {
  return someOf(gpus.map((own, rank) => `rank ${rank} on GPU ${[...new Set(own)].join(' and ')}`)).join(', ');
}

/** As `gradients are summed on the GPUs by NCCL 2.27.3`, or why they go through the host's memory. */
export function describeSums({ nccl, reason }: NonNullable<Layout['among']>): string {
  return nccl === null
    ? `gradients go through the host's memory (no NCCL: ${reason})`
    : `gradients are summed on the GPUs by NCCL ${nccl}`;
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

/** Each replica and where it is; of a single one its towers. A device is named once where several are of one kind. */
function replicas(places: readonly Place[]): string[] {
  const named = places.map(({ name, device }, index) => {
    const isNamed = places.slice(0, index).some((before) => before.device === device);
    return `${placeName(name)}${isNamed ? '' : ` (${device})`}`;
  });
  const of = (replica: number, join: (places: string[]) => string) => {
    const own = places.flatMap((place, index) =>
      place.replica === replica ? [{ ...place, at: named[index] }] : [],
    );
    return join(
      own.map(({ towers, at }) => (own.length === 1 ? `on ${at}` : `tower ${towers.join()} on ${at}`)),
    );
  };
  const last = places.at(-1)?.replica ?? 0;
  if (last === 0) return [of(0, (towers) => towers.join(', '))];
  return Array.from({ length: last + 1 }, (_, replica) =>
    of(replica, (towers) => `replica ${replica} ${towers.length > 1 ? 'with ' : ''}${towers.join(' and ')}`),
  );
}

/** All, or of many the first two and the last. */
function someOf(lines: string[]): string[] {
  return lines.length > 4 ? [...lines.slice(0, 2), '…', ...lines.slice(-1)] : lines;
}
