/** The folder of a run: its settings, metrics, checkpoint, models and pictures. It is never mixed with another run's. */
import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Net, netSchema, type Recipe, recipeSchema } from '@ilsvrc/config';
import { type Code, IlsvrcError, writeFailed } from '@ilsvrc/diagnostics';
import type { Shuffle } from '@ilsvrc/engine';
import * as v from 'valibot';

/** What decides a run's numbers. */
export interface Settings {
  /** Folder of the prepared data set. */
  dataset: string;
  /** SHA-256 of its manifest. */
  dataset_hash: string;
  net: Net;
  recipe: Recipe;
  seed: number;
  /** How the images of an epoch are shuffled. */
  shuffle: Shuffle;
}

/** `config.json`. Runs from before there was a choice have no `shuffle`: it was full. */
interface StoredSettings extends Omit<Settings, 'shuffle'> {
  version: 1;
  shuffle?: Shuffle;
}

/** Only to check: what it would fill in was not part of the settings that a run began with. */
const storedSchema = v.object({
  version: v.literal(1, 'this program reads version 1'),
  dataset: v.string(),
  dataset_hash: v.string(),
  net: netSchema,
  recipe: recipeSchema,
  seed: v.number(),
  shuffle: v.optional(v.union([v.literal('full'), v.object({ window: v.number() })])),
});

/** Paths of a run. */
export class RunDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get config(): string {
    return join(this.path, 'config.json');
  }
  get metrics(): string {
    return join(this.path, 'metrics.jsonl');
  }
  /** Weights and velocities of the last checkpoint. */
  get checkpoint(): string {
    return join(this.path, 'checkpoint.safetensors');
  }
  /** The model after the last epoch. */
  get model(): string {
    return join(this.path, 'model.safetensors');
  }
  /** The model of the epoch with the lowest validation error. */
  get bestModel(): string {
    return join(this.path, 'best.safetensors');
  }
  /** The box head that `ilsvrc train --head boxes` adds. */
  get head(): string {
    return join(this.path, 'head.safetensors');
  }
  get filters(): string {
    return join(this.path, 'filters.png');
  }
  /** The page that `ilsvrc report` makes. */
  get report(): string {
    return join(this.path, 'report.html');
  }

  /** All that a run writes, what says that it is one last. */
  get #own(): string[] {
    const models = [this.checkpoint, this.model, this.bestModel, this.head];
    return [this.metrics, ...models, this.filters, this.report, this.config];
  }

  /** Files of the run that are there, unfinished ones too. What else lies in the folder is somebody's. */
  async files(): Promise<string[]> {
    const content = await readdir(this.path);
    return this.#own.flatMap((path) => {
      const name = basename(path);
      return content
        .filter((found) => found === name || isUnfinished(found, name))
        .map((found) => join(this.path, found));
    });
  }

  /** Deletes the run's files, and its folder where nothing else is in it; returns what stays there. */
  async remove(): Promise<string[]> {
    const files = await this.files();
    await this.#writing(async () => {
      // One by one: a run of which a part was deleted still says what it is.
      for (const path of files) await rm(path, { force: true });
    });
    const others = await readdir(this.path);
    if (others.length === 0) await this.#writing(() => rmdir(this.path));
    return others;
  }

  /** Makes the folder of a new run. An existing one is refused, or emptied where `force` says so. */
  async create(settings: Settings, force: boolean): Promise<void> {
    const content = (await readdir(this.path).catch(() => [])).filter((name) => name !== 'config.json.tmp');
    if (content.length > 0 && !force) {
      throw new IlsvrcError('E0306', `${this.path} holds a run already`, {
        info: `it has ${content.slice(0, 4).join(', ')}`,
        hint: `go on with it by --resume, choose another name by --run NAME, or replace it by --force`,
      });
    }
    if (content.length > 0 && !content.includes('config.json')) {
      throw new IlsvrcError('E0306', `${this.path} is not a run: it has no config.json`, {
        info: 'nothing of it was touched',
        hint: 'choose another name by --run NAME',
      });
    }
    await this.#writing(async () => {
      await Promise.all(this.#own.map((path) => rm(path, { force: true })));
      await mkdir(this.path, { recursive: true });
      const stored: StoredSettings = { version: 1, ...settings };
      await writeFile(`${this.config}.tmp`, `${JSON.stringify(stored, null, 2)}\n`, { flush: true });
      await rename(`${this.config}.tmp`, this.config);
    });
  }

  /** Settings of the run that is in the folder. */
  async settings(): Promise<Settings> {
    const failed = (code: Code, info: string, cause: unknown) =>
      new IlsvrcError(code, `cannot go on with ${this.path}`, {
        info,
        hint: 'start a run without --resume',
        cause,
      });
    const text = await readFile(this.config, 'utf8').catch((cause: Error) => {
      throw failed('E0305', `there is no run: ${cause.message}`, cause);
    });
    try {
      const stored: StoredSettings = JSON.parse(text);
      v.parse(storedSchema, stored);
      const { version: _, ...settings } = stored;
      return { shuffle: 'full', ...settings };
    } catch (cause) {
      throw failed('E0304', `config.json is not valid: ${String(cause)}`, cause);
    }
  }

  /** Adds lines to the metrics and returns the file's length. */
  async append(lines: object[], length: number): Promise<number> {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await this.#writing(() => appendFile(this.metrics, text));
    return length + Buffer.byteLength(text);
  }

  /** Takes back what was written after a checkpoint. */
  async truncate(length: number): Promise<void> {
    await this.#writing(async () => {
      await appendFile(this.metrics, '');
      await truncate(this.metrics, length);
    });
  }

  async #writing(act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (cause) {
      throw writeFailed(this.path, cause);
    }
  }
}

