/** What a verb works on where the command line does not say: the config file's, else the newest run's. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type CheckedConfig, isPreset, loadConfig, type Preset, presets } from '@ilsvrc/config';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { RunDirectory } from '@ilsvrc/trainer';
import { nearest } from './suggest.ts';

/** The preset that is trained and summarised where none is named. */
export const defaultNet = 'alexnet';

/** A run saves a checkpoint after so many seconds where nothing else is said. */
export const checkpointSeconds = 120;

/** What is there to fall back on. */
export interface Defaults {
  config: CheckedConfig;
  /** Folder of the run that was begun or saved last. */
  newestRun: string | undefined;
}

/** Looks at the working folder. */
export async function loadDefaults(): Promise<Defaults> {
  return { config: (await loadConfig('.')) ?? {}, newestRun: await findNewestRun() };
}

async function findNewestRun(): Promise<string | undefined> {
  const names = await readdir('runs').catch(() => []);
  const runs = await Promise.all(
    names.map(async (name) => {
      const run = new RunDirectory(join('runs', name));
      const times = await Promise.all([run.config, run.checkpoint].map(modified));
      return { path: run.path, time: Math.max(...times) };
    }),
  );
  return runs.filter(({ time }) => time > 0).sort((a, b) => b.time - a.time)[0]?.path;
}

/** Milliseconds; 0 for a file that is not there. */
async function modified(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

/** The preset of that name. */
export function choosePreset(name: string): Preset {
  if (isPreset(name)) return presets[name];
  const names = Object.keys(presets);
  const suggestion = nearest(name, names);
  throw new IlsvrcError('E0106', `unknown preset \`${name}\``, {
    info: `presets: ${names.join(', ')}`,
    hint: suggestion === undefined ? undefined : `did you mean \`${suggestion}\`?`,
  });
}

/** Model files: those given, else that of the newest run. A photo in their place is a model that was left out. */
export function requireModels(given: string[], { newestRun }: Defaults): string[] {
  const photo = given.find((path) => /\.(jpe?g|png|bmp|gif|webp)$/i.test(path));
  if (photo !== undefined) {
    throw new IlsvrcError('E0104', 'the argument MODEL is missing', {
      info: `${photo} is called like a photo`,
      hint: 'name the model first, such as runs/NAME/model.safetensors',
    });
  }
  if (given.length > 0) return given;
  if (newestRun !== undefined) return [new RunDirectory(newestRun).model];
  throw new IlsvrcError('E0104', 'the argument MODEL is missing', {
    info: 'there is no run below runs/ to take it from',
    hint: 'give a model file, or train one: `ilsvrc train DATASET`',
  });
}

/** The data set to work on: the one given, else that of the model's run, of the config file, of the newest run. */
export async function requireDataset(
  given: string | undefined,
  defaults: Defaults,
  model?: string,
): Promise<string> {
  const found =
    given ??
    (model === undefined ? undefined : await datasetOf(dirname(model))) ??
    defaults.config.data ??
    (defaults.newestRun === undefined ? undefined : await datasetOf(defaults.newestRun));
  if (found !== undefined) return found;
  const [argument, command] =
    model === undefined
      ? ['argument DATASET', 'ilsvrc train data/photos']
      : ['option --data', `ilsvrc eval ${model} --data data/photos`];
  throw new IlsvrcError('E0104', `the ${argument} is missing`, {
    info: 'neither ilsvrc.config.ts nor a run says which data set to use',
    hint: `\`${command}\`; \`ilsvrc prep\` makes one of photos`,
  });
}

/** The data set of a run, where the folder is one. */
async function datasetOf(run: string): Promise<string | undefined> {
  const exists = await readFile(new RunDirectory(run).config).then(
    () => true,
    () => false,
  );
  return exists ? (await new RunDirectory(run).settings()).dataset : undefined;
}
