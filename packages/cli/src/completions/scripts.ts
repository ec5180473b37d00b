/**
 * What a shell is to read: it calls `ilsvrc complete -- WORDS`. zsh, fish and PowerShell get the scripts of @bomb.sh/tab. Its script for
 * bash needs the package bash-completion, offers no files, knows no `--flag=value` and runs what stands in `$(…)` on the line; ours
 * speaks the same protocol and does without.
 */
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { script } from '@bomb.sh/tab';
import { quoted } from '../shell.ts';

/** The shells that are known. */
export const shells = ['bash', 'zsh', 'fish', 'powershell'] as const;

/** The script for a shell. */
export function completionScript(shell: (typeof shells)[number]): string {
  const command = programCommand();
  if (shell !== 'bash') {
    const text = printedBy(() => script(shell, 'ilsvrc', command));
    // The script for zsh lacks a backslash: without it a value ends at its first colon.
    return text.replace(String.raw`comp//:/\:`, () => String.raw`comp//:/\\:`);
  }
  return readFileSync(new URL('../../assets/completions.bash', import.meta.url), 'utf8').replace(
    '@COMMAND@',
    () => command,
  );
}

/** How a shell calls this program: by its name where PATH has it, else by where it lies, as in a clone. */
function programCommand(): string {
  const [node, program = ''] = [process.execPath, process.argv[1]];
  // Only npm's own commands have such a folder in their PATH, and a script in a module's folder is no installed program.
  const folders = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !/node_modules\W\.bin\W?$/.test(folder));
  const isInstalled =
    process.platform === 'win32' || folders.some((folder) => isExecutable(join(folder, 'ilsvrc')));
  // The scripts put the command between double quotes.
  return isInstalled || /["$`\\]/.test(node + program) ? 'ilsvrc' : `${quoted(node)} ${quoted(program)}`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The library only prints. */
function printedBy(act: () => void): string {
  const { log } = console;
  const lines: unknown[] = [];
  console.log = (line: unknown) => lines.push(line);
  try {
    act();
  } finally {
    console.log = log;
  }
  return `${lines.join('\n')}\n`;
}
