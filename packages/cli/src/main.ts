/** The program: finds the verb, runs it, and turns whatever happens into an exit status. The only place that does. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { Interrupts } from './interrupts.ts';
import { nearest } from './suggest.ts';
import { HostLost, letLauncherEnd, ToldByRank0 } from './told.ts';
import type { Context } from './verb.ts';
import { findVerb, type VerbEntry, verbs } from './verbs.ts';
import { version } from './version.ts';

/** Runs the program with arguments and returns its exit status. */
export async function main(argv: string[]): Promise<number> {
  // A reader that has seen enough (`| head`) is no failure.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  }
  const interrupts = new Interrupts();
  try {
    await run(argv, interrupts);
    return 0;
  } catch (error) {
    return await report(error, argv);
  } finally {
    interrupts.stop();
  }
}

async function run(argv: string[], interrupts: Interrupts): Promise<void> {
  const [first, ...rest] = argv;
  if (first === undefined || first === '-h' || first === '--help') return help();
  if (first === '-V' || first === '--version') return print(`ilsvrc ${version()}\n`);
  const context: Context = { interrupts, run: (more) => run(more, interrupts) };
  // What the scripts of `ilsvrc completions` ask.
  if (first === 'complete' && rest[0] === '--') {
    const { answer } = await import('./completions/answer.ts');
    return print(await answer(rest.slice(1), context));
  }
  if (first === 'help') return rest[0] === undefined ? help() : run([...rest, '--help'], interrupts);
  const found = findVerb(argv);
  if (found === undefined) throw unknown(first);
  const { entry, rest: words } = found;
  const [inner] = words;
  if (entry.verbs !== undefined && inner !== undefined && !inner.startsWith('-')) {
    throw unknown(`${entry.name} ${inner}`, entry.verbs);
  }
  const [{ default: verb }, { baseCommand }] = await Promise.all([entry.load(), import('./verb.ts')]);
  const base = baseCommand(entry);
  const command = verb(base, context);
  try {
    await command.parseAsync(words, { from: 'user' });
  } catch (error) {
    throw await translate(
      error,
      entry,
      base.options.flatMap(({ long }) => long ?? []),
    );
  }
}

/** Errors of the option parser in our form; others as they are. */
async function translate(error: unknown, { name }: VerbEntry, options: string[]): Promise<unknown> {
  const { CommanderError } = await import('@commander-js/extra-typings');
  if (!(error instanceof CommanderError)) return error;
  const { fromCommander } = await import('./parse.ts');
  return error.exitCode === 0 ? new HelpShown() : fromCommander(error, name, options);
}

/** Not an error: the help was asked for and has been printed. */
class HelpShown extends Error {}

function unknown(verb: string, known: readonly VerbEntry[] = verbs): IlsvrcError {
  const isFlag = verb.startsWith('-');
  const suggestion = nearest(verb, isFlag ? ['--help', '--version'] : known.map(({ name }) => name));
  return new IlsvrcError(isFlag ? 'E0101' : 'E0102', `unknown ${isFlag ? 'flag' : 'verb'} \`${verb}\``, {
    hint:
      suggestion === undefined
        ? 'see `ilsvrc --help`'
        : `did you mean \`${isFlag ? '' : 'ilsvrc '}${suggestion}\`?`,
  });
}

async function report(error: unknown, argv: string[]): Promise<number> {
  if (error instanceof HelpShown) return 0;
  if (error instanceof ToldByRank0) {
    await letLauncherEnd();
    return error.exitCode;
  }
  const { printError } = await import('./output.ts');
  const verbose = argv.includes('-v') || argv.includes('--verbose');
  const known =
    error instanceof IlsvrcError
      ? error
      : new IlsvrcError('E0901', error instanceof Error ? error.message : String(error), {
          info: 'this is a bug of ilsvrc',
          hint: 'run it again with --verbose and report what it prints',
          cause: error,
        });
  printError(known, verbose);
  if (error instanceof HostLost) await letLauncherEnd();
  return known.exitCode;
}

function help(): void {
  const bold = (text: string) =>
    process.stdout.isTTY && !process.env.NO_COLOR ? `\u001b[1m${text}\u001b[22m` : text;
  const line = ({ name, operands, summary }: VerbEntry) =>
    `  ${`${name} ${operands}`.padEnd(28)}${summary}\n`;
  print(`The two-tower network of 2012, on your own photos.

${bold('Usage:')} ilsvrc VERB [arguments]

${bold('Verbs:')}
${verbs.map(line).join('')}
${bold('Options:')}
  -h, --help                  show this help, or that of a verb: ilsvrc train --help
  -V, --version               show the version

${bold('Examples:')}
  ilsvrc demo                                      see everything once, without any photos
  ilsvrc prep photos/ -o data/photos               photos/<class>/*.jpg
  ilsvrc train data/photos                         the paper's network
  ilsvrc eval --top5                               error rates of the newest run
  ilsvrc predict runs/NAME/model.safetensors a.jpg
`);
}

function print(text: string): void {
  process.stdout.write(text);
}
