/** Values of options and arguments, checked; and what commander says, in our form of errors. */
import type { CommanderError } from '@commander-js/extra-typings';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { nearest } from './suggest.ts';

/** A whole number from `low` to `high`. */
export function whole(option: string, low: number, high = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= low && value <= high) return value;
    const allowed = high === Number.MAX_SAFE_INTEGER ? `${low} or more` : `${low} to ${high}`;
    throw badValue(option, text, `a whole number, ${allowed}`);
  };
}

/** Images of a pass; the engine takes no more. */
const batch = (option: string) => whole(option, 1, 16_384);
export const batchSize = batch('--batch');
/** Images of a step, of all ranks together. */
export const globalBatchSize = batch('--global-batch');

/** A number above `low` (or from it, where `included`) and at most `high`. */
export function real(option: string, low: number, high: number, included = false): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if ((value > low || (included && value === low)) && value <= high) return value;
    const above = included ? `from ${low}` : `above ${low}`;
    throw badValue(
      option,
      text,
      high === Number.POSITIVE_INFINITY ? `a number ${above}` : `a number ${above} to ${high}`,
    );
  };
}

/** Numbers with commas between them. */
export function numbers(option: string): (text: string) => number[] {
  return (text) => {
    const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
    if (values.every(Number.isFinite)) return values;
    throw badValue(option, text, 'numbers with commas between them');
  };
}

/** One of some words. */
export function oneOf<const Word extends string>(option: string, words: readonly Word[]) {
  const parse = (text: string): Word => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw badValue(option, text, words.join(', '), nearest(text, words));
  };
  return suggesting(parse, words);
}

/** A parser that says which words it takes, or what some of them are, for those who complete a command line. */
export function suggesting<Parser extends (text: string, before: never) => unknown>(
  parse: Parser,
  words: readonly string[],
): Parser & { words: readonly string[] } {
  return Object.assign(parse, { words });
}

function badValue(option: string, text: string, allowed: string, suggestion?: string): IlsvrcError {
  return new IlsvrcError('E0103', `${option} cannot be \`${text}\``, {
    info: `allowed: ${allowed}`,
    hint: suggestion === undefined ? undefined : `did you mean \`${option} ${suggestion}\`?`,
  });
}

/** An error of commander's as one of ours. `options` are the long flags of the verb. */
export function fromCommander(error: CommanderError, verb: string, options: readonly string[]): IlsvrcError {
  const message = error.message.replace(/^error: /, '');
  const [, quoted = ''] = /'([^']*)'/.exec(message) ?? [];
  const help = `see \`ilsvrc ${verb} --help\``;
  switch (error.code) {
    case 'commander.unknownOption': {
      const suggestion = nearest(quoted, options);
      return new IlsvrcError('E0101', `unknown flag \`${quoted}\``, {
        hint: suggestion === undefined ? help : `did you mean \`${suggestion}\`?`,
      });
    }
    case 'commander.excessArguments':
      return new IlsvrcError('E0101', message, { hint: help });
    case 'commander.missingArgument':
      return new IlsvrcError('E0104', `the argument ${quoted.toUpperCase()} is missing`, { hint: help });
    case 'commander.optionMissingArgument':
      return new IlsvrcError('E0104', `\`${quoted}\` needs a value`, { hint: help });
    default:
      return new IlsvrcError('E0103', message, { hint: help });
  }
}
