/** `--images`, of the verbs that show pictures in the terminal. */
import { imageChoices } from '@ilsvrc/terminal';
import { oneOf } from './parse.ts';

/** Its flags, text, parser and default. */
export const imagesOption = [
  '--images <how>',
  'pictures in the terminal: auto, never, blocks, sixel, kitty',
  oneOf('--images', imageChoices),
  'auto',
] as const;