/** Whether a name is that of a file that was to become `name` and was cut off. */
function isUnfinished(found: string, name: string): boolean {
  const isOfIt = found.startsWith(`${name}.`) || found.startsWith(`.${name}.`);
  return isOfIt && (found.endsWith(`${name}.tmp`) || found.endsWith('.ilsvrc-tmp'));
}

/** Fails where a run would go on with other settings than it began with. More epochs are welcome: they change nothing before. */
export function expectSameSettings(run: string, stored: Settings, wanted: Settings): void {
  const { epochs, ...recipe } = wanted.recipe;
  const { epochs: before, ...storedRecipe } = stored.recipe;
  // The exponential schedule spreads over the epochs: with more of them the past would have been another.
  const epochsMatter = recipe.schedule.kind === 'exp' || epochs < before;
  const pairs: [name: string, stored: unknown, wanted: unknown][] = [
    ['net', stored.net, wanted.net],
    ['recipe', storedRecipe, recipe],
    ['seed', stored.seed, wanted.seed],
    ['shuffle', stored.shuffle, wanted.shuffle],
    ['content of the data set', stored.dataset_hash, wanted.dataset_hash],
    ...(epochsMatter ? ([['epochs', before, epochs]] as [string, unknown, unknown][]) : []),
  ];
  for (const [name, old, now] of pairs) {
    if (canonical(old) === canonical(now)) continue;
    throw new IlsvrcError('E0304', `${run} was begun with another ${name}`, {
      info: difference(old, now),
      hint: 'leave the options out to go on as it was begun, or start another run by --run NAME',
    });
  }
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** The first members that differ, by name where there are names. */
function difference(old: unknown, now: unknown): string {
  if (typeof old !== 'object' || typeof now !== 'object' || old === null || now === null) {
    return `then ${JSON.stringify(old)}, now ${JSON.stringify(now)}`;
  }
  const member = (of: object, key: string) => (of as Record<string, unknown>)[key];
  const keys = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  return keys
    .filter((key) => canonical(member(old, key)) !== canonical(member(now, key)))
    .slice(0, 3)
    .map((key) => {
      const [then, today] = [JSON.stringify(member(old, key)), JSON.stringify(member(now, key))];
      return (then?.length ?? 0) + (today?.length ?? 0) > 80
        ? `${key} differs`
        : `${key}: then ${then}, now ${today}`;
    })
    .join('; ');
}
