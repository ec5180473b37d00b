/** What every verb has in common: the options that shape its output, its help, and how it is started. */
import { type Argument, Command, Option } from '@commander-js/extra-typings';
import type { Interrupts } from './interrupts.ts';
import { oneOf } from './parse.ts';
import type { VerbEntry } from './verbs.ts';

/** What a verb is given besides its arguments. */
export interface Context {
  interrupts: Interrupts;
  /** Runs another verb in the same process, as the demo does. */
  run(argv: string[]): Promise<void>;
}

/** A command with the options that all verbs share. */
type BaseCommand = ReturnType<typeof baseCommand>;

/** A verb's command: what runs it, and what it says of itself to its help, its page and completions. */
export interface VerbCommand {
  parseAsync(argv: string[], from: { from: 'user' }): Promise<unknown>;
  readonly options: readonly Option[];
  readonly registeredArguments: readonly Argument[];
}

/** Adds a verb's own arguments, options and action to the base. */
export type Verb = (base: BaseCommand, context: Context) => VerbCommand;

/** What an option does, and what holds without it. Its environment variable follows from its name: to tell it would double the text. */
export function describeOption({ description, defaultValue, defaultValueDescription }: Option): string {
  return defaultValue === undefined || typeof defaultValue === 'boolean'
    ? description
    : `${description} (default: ${defaultValueDescription ?? defaultValue})`;
}

/** The command of a verb before it has anything of its own. */
export function baseCommand({
  name,
  summary,
  verbs = [],
  isShared,
}: Pick<VerbEntry, 'name' | 'summary' | 'verbs' | 'isShared'>) {
  const command = new Command(`ilsvrc ${name}`);
  // An option with a value may also come from the environment: --batch from ILSVRC_BATCH.
  command.createOption = (flags, text) => {
    const option = new Option(flags, text);
    if (option.required && option.long) {
      option.env(`ILSVRC_${option.long.slice(2).replaceAll('-', '_').toUpperCase()}`);
    }
    return option;
  };
  command
    .description(summary)
    .helpOption('-h, --help', 'show this help')
    .exitOverride()
    .showSuggestionAfterError(false)
    // Errors are printed in one place, in our form.
    .configureOutput({ writeErr: () => {} })
    .configureHelp({
      helpWidth: 100,
      styleTitle: (text) => `\u001b[1m${text}\u001b[22m`,
      optionDescription: describeOption,
    });
  if (!isShared) {
    command.hook('preAction', async () => (await import('./ranks.ts')).expectAlone(`\`${name}\``));
  }
  if (verbs.length > 0) {
    const lines = verbs.map((verb) => `  ${`${verb.name} ${verb.operands}`.padEnd(28)}${verb.summary}`);
    command.addHelpText('after', `\nVerbs:\n${lines.join('\n')}`);
  }
  return command
    .optionsGroup('Output:')
    .option('--json', 'one JSON document on stdout')
    .option('-q, --quiet', 'errors only')
    .option('-v, --verbose', 'say more; errors with their stack')
    .option('--no-input', 'never ask')
    .option('--copy', 'copy the result to the clipboard')
    .option('--color <when>', 'auto, always or never', oneOf('--color', ['auto', 'always', 'never']), 'auto')
    .optionsGroup('Options:');
}
