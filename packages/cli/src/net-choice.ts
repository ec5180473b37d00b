/** A net that is only looked at: a preset's, or that of a model file. */
import { existsSync } from 'node:fs';
import { presets } from '@ilsvrc/config';
import { readModel } from '@ilsvrc/evaluator';
import { choosePreset, defaultNet } from './defaults.ts';

/** What the argument of such a verb is, for its help. */
export const netArgument = `a preset or a model file; presets: ${Object.keys(presets).join(', ')} (default: ${defaultNet})`;

/** The net of that name; `classes` is for presets. */
export async function chooseNet(given: string | undefined, classes: number) {
  const name = given ?? defaultNet;
  return name in presets || !existsSync(name) ? choosePreset(name).net(classes) : (await readModel(name)).net;
}
