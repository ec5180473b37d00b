/** `ilsvrc.config.ts`: a project's defaults, typed. Flags and environment variables win over it, it wins over presets. */
import { access } from 'node:fs/promises';
import { type RegisterHooksOptions, registerHooks } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import * as v from 'valibot';
import { netSchema } from './net.ts';
import { isPreset } from './presets.ts';
import { recipeSchema } from './recipe.ts';

const configSchema = v.strictObject({
  /** Folder of the prepared data set. */
  data: v.optional(v.string()),
  /** A preset's name, or a description. */
  net: v.optional(v.union([v.pipe(v.string(), v.check(isPreset, 'not the name of a preset')), netSchema])),
  /** What differs from the preset's recipe. */
  recipe: v.optional(v.partial(recipeSchema)),
  seed: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  /** Where the towers live, as `--devices` says it. */
  devices: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^(auto|cpu|cpu,cpu|\d+|\d+,\d+)$/, "auto, cpu, 'cpu,cpu', a GPU as '0', or two as '0,1'"),
    ),
  ),
  /** How GPUs multiply. */
  precision: v.optional(v.picklist(['bf16', 'tf32', 'f32'])),
  /** Threads that decode and, on a CPU, compute. */
  threads: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1024))),
});

/** What `ilsvrc.config.ts` may say. */
export type Config = v.InferInput<typeof configSchema>;
/** The same after checking, defaults filled in. */
export type CheckedConfig = v.InferOutput<typeof configSchema>;

/** Gives an `ilsvrc.config.ts` its types: `export default defineConfig({ … })`. */
export const defineConfig = (config: Config): Config => config;

/** The file's name, looked for in the working folder. */
export const configFileName = 'ilsvrc.config.ts';

/** Reads the configuration of a folder; `undefined` where there is none, E0105 where it cannot be used. */
export async function loadConfig(folder: string): Promise<CheckedConfig | undefined> {
  const path = resolve(folder, configFileName);
  try {
    await access(path);
  } catch {
    return undefined;
  }
  let exported: unknown;
  const url = pathToFileURL(path).href;
  const hooks = registerHooks(hooksFor(url));
  try {
    ({ default: exported } = await import(url));
  } catch (cause) {
    throw new IlsvrcError('E0105', `${path} cannot be loaded`, { info: String(cause), cause });
  } finally {
    hooks.deregister();
  }
  const checked = v.safeParse(configSchema, exported);
  if (checked.success) return checked.output;
  const [issue] = checked.issues;
  const field = v.getDotPath(issue);
  throw new IlsvrcError('E0105', `${path} is not a valid configuration`, {
    info: field === null ? issue.message : `${field}: ${issue.message}`,
    hint: 'export default defineConfig({ … }) from it; its type shows what is allowed',
  });
}

/**
 * How the file at `url` is loaded: as an ES module, whatever a package.json beside it says, and `ilsvrc` in it is the program that reads
 * it where the package is not installed there.
 */
const hooksFor = (url: string): RegisterHooksOptions => ({
  resolve(specifier, context, next) {
    try {
      const found = next(specifier, context);
      return found.url === url ? { ...found, format: 'module-typescript' } : found;
    } catch (error) {
      if (specifier !== 'ilsvrc') throw error;
      return { url: import.meta.resolve('@ilsvrc/config'), shortCircuit: true };
    }
  },
});
