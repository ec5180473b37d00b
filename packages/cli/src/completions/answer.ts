/** The answer to a shell: a line a suggestion, value and meaning with a tab between them, and a line that says what else to do. */
import { ShellCompDirective } from '@bomb.sh/tab';
import type { Context } from '../verb.ts';
import { type Completion, complete } from './complete.ts';

/** Completes the words after the program's name. */
export async function answer(words: readonly string[], context: Context): Promise<string> {
  const { suggestions, files } = await complete(words, context);
  const lines = suggestions
    .filter(({ value }) => !hasControl(value))
    .map(({ value, about }) => `${value}\t${line(about)}\n`);
  return `${lines.join('')}:${directive(files, lines.length > 0)}\n`;
}

/** Files are for where no suggestion fits; suggestions stay in their order. */
function directive(files: Completion['files'], hasSuggestions: boolean): number {
  const { ShellCompDirectiveKeepOrder, ShellCompDirectiveNoFileComp, ShellCompDirectiveFilterDirs } =
    ShellCompDirective;
  if (hasSuggestions || files === 'none') return ShellCompDirectiveKeepOrder | ShellCompDirectiveNoFileComp;
  return files === 'folders' ? ShellCompDirectiveFilterDirs : ShellCompDirective.ShellCompDirectiveDefault;
}

const hasControl = (text: string): boolean => /\p{Cc}/u.test(text);

/** A meaning in one line. */
const line = (text: string): string => text.replaceAll(/\s+/g, ' ');
