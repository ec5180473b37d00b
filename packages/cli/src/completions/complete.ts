/** What can stand where the cursor is. Verbs come from their table; for the rest the code of one verb is loaded. */
import type { Argument, Option } from '@commander-js/extra-typings';
import type { Context, VerbCommand } from '../verb.ts';
import { findVerb, type VerbEntry, verbs } from '../verbs.ts';
import type { Suggestion } from './values.ts';

/** What to offer; `files` says what of the disk, where no suggestion fits. */
export interface Completion {
  suggestions: Suggestion[];
  files: 'none' | 'folders' | 'all';
}

const nothing: Completion = { suggestions: [], files: 'none' };

/** Completes the last of the words after the program's name; it may be empty. */
export async function complete(words: readonly string[], context: Context): Promise<Completion> {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const { suggestions, files } = await at(before[0] === 'help' ? before.slice(1) : before, current, context);
  const value = current.startsWith('--') ? current.slice(current.indexOf('=') + 1) : current;
  return { suggestions: suggestions.filter((suggestion) => suggestion.value.startsWith(value)), files };
}

async function at(before: readonly string[], current: string, context: Context): Promise<Completion> {
  if (before.length === 0) return only(current.startsWith('-') ? programFlags : verbs.map(suggestVerb));
  const found = findVerb(before);
  if (found === undefined) return nothing;
  const { entry, rest } = found;
  if (entry.verbs !== undefined && rest.length === 0 && !current.startsWith('-')) {
    return only(entry.verbs.map(suggestVerb));
  }
  const [{ default: verb }, { baseCommand }] = await Promise.all([entry.load(), import('../verb.ts')]);
  return within(verb(baseCommand(entry), context), rest, current);
}

const only = (suggestions: Suggestion[]): Completion => ({ suggestions, files: 'none' });

const programFlags: Suggestion[] = [
  { value: '--help', about: 'show the verbs' },
  { value: '--version', about: 'show the version' },
];

/** A verb by the last word of its name. */
const suggestVerb = ({ name, summary }: VerbEntry): Suggestion => ({
  value: name.slice(name.indexOf(' ') + 1),
  about: summary,
});

/** After a verb: a value of the flag before it or in it, another flag, or an operand. */
async function within(command: VerbCommand, rest: readonly string[], current: string): Promise<Completion> {
  const { valuesOf } = await import('./values.ts');
  const { waiting, mayEnd, operands, isOver } = walk(command, rest);
  if (waiting !== undefined && !mayEnd) return valuesOf(waiting);
  if (current.startsWith('-') && !isOver) {
    const [flag = '', value] = current.split('=', 2);
    if (value === undefined) return only(flags(command, rest));
    const option = find(command, flag);
    return option === undefined ? nothing : valuesOf(option);
  }
  const argument = operandAt(command.registeredArguments, operands);
  if (waiting === undefined) return argument === undefined ? nothing : valuesOf(argument);
  const [own, next] = await Promise.all([waiting, argument].map((one) => (one ? valuesOf(one) : nothing)));
  return waiting.variadic || next === undefined ? (own ?? nothing) : merge(own ?? nothing, next);
}

const merge = (one: Completion, other: Completion): Completion => ({
  suggestions: [...one.suggestions, ...other.suggestions],
  files: other.files,
});

/** Where words lead: the flag that waits for a value, whether it may do without, and how many operands came. */
function walk(command: VerbCommand, rest: readonly string[]) {
  let waiting: Option | undefined;
  let mayEnd = false;
  let operands = 0;
  let isOver = false;
  for (const word of rest) {
    const isFlag = word.startsWith('-') && word !== '-' && !isOver;
    if (waiting !== undefined && !(mayEnd && isFlag)) {
      mayEnd = true;
      if (!waiting.variadic) waiting = undefined;
    } else if (word === '--' && !isOver) {
      isOver = true;
      waiting = undefined;
    } else if (isFlag) {
      const option = word.includes('=') ? undefined : find(command, word);
      waiting = option?.required || option?.optional ? option : undefined;
      mayEnd = option?.optional ?? false;
    } else operands += 1;
  }
  return { waiting, mayEnd, operands, isOver };
}

const find = ({ options }: VerbCommand, flag: string): Option | undefined =>
  options.find(({ long, short }) => long === flag || short === flag);

function operandAt(all: readonly Argument[], index: number): Argument | undefined {
  const last = all.at(-1);
  return all[index] ?? (last?.variadic ? last : undefined);
}

/** Flags that are not there yet. */
function flags({ options }: VerbCommand, rest: readonly string[]): Suggestion[] {
  const given = new Set(rest.map((word) => word.split('=', 1)[0]));
  const isNew = ({ long, short, hidden }: Option) =>
    !hidden && !given.has(long ?? '') && !(short !== undefined && given.has(short));
  return [
    ...options.filter(isNew).flatMap(({ long, short, description }) => {
      const value = long ?? short;
      return value === undefined ? [] : [{ value, about: description }];
    }),
    { value: '--help', about: 'show the help of this verb' },
  ];
}
