/** What is taken for what: a row for each true class, a column for each guess, shaded by the share of the row. */
import type { Drawing, Mark } from '../drawing.ts';

/** Counts of images, `classes x classes`: a row for each true class, a column for each guessed one. */
export interface ConfusionCounts {
  classes: number;
  counts: Uint32Array;
}

/** More classes than this cannot be read in one picture: then those in the most frequent mistakes are shown. */
const most = 24;

/** The heat map of all classes, or of the worst part of them. */
export function drawConfusion(matrix: ConfusionCounts, names: readonly string[]): Drawing {
  const shown = worstClasses(matrix, most);
  const count = (row: number, column: number) => matrix.counts[row * matrix.classes + column] ?? 0;
  const totals = shown.map((row) =>
    matrix.counts
      .subarray(row * matrix.classes, (row + 1) * matrix.classes)
      .reduce((sum, value) => sum + value, 0),
  );
  const cell = Math.max(24, Math.min(44, Math.floor(480 / shown.length)));
  const [left, top] = [150, 168];
  const side = cell * shown.length;
  const isPart = shown.length < matrix.classes;
  const title = isPart
    ? `Confusion: the ${shown.length} of ${matrix.classes.toLocaleString('en-US')} classes that are mistaken most`
    : 'Confusion';
  const marks: Mark[] = [
    { kind: 'label', x: 18, y: 26, content: title, size: 16, bold: true, room: left + side - 4 },
    {
      kind: 'label',
      x: 18,
      y: 48,
      content: 'rows: true class; columns: guess; shade: share of the row',
      size: 12,
      colour: 'muted',
    },
    { kind: 'rectangle', x: left, y: top, width: side, height: side, fill: 'soft' },
  ];
  for (const [y, row] of shown.entries()) {
    const name = names[row] ?? String(row);
    const middle = top + (y + 0.5) * cell;
    marks.push(
      { kind: 'label', x: left - 8, y: middle + 4, content: name, size: 12, anchor: 'end', room: left - 16 },
      {
        kind: 'label',
        x: left + (y + 0.5) * cell + 4,
        y: top - 8,
        content: name,
        size: 12,
        turn: -60,
        room: 118,
      },
    );
    for (const [x, column] of shown.entries()) {
      const images = count(row, column);
      if (images === 0) continue;
      const share = images / (totals[y] ?? 1);
      const tip = `${name} taken for ${names[column] ?? column}: ${images} of ${totals[y]}`;
      marks.push(...drawCell(left + x * cell, top + y * cell, cell, share, images, row === column, tip));
    }
  }
  return {
    ...{ width: Math.max(left + side + 60, 470), height: top + side + 18, title, heading: 34, marks },
    description: describe(shown, count, names),
  };
}

/** Right guesses in one colour, wrong ones in another; the number stands in cells that have room for it. */
function drawCell(
  x: number,
  y: number,
  cell: number,
  share: number,
  images: number,
  isRight: boolean,
  tip: string,
): Mark[] {
  // Small shares are what one looks for: the square root lifts them.
  const opacity = Math.round(100 * Math.sqrt(share)) / 100;
  const fill = isRight ? 'first' : 'second';
  const size = images > 999 ? 9 : 11;
  const square: Mark = {
    ...{ kind: 'rectangle', x: x + 0.5, y: y + 0.5, width: cell - 1, height: cell - 1 },
    ...{ fill, opacity, tip },
  };
  const needed = String(images).length * size * 0.62;
  if (cell < 24 || needed > cell - 2) return [square];
  const colour = opacity > 0.55 ? 'paper' : 'ink';
  return [
    square,
    {
      kind: 'label',
      x: x + cell / 2,
      y: y + cell / 2 + size * 0.36,
      content: String(images),
      size,
      colour,
      anchor: 'middle',
    },
  ];
}

/** The classes that take part in the most frequent mistakes, at most `limit`, in the order of classes. */
export function worstClasses({ classes, counts }: ConfusionCounts, limit: number): number[] {
  if (classes <= limit) return Array.from({ length: classes }, (_, index) => index);
  const pairs: { row: number; column: number; images: number }[] = [];
  for (const [cell, images] of counts.entries()) {
    const [row, column] = [Math.floor(cell / classes), cell % classes];
    if (images > 0 && row !== column) pairs.push({ row, column, images });
  }
  pairs.sort((a, b) => b.images - a.images);
  const chosen = new Set<number>();
  for (const { row, column } of pairs) {
    const added = [row, column].filter((index) => !chosen.has(index));
    if (chosen.size + added.length > limit) break;
    for (const index of added) chosen.add(index);
  }
  for (let index = 0; chosen.size < limit; index++) chosen.add(index);
  return [...chosen].sort((a, b) => a - b);
}

function describe(
  shown: readonly number[],
  count: (row: number, column: number) => number,
  names: readonly string[],
): string {
  const pairs = shown.flatMap((row) =>
    shown.filter((column) => column !== row).map((column) => ({ row, column, images: count(row, column) })),
  );
  const [worst] = pairs.sort((a, b) => b.images - a.images);
  if (worst === undefined || worst.images === 0) return 'Nothing is mistaken.';
  return `The most frequent mistake: ${names[worst.row]} taken for ${names[worst.column]}, ${worst.images} times.`;
}
