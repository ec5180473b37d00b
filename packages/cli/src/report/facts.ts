/** What a report says in words: what was trained, how it was measured. */
import type { Schedule } from '@ilsvrc/config';
import type { Manifest } from '@ilsvrc/dataset';
import { type Net, type Summary, summarize } from '@ilsvrc/engine';
import { type FactGroup, type Report, towerLayers } from '@ilsvrc/report';
import { formatCount, formatDuration, formatPercent } from '@ilsvrc/terminal';
import type { EpochEvent, Settings } from '@ilsvrc/trainer';
import { commandsOf } from './commands.ts';
import { pathFromHere } from './paths.ts';

/** What is known of a run before it has begun. */
export interface Plan {
  /** Its folder's name. */
  name: string;
  settings: Pick<Settings, 'net' | 'recipe' | 'seed' | 'shuffle' | 'dataset'>;
  manifest: Manifest;
}

/** A report that has no figures yet. */
export function planned(plan: Plan, machine: string | undefined, epochs: readonly EpochEvent[] = []): Report {
  const { name, settings, manifest } = plan;
  const summary = summarize(settings.net);
  return {
    name,
    summary: `${settings.net.name} on ${manifest.name}: ${formatCount(summary.totals.parameters)} parameters, ${formatCount(imagesOf(manifest, 'train'))} training images of ${formatCount(manifest.classes.length)} classes`,
    trained: [
      { title: 'Network', facts: networkFacts(settings.net, summary) },
      { title: 'Data', facts: dataFacts(manifest, settings.net) },
      { title: 'Recipe', facts: recipeFacts(settings) },
      ...machineFacts(machine, epochs),
    ],
    epochs: [],
    steps: [],
    net: settings.net,
    layers: towerLayers(settings.net, summary.layers),
    filters: filtersOf(settings.net),
    panels: [],
    pictures: [],
    measured: [],
    commands: commandsOf(plan),
  };
}

/** Members of a record and of the records in it, as names and values. */
export function flatten(record: Record<string, unknown>, prefix = ''): [name: string, value: string][] {
  return Object.entries(record).flatMap(([key, value]): [string, string][] => {
    const name = `${prefix}${key.replaceAll('_', ' ')}`;
    if (Array.isArray(value)) {
      return value.flatMap((item, index) => flatten({ [`${key} ${index + 1}`]: item }, prefix));
    }
    if (value !== null && typeof value === 'object')
      return flatten(value as Record<string, unknown>, `${name} `);
    const isPath = key === 'path' && typeof value === 'string';
    return [[name, isPath ? pathFromHere(value) : String(value)]];
  });
}

function networkFacts(net: Net, { totals }: Summary): FactGroup['facts'] {
  return [
    ['net', net.name],
    ['towers', String(net.towers)],
    ['neurons', formatCount(totals.neurons)],
    ['parameters', formatCount(totals.parameters)],
    ['connections', formatCount(totals.connections)],
    ['sees', `crops of ${net.crop} px from images of ${net.image} px`],
  ];
}

function dataFacts(manifest: Manifest, net: Net): FactGroup['facts'] {
  return [
    ['data set', manifest.name],
    ['classes', formatCount(manifest.classes.length)],
    ...manifest.splits.map(({ name, images }): [string, string] => [`images, ${name}`, formatCount(images)]),
    ['image side', `${net.image} px`],
  ];
}

function recipeFacts({ recipe, seed, shuffle }: Plan['settings']): FactGroup['facts'] {
  const { batch, epochs, rate, momentum, decay, held_out, mirror, colour_noise } = recipe;
  return [
    ['epochs', formatCount(epochs)],
    ['batch', formatCount(batch)],
    ['learning rate', `${rate}, ${describeSchedule(recipe.schedule)}`],
    ...(held_out === undefined
      ? []
      : [
          ['held out', `${formatPercent(held_out.share)} of the images until epoch ${held_out.epochs}`] as [
            string,
            string,
          ],
        ]),
    ['momentum', String(momentum)],
    ['weight decay', String(decay)],
    ['augmentation', augmentation(mirror, colour_noise)],
    ['order', shuffle === 'full' ? 'all images shuffled' : `windows of ${shuffle.window} shards shuffled`],
    ['seed', String(seed)],
  ];
}

function describeSchedule(schedule: Schedule): string {
  switch (schedule.kind) {
    case 'plateau':
      return `divided by ${schedule.factor} after ${schedule.patience} epochs without a lower error, at most ${schedule.drops} times`;
    case 'step':
      return `divided by ${schedule.factor} after epochs ${schedule.after.join(', ')}`;
    case 'exp':
      return `falling to ${schedule.final} in ${schedule.steps} equal ratios`;
  }
}

function augmentation(mirror: boolean, noise: number): string {
  const parts = ['random crops', ...(mirror ? ['mirrored half of the time'] : [])];
  if (noise > 0) parts.push(`colour noise ${noise}`);
  return parts.join(', ');
}

function machineFacts(machine: string | undefined, epochs: readonly EpochEvent[]): FactGroup[] {
  const facts: FactGroup['facts'] = machine === undefined ? [] : [['computes on', machine]];
  const last = epochs.at(-1);
  if (last !== undefined) {
    const seconds = epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
    const rates = epochs.map(({ images_per_second }) => images_per_second).sort((a, b) => a - b);
    facts.push(
      ['trained for', `${formatCount(last.epoch)} epochs, ${formatDuration(seconds)} with validation`],
      ['speed', `${formatCount(rates[Math.floor(rates.length / 2)] ?? 0)} images/s (median of the epochs)`],
      [
        'held back by',
        last.limiting_stage === 'train' ? 'the training itself' : `the ${last.limiting_stage} stage`,
      ],
    );
  }
  return facts.length === 0 ? [] : [{ title: machine === undefined ? 'Speed' : 'Machine', facts }];
}

function filtersOf({ layers, towers }: Net): Report['filters'] {
  const first = layers.find(({ type }) => type === 'conv' || type === 'dense');
  if (first?.type !== 'conv') return undefined;
  const count = `${first.filters * towers} kernels of ${first.size} × ${first.size} × 3`;
  const rows = towers === 2 ? '; the upper half are those of tower 0, the lower half those of tower 1' : '';
  return {
    description: `The ${count} of ${first.name}${rows}. One black and one white for all: strengths compare.`,
  };
}

function imagesOf({ splits }: Manifest, split: string): number {
  return splits.find(({ name }) => name === split)?.images ?? 0;
}
