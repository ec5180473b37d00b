/** The examples below a verb's help. */
export function examples(lines: [command: string, what: string][]): string {
  const width = Math.max(...lines.map(([command]) => command.length)) + 3;
  return `\nExamples:\n${lines.map(([command, what]) => `  ${command.padEnd(width)}${what}`).join('\n')}`;
}
