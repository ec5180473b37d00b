/** The text of an `ilsvrc.config.ts` to begin with: what was chosen, and what else may stand there, with the preset's own values. */
import { type PresetName, presets, type Schedule } from '@ilsvrc/config';

/** What a config file is made of. */
export interface ConfigChoice {
  /** The prepared data set. */
  data: string;
  net: PresetName;
  /** As `--devices` takes it. */
  devices: string;
}

/** The file. */
export function configText({ data, net, devices }: ConfigChoice): string {
  const { recipe, net: describe } = presets[net];
  const others = Object.entries(presets)
    .map(([name, { about }]) => `  // ${`'${name}'`.padEnd(17)}${about}\n`)
    .join('');
  return `// What ilsvrc does in this folder where neither the command line nor ILSVRC_* in the environment says otherwise.
// An editor shows what may stand here once the package is installed: npm install --save-dev ilsvrc
import { defineConfig } from 'ilsvrc';

export default defineConfig({
  // The prepared data set. This net takes its crops from images of ${describe(2).image} px:
  // ilsvrc prep PHOTOS -o ${data} --size ${describe(2).image}
  data: ${text(data)},

  // The network: a preset, or a description of your own.
${others}  net: ${text(net)},

  // Where its towers live: 'auto' (GPUs that are there, else the CPU), 'cpu', 'cpu,cpu', a GPU as '0', a tower each as '0,1',
  // more for several replicas, as '0,1,2,3'.
  devices: ${text(devices)},

  // How GPUs multiply: 'bf16', 'tf32' or 'f32'.
  // precision: 'bf16',

  // Threads that decode and, on a CPU, compute; one a core without it.
  // threads: 4,

  // How it is trained. What is commented out is what the preset says.
  recipe: {
    // Images a step, and passes over the training images.
    // batch: ${recipe.batch},
    // epochs: ${recipe.epochs},

    // The learning rate of the first epoch, and how it falls.
    // rate: ${recipe.rate},
    // schedule: ${schedule(recipe.schedule)},

    // momentum: ${recipe.momentum},
    // decay: ${recipe.decay},

    // Mirror every second image; colour noise in standard deviations of the data set's colours.
    // mirror: ${recipe.mirror},
    // colour_noise: ${recipe.colour_noise},
  },

  // Draws initial weights, the order of images, augmentation and dropout.
  // seed: 0,
});
`;
}

/** A string of TypeScript. */
const text = (value: string): string => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function schedule(of: Schedule): string {
  const members = Object.entries(of).map(([key, value]) => {
    const shown =
      typeof value === 'string' ? text(value) : Array.isArray(value) ? `[${value.join(', ')}]` : value;
    return `${key}: ${shown}`;
  });
  return `{ ${members.join(', ')} }`;
}
