/** Colours, where a person looks: on a terminal, unless NO_COLOR, TERM=dumb or `--color never` say otherwise. */
import { styleText } from 'node:util';

/** `--color`. */
export type ColourChoice = 'auto' | 'always' | 'never';

/** A stream that may be a terminal. */
export interface Sink {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
}

/** Whether escape codes may go to a stream. */
export function hasColour(
  sink: Sink,
  choice: ColourChoice = 'auto',
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  if (choice !== 'auto') return choice === 'always';
  return sink.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

/** The few styles that the program uses. */
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** A function that styles text, or leaves it alone. */
export type Paint = (style: Style, text: string) => string;

/** Styles for a stream with or without colour. */
export const painter = (colour: boolean): Paint =>
  colour ? (style, text) => styleText(style, text, { validateStream: false }) : (_, text) => text;

/** Control characters other than line ends and tabs that do not begin a style. */
const commands = new RegExp(`(?!\\n|\\t|${'\u001b'}\\[[\\d;]*m)\\p{Cc}`, 'gu');

/** Text that a terminal shows and does not obey: names of files and classes may hold its commands. Styles stay. */
export const harmless = (text: string): string => text.replace(commands, '\ufffd');
