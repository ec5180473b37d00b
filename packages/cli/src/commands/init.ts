/** `ilsvrc init`: a config file for this folder, by three questions or by flags. */
import { existsSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { configFileName, type PresetName, presets } from '@ilsvrc/config';
import { readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { devices as machineDevices } from '@ilsvrc/engine';
import { writeWhole } from '@ilsvrc/evaluator';
import { type Choice, canAsk, enter, select } from '@ilsvrc/terminal';
import { configText } from '../config-text.ts';
import { choosePreset, defaultNet } from '../defaults.ts';
import { devices } from '../devices.ts';
import { examples } from '../examples.ts';
import { Output } from '../output.ts';
import { quoted } from '../shell.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  base
    .optionsGroup('Answers (default: they are asked for):')
    .option('--data <path>', 'your photos: a folder, a tar, or a data set that was prepared')
    .option('--net <preset>', `the network: ${Object.keys(presets).join(', ')}`)
    .option(
      '--devices <list>',
      'where to compute: auto, cpu, a GPU as 0, one a tower as 0,1, more for several replicas',
      devices,
    )
    .option('--force', 'replace the config file that is there')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc init', 'three questions'],
        ['ilsvrc init --data photos --net alexnet-64 --devices auto', 'none'],
      ]),
    )
    .action(async ({ data, net, devices, force, ...options }) => {
      const output = new Output(options);
      await output.expectAbsent(configFileName, force);
      const preset = net === undefined ? undefined : nameOf(net);
      const mayAsk = options.input && canAsk();
      const photos = await lookAt(data ?? (mayAsk ? await askForPhotos(signal) : requirePhotos()));
      const chosen = preset ?? (mayAsk ? await askForNet(photos, signal) : usualNet(photos));
      expectFits(chosen, photos);
      const places = devices?.join(',') ?? (mayAsk ? await askForDevices(signal) : 'auto');
      await writeWhole(configFileName, configText({ data: photos.data, net: chosen, devices: places }));
      const prep = photos.size === undefined ? prepCommand(photos, chosen) : undefined;
      if (output.isJson) {
        const { data: folder } = photos;
        output.document({
          ...{ version: 1, file: configFileName, data: folder, prepared: prep === undefined },
          ...{ net: chosen, devices: places, prep: prep ?? null },
        });
      } else {
        output.data(`wrote ${configFileName}: ${chosen} on ${photos.data}, ${places}`);
      }
      output.next([...(prep === undefined ? [] : [prep]), 'ilsvrc train']);
      await output.finish();
    });

export default verb;

/** Photos, and the data set that they are or become. */
interface Photos {
  path: string;
  data: string;
  /** Side of the images of a data set that is prepared. */
  size: number | undefined;
}

async function lookAt(path: string): Promise<Photos> {
  if (existsSync(join(path, 'dataset.json')))
    return { path, data: path, size: (await readManifest(path)).size };
  const missing = problemOf(path);
  if (missing !== undefined)
    throw new IlsvrcError('E0201', missing, { hint: 'give the folder that holds your photos' });
  return { path, data: join('data', basename(path, extname(path)) || 'photos'), size: undefined };
}

/** Why a path cannot be photos, as far as it can be seen without reading them. */
const problemOf = (path: string): string | undefined =>
  path.trim() === '' || existsSync(path) ? undefined : `there is no ${path}`;

function requirePhotos(): never {
  throw new IlsvrcError('E0104', 'the option --data is missing', {
    info: 'there is nobody to ask where the photos are',
    hint: '`ilsvrc init --data photos --net alexnet-64`',
  });
}

const nameOf = (net: string): PresetName => {
  choosePreset(net);
  return net as PresetName;
};

const sizeOf = (net: PresetName): number => presets[net].net(2).image;

/** A data set of another size is refused here, and not only when it is trained on. */
function expectFits(net: PresetName, { data, size }: Photos): void {
  if (size === undefined || size === sizeOf(net)) return;
  throw new IlsvrcError('E0214', `images of ${data} are ${size} px a side; ${net} needs ${sizeOf(net)}`, {
    hint: `choose another net, or prepare the photos once more: \`ilsvrc prep SOURCE --size ${sizeOf(net)}\``,
  });
}

/** Presets for photos that are prepared, or all of them. */
const fitting = ({ size }: Photos): PresetName[] =>
  (Object.keys(presets) as PresetName[]).filter((net) => size === undefined || size === sizeOf(net));

/** The net of this program's beginning, or the first for which the photos are prepared. */
function usualNet(photos: Photos): PresetName {
  const nets = fitting(photos);
  const usual = nets.includes(defaultNet) ? defaultNet : nets[0];
  if (usual !== undefined) return usual;
  throw new IlsvrcError(
    'E0214',
    `no preset takes images of ${photos.size} px a side, as those of ${photos.data}`,
    {
      hint: 'prepare the photos once more: `ilsvrc prep SOURCE`',
    },
  );
}

function prepCommand({ path, data }: Photos, net: PresetName): string {
  return `ilsvrc prep ${quoted(path)} -o ${quoted(data)} --size ${sizeOf(net)}`;
}

function askForPhotos(signal: AbortSignal): Promise<string> {
  return enter({
    message: 'Where are your photos? A folder or a tar of them, or a data set that was prepared',
    initial: existsSync('photos') ? 'photos' : '',
    check: (path) => (path.trim() === '' ? 'a folder, as photos/' : problemOf(path)),
    signal,
  });
}

function askForNet(photos: Photos, signal: AbortSignal): Promise<PresetName> {
  const first = usualNet(photos);
  const choices = fitting(photos).map(
    (value): Choice<PresetName> => ({
      value,
      label: value,
      hint: `${presets[value].about}; images of ${sizeOf(value)} px`,
    }),
  );
  return select({ message: 'Which network?', choices, first, signal });
}

function askForDevices(signal: AbortSignal): Promise<string> {
  const { gpus, cpu } = machineDevices();
  const usable = gpus.filter((gpu) => gpu.usable);
  const pair = usable.slice(0, 2).map(({ ordinal }) => String(ordinal));
  const choices: Choice<string>[] = [
    { value: 'auto', label: 'auto', hint: 'GPUs that are there, else the CPU' },
    { value: 'cpu', label: 'CPU', hint: `${cpu.instruction_set}, ${cpu.threads} threads` },
    ...usable.map(({ ordinal, name }) => ({ value: String(ordinal), label: `GPU ${ordinal}`, hint: name })),
    ...(pair.length === 2
      ? [{ value: pair.join(','), label: `GPUs ${pair.join(' and ')}`, hint: 'a tower each' }]
      : []),
  ];
  return select({ message: 'Where to compute?', choices, first: 'auto', signal });
}
