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

/** The codes of those styles, and all other control characters but newlines and tabs. */
const codes = new RegExp(`${'\u001b'}\\[(?:[12]|22|3[1236]|39)m|[^\\P{Cc}\n\t]`, 'gu');

/**
 * Text for a terminal that may name files and classes: of escape codes only the styles above are left, so that a name can neither
 * move the cursor nor write the title or the clipboard. Each other control character becomes U+FFFD.
 */
export const printable = (text: string): string =>
  text.replace(codes, (code) => (code.length > 1 ? code : '\ufffd'));
