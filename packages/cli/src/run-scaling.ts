/** What a training run takes on several replicas, each a machine, or its part of one, like the one that was measured. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type Machine, summarize } from '@ilsvrc/engine';
import { formatCount, formatDuration } from '@ilsvrc/terminal';
import {
  costOf,
  type Forecast,
  type Link,
  links,
  type Measured,
  type MeasureOptions,
  measureStep,
  type Scaled,
  scale,
} from '@ilsvrc/trainer';
import type { Output } from './output.ts';

/** What is asked for. */
export interface ScalingFlags {
  replicas?: number | undefined;
  link?: { name: string; link: Link } | undefined;
}

/** A run on several numbers of replicas. */
export interface Scaling {
  link: string;
  bytes_per_second: number;
  latency_seconds: number;
  sizes: (Scaled & { total_seconds: number })[];
}

/** `nvlink`, `pcie`, `100g`, or GB/s. */
export function parseLink(text: string): { name: string; link: Link } {
  const known = Object.entries(links).find(([name]) => name === text);
  if (known !== undefined) return { name: text, link: known[1] };
  const rate = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (rate > 0 && Number.isFinite(rate)) {
    return {
      name: `${text} GB/s`,
      link: { bytes_per_second: rate * 1e9, latency_seconds: links['100g'].latency_seconds },
    };
  }
  throw new IlsvrcError('E0103', `--link cannot be \`${text}\``, {
    info: `allowed: ${Object.keys(links).join(', ')}, or the GB/s that one replica can send`,
  });
}

/** Fails where the machine is not one replica, or some replicas would have nothing to do. */
export function expectWork(
  { replicas = 1 }: ScalingFlags,
  { net, recipe: { batch } }: Pick<MeasureOptions, 'net' | 'recipe'>,
  { places = [] }: Machine,
): void {
  if (replicas > 1 && places.length > net.towers) {
    throw new IlsvrcError('E0103', `--replicas goes with the devices of one, not \`${places.join(',')}\``, {
      info: 'one replica is measured, and what several like it would take is added up',
      hint: `name ${net.towers === 1 ? 'one device' : 'one device, or one a tower'}, as \`--devices ${places.slice(0, net.towers).join(',')}\``,
    });
  }
  if (replicas > batch) {
    throw new IlsvrcError('E0103', `${replicas} replicas have nothing to do at batch ${batch}`, {
      hint: `ask for ${batch} replicas at most, or for a larger --batch`,
    });
  }
}

/** Measures steps of the part that each of the most replicas would have, and says what one, two, four … would take. */
export async function scaleRun(
  { replicas, link: chosen }: ScalingFlags,
  work: MeasureOptions,
  { measured, forecast }: { measured: Measured; forecast: Forecast },
): Promise<Scaling | undefined> {
  if (replicas === undefined) return undefined;
  const { net, recipe } = work;
  const { batch, epochs } = recipe;
  const { name, link } = chosen ?? parseLink('100g');
  const whole = { images: batch, seconds: forecast.seconds_per_step };
  const part = Math.ceil(batch / replicas);
  const cost = costOf(whole, await measureStep({ ...work, recipe: { ...recipe, batch: part } }));
  const { layers } = summarize(net, batch);
  const sizes = powersTo(replicas).map((size) => {
    const scaled = scale({
      layers,
      cost,
      batch,
      replicas: size,
      link,
      devices: measured.layout.places.length,
    });
    const { seconds_per_step, epoch } = forecast;
    const training = (epoch.training * scaled.step_seconds) / seconds_per_step;
    const seconds = training + epoch.validation / size + epoch.saving;
    return { ...scaled, total_seconds: measured.open_seconds + epochs * seconds };
  });
  return { link: name, ...link, sizes };
}

/** 1, 2, 4 … and the last. */
function powersTo(last: number): number[] {
  const powers = Array.from({ length: Math.ceil(Math.log2(last)) }, (_, power) => 2 ** power);
  return [...powers, last];
}

/** A row a number of replicas. */
export function showScaling({ link, bytes_per_second, sizes }: Scaling, output: Output): void {
  const [one] = sizes;
  output.data('');
  output.table(
    ['replicas', 'images each', 'step', 'waits for sums', 'speedup', 'run', 'loaders feed', 'each'],
    sizes.map((size) => [
      formatCount(size.replicas),
      formatCount(size.images),
      formatStep(size.step_seconds),
      size.exposed_seconds > 0 ? formatStep(size.exposed_seconds) : '',
      `${((one?.step_seconds ?? 0) / size.step_seconds).toFixed(2)}x`,
      formatDuration(size.total_seconds),
      `${formatCount(Math.round(size.images_per_second))} images/s`,
      `${formatCount(Math.round(size.images_per_second / size.replicas))}`,
    ]),
  );
  output.data(
    `each replica like what was measured here, over ${link} (${(bytes_per_second / 1e9).toPrecision(3)} GB/s each way)`,
  );
}

/** Of a step, or of a part of one. */
export const formatStep = (seconds: number): string =>
  seconds < 1 ? `${(1000 * seconds).toPrecision(3)} ms` : formatDuration(seconds);
