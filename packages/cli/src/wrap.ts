/** Facts with commas between them, in lines of at most `width` columns; a longer fact has a line of its own. */
export function wrap(facts: readonly string[], width: number): string {
  const lines: string[] = [];
  for (const fact of facts) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + fact.length + 3 <= width)
      lines[lines.length - 1] = `${last}, ${fact}`;
    else lines.push(fact);
  }
  return lines.join(',\n');
}
