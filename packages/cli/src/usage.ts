/** "Usage and options" of a verb's page in docs/, from the definitions that its help is made of. */
import type { Option } from '@commander-js/extra-typings';
import { Interrupts } from './interrupts.ts';
import { baseCommand, describeOption, type VerbCommand } from './verb.ts';
import type { VerbEntry } from './verbs.ts';

const begin = '<!-- `npm run docs` writes this section from the definitions of the verb -->';
const end = '<!-- the section ends here -->';

/** The page with the section as it is to be; it goes to the end of a page that has none. */
export async function withUsage(page: string, entry: VerbEntry): Promise<string> {
  const section = `${begin}\n${await usageSection(entry)}${end}\n`;
  const [first, last] = [page.indexOf(begin), page.indexOf(end)];
  if (first < 0 || last < first) return `${page.trimEnd()}\n\n${section}`;
  return page.slice(0, first) + section + page.slice(last + end.length + 1);
}

async function usageSection(entry: VerbEntry): Promise<string> {
  const inner = await Promise.all(
    (entry.verbs ?? []).map(async (verb) => `### \`ilsvrc ${verb.name}\`\n\n${await describe(verb, false)}`),
  );
  return ['## Usage and options\n\n', await describe(entry), ...inner].join('');
}

/** Usage and a table. What all verbs have stands there once in a page. */
async function describe(entry: VerbEntry, withCommon = true): Promise<string> {
  const command = await commandOf(entry);
  const operands = command.registeredArguments.map((argument) => [
    code(argument.required ? `<${name(argument)}>` : `[${name(argument)}]`),
    argument.description,
  ]);
  const groups = Map.groupBy(command.options, (option: Option) => option.helpGroupHeading ?? 'Options:');
  // What all verbs have comes last, though it was there first.
  const own = [...groups].filter(([heading]) => heading !== 'Output:');
  const common = [...groups].filter(([heading]) => withCommon && heading === 'Output:');
  const options = [...own, ...common].flatMap(([heading, list]) => [
    [`**${heading.replace(/:$/, '')}**`, ''],
    ...list.filter(({ hidden }) => !hidden).map((option) => [code(option.flags), describeOption(option)]),
  ]);
  const usage = [
    'ilsvrc',
    entry.name,
    '[options]',
    ...operands.map(([operand = '']) => operand.slice(1, -1)),
  ].join(' ');
  return `\`\`\`\n${usage}\n\`\`\`\n\n${table([...operands, ...options])}\n`;
}

/** The command, to be looked at and never run. */
async function commandOf(entry: VerbEntry): Promise<VerbCommand> {
  const { default: verb } = await entry.load();
  const interrupts = new Interrupts();
  interrupts.stop();
  return verb(baseCommand(entry), { interrupts, run: async () => {} });
}

const name = (argument: { name(): string; variadic: boolean }): string =>
  argument.variadic ? `${argument.name()}...` : argument.name();

const code = (text: string): string => `\`${text}\``;

function table(rows: readonly string[][]): string {
  if (rows.length === 0) return '';
  const line = ([left = '', right = '']: readonly string[]) => `| ${cell(left)} | ${cell(right)} |\n`;
  return `| | |\n|---|---|\n${rows.map(line).join('')}`;
}

/** A text in a table: outside of code, what Markdown would take for a tag stays a text. */
function cell(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '\\<') : part))
    .join('`')
    .replaceAll('|', '\\|');
}
