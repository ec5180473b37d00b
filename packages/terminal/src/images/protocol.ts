/** How a terminal can show pictures. */
import { hasColour, type Sink } from '../style.ts';

/**
 * `kitty` and `sixel` are real pixels, `blocks` half characters in 24-bit colour, `blocks256` the same in the 256 colours that
 * nearly all terminals have.
 */
export type ImageProtocol = 'kitty' | 'sixel' | 'blocks' | 'blocks256';

/** `--images`. */
export type ImageChoice = 'auto' | 'never' | 'blocks' | 'sixel' | 'kitty';

/** The words of `--images`. */
export const imageChoices: readonly ImageChoice[] = ['auto', 'never', 'blocks', 'sixel', 'kitty'];

/** Terminals that say their name and show sixels. */
const sixelTerminals = /^(WezTerm|iTerm\.app|mintty|rio)$/;
const sixelTerms = /^(foot|mlterm|contour|yaft|.*-sixel)/;

/**
 * How pictures go to a stream, as far as the environment tells; `undefined` where they do not: in a pipe, without colours
 * (NO_COLOR, TERM=dumb, `--color never`), or with fewer than 256 of them.
 */
export function imageProtocol(
  sink: Sink,
  choice: ImageChoice = 'auto',
  env: NodeJS.ProcessEnv = process.env,
): ImageProtocol | undefined {
  if (choice === 'never' || sink.isTTY !== true || !hasColour(sink, 'auto', env)) return undefined;
  const { TERM = '', TERM_PROGRAM = '', COLORTERM = '', TMUX, KITTY_WINDOW_ID } = env;
  const isDeep = /^(truecolor|24bit)$/.test(COLORTERM);
  const blocks = isDeep ? 'blocks' : 'blocks256';
  if (choice === 'kitty' || choice === 'sixel') return choice;
  if (choice === 'blocks') return blocks;
  // What runs in tmux or screen speaks to these, which hand no pixels on by default.
  const isInside = TMUX !== undefined || /^(tmux|screen)/.test(TERM);
  if (!isInside) {
    if (KITTY_WINDOW_ID !== undefined || TERM === 'xterm-kitty' || TERM_PROGRAM === 'ghostty') return 'kitty';
    if (sixelTerminals.test(TERM_PROGRAM) || sixelTerms.test(TERM)) return 'sixel';
  }
  return isDeep || TERM.includes('256color') ? blocks : undefined;
}
