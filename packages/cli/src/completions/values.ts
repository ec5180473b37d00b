/** Values that are known of options and operands: words that their parsers take, names that this folder and this machine have. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Argument, Option } from '@commander-js/extra-typings';
import { presets } from '@ilsvrc/config';
import { runsFolder } from '../stored-runs.ts';
import type { Completion } from './complete.ts';

/** A word, and what it means. */
export interface Suggestion {
  value: string;
  about: string;
}

type Known = () => Suggestion[] | Promise<Suggestion[]>;

/** What is known by the name of a flag or of an operand, and what of the disk may stand there besides. */
const sources: Record<string, { known: Known; files: Completion['files'] }> = {
  '--devices': { known: devices, files: 'none' },
  '--run': { known: () => runs(), files: 'none' },
  '--data': { known: datasets, files: 'folders' },
  '--model': { known: models, files: 'all' },
  '--layout': { known: async () => (await knownData()).layouts.map(described), files: 'none' },
  '--recipe': { known: async () => (await knownData()).recipes.map(titled), files: 'none' },
  net: { known: nets, files: 'all' },
  preset: { known: nets, files: 'none' },
  model: { known: models, files: 'all' },
  run: { known: () => runs(), files: 'none' },
  dataset: { known: datasets, files: 'folders' },
};

/** Names of values that are files or folders. */
const paths: Record<string, Completion['files']> = {
  dir: 'folders',
  file: 'all',
  path: 'all',
  source: 'all',
  image: 'all',
};

/** What may stand in the place of an operand, or of an option's value. */
export async function valuesOf(of: Option | Argument): Promise<Completion> {
  const words = of.parseArg !== undefined && 'words' in of.parseArg ? of.parseArg.words : undefined;
  if (Array.isArray(words)) return { suggestions: words.map(bare), files: 'none' };
  const { flag, name } = 'flags' in of ? named(of) : { flag: undefined, name: of.name() };
  const source = (flag === undefined ? undefined : sources[flag]) ?? sources[name];
  if (source === undefined) return { suggestions: [], files: paths[name] ?? 'none' };
  return { suggestions: await source.known(), files: source.files };
}

/** An option's long flag, and what it calls its value. */
function named({ long, flags }: Option): { flag: string | undefined; name: string } {
  return { flag: long, name: /[<[]([^\].>]*)/.exec(flags)?.[1] ?? '' };
}

const bare = (value: string): Suggestion => ({ value, about: '' });
const described = (one: { name: string; description: string }) => ({
  value: one.name,
  about: one.description,
});
const titled = (one: { name: string; title: string }) => ({ value: one.name, about: one.title });

const knownData = async () => (await import('@ilsvrc/engine')).knownData();

function nets(): Suggestion[] {
  return Object.entries(presets).map(([value, { about }]) => ({ value, about }));
}

/** GPUs by the files of their driver, which are there without waiting for it. */
async function devices(): Promise<Suggestion[]> {
  const gpus = (await names('/dev')).flatMap((name) => /^nvidia(\d+)$/.exec(name)?.[1] ?? []).sort();
  const pair = gpus.length > 1 ? [{ value: gpus.slice(0, 2).join(','), about: 'a tower a GPU' }] : [];
  return [
    { value: 'auto', about: 'GPUs that are there, else the CPU' },
    { value: 'cpu', about: 'both towers on the CPU' },
    { value: 'cpu,cpu', about: 'a tower each, with threads of its own' },
    ...gpus.map((value) => ({ value, about: `GPU ${value}` })),
    ...pair,
  ];
}

/** Runs by name, as far as a look at the folders tells. */
async function runs(file = 'config.json'): Promise<Suggestion[]> {
  const found = await Promise.all(
    (await names(runsFolder)).map(async (name) => {
      const content = await names(join(runsFolder, name));
      return content.includes(file) ? [bare(name)] : [];
    }),
  );
  return found.flat();
}

async function models(): Promise<Suggestion[]> {
  const found = await runs('model.safetensors');
  return found.map(({ value }) => bare(join(runsFolder, value, 'model.safetensors')));
}

/** Prepared data sets where `prep` puts them. */
async function datasets(): Promise<Suggestion[]> {
  const found = await Promise.all(
    (await names('data')).map(async (name) => {
      const content = await names(join('data', name));
      return content.includes('dataset.json') ? [bare(join('data', name))] : [];
    }),
  );
  return found.flat();
}

async function names(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
