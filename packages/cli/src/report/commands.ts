/** How to do it again: the commands of a run, from its settings and the record of its data set. */
import { isDeepStrictEqual } from 'node:util';
import { isPreset, presets } from '@ilsvrc/config';
import type { Manifest } from '@ilsvrc/dataset';
import type { Report } from '@ilsvrc/report';
import { withFlags } from '../run-choice.ts';
import { quoted } from '../shell.ts';
import type { Plan } from './facts.ts';
import { pathFromHere } from './paths.ts';

/** In the order in which they are run. */
export function commandsOf(plan: Plan): Report['commands'] {
  const { name, settings, manifest } = plan;
  const data = quoted(pathFromHere(settings.dataset));
  const model = `runs/${name}/model.safetensors`;
  return [
    {
      what: 'Prepare the photos.',
      command: `ilsvrc prep ${[...sourcesOf(manifest), '-o', data, ...prepFlags(manifest)].join(' ')}`,
    },
    trainCommand(plan, data),
    { what: 'Evaluate: ten views of each validation image.', command: `ilsvrc eval ${quoted(model)} --top5` },
    {
      what: 'This page, and its pictures as files.',
      command: `ilsvrc report ${quoted(`runs/${name}`)} --pictures pictures`,
    },
  ];
}

/** What changes the pixels, or which images are in which split. */
function prepFlags({ size, preprocessing }: Manifest): string[] {
  const { resize, exif_rotate, quality, seed } = preprocessing;
  return [
    `--size ${size}`,
    ...(resize === 'warp' ? ['--resize warp'] : []),
    ...(exif_rotate === true ? ['--exif-rotate'] : []),
    ...(typeof quality === 'number' && quality !== 85 ? [`--quality ${quality}`] : []),
    ...(typeof seed === 'number' && seed !== 0 ? [`--seed ${seed}`] : []),
  ];
}

/** The training by flags, as far as there are any: the rest is in a config file. */
function trainCommand({ name, settings, manifest }: Plan, data: string): Report['commands'][number] {
  const { net, recipe, seed, shuffle } = settings;
  const { batch, epochs, rate, schedule } = recipe;
  const preset = isPreset(net.name) ? presets[net.name] : undefined;
  const isNet = preset !== undefined && isDeepStrictEqual(preset.net(manifest.classes.length), net);
  const flags = { batch, epochs, lr: rate, schedule: schedule.kind };
  const isRecipe = preset !== undefined && isDeepStrictEqual(withFlags(preset.recipe, flags), recipe);
  const fromConfig = [...(isNet ? [] : ['net']), ...(isRecipe ? [] : ['recipe'])];
  return {
    what: `Train${fromConfig.length > 0 ? `, with the ${fromConfig.join(' and the ')} of ilsvrc.config.ts` : ''}.`,
    command: [
      `ilsvrc train ${data}`,
      ...(isNet ? [`--net ${net.name}`] : []),
      `--epochs ${epochs} --batch ${batch} --lr ${rate} --schedule ${schedule.kind} --seed ${seed}`,
      ...(shuffle === 'full' ? [] : [`--shuffle window:${shuffle.window}`]),
      `--run ${quoted(name)}`,
    ].join(' '),
  };
}

/** The photos; paths that lead out of the working folder by their last name. */
function sourcesOf({ preprocessing }: Manifest): string[] {
  const { sources } = preprocessing;
  const named = Array.isArray(sources) ? sources : [];
  const paths = named.flatMap(({ path }: { path?: unknown }) =>
    typeof path === 'string' ? [quoted(pathFromHere(path))] : [],
  );
  return paths.length > 0 ? paths : ['PHOTOS'];
}
