/** Tables: numbers stand right, columns are as wide as they must be; Markdown where asked. */
import Table from 'cli-table3';
import type { Paint } from './style.ts';

/** A column's title and where its cells stand. */
export interface Column {
  title: string;
  align?: 'left' | 'right';
}

const none = '';
const quiet = {
  top: none,
  'top-mid': none,
  'top-left': none,
  'top-right': none,
  bottom: none,
  'bottom-mid': none,
  'bottom-left': none,
  'bottom-right': none,
  left: none,
  'left-mid': none,
  mid: none,
  'mid-mid': none,
  right: none,
  'right-mid': none,
  middle: '  ',
};

/** A table without lines. Cells are text already. */
export function formatTable(columns: readonly Column[], rows: readonly string[][], paint: Paint): string {
  const table = new Table({
    chars: quiet,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    head: columns.map(({ title }) => paint('bold', title)),
    colAligns: columns.map(({ align }) => align ?? 'left'),
  });
  table.push(...rows.map((row) => [...row]));
  const lines = table.toString().split('\n');
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** The same table in Markdown. */
export function formatMarkdown(columns: readonly Column[], rows: readonly string[][]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return (
    line(columns.map(({ title }) => title)) +
    line(columns.map(({ align }) => (align === 'right' ? '---:' : '---'))) +
    rows.map(line).join('')
  );
}
