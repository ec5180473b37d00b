/** Comma-separated values (RFC 4180) that a spreadsheet does not run. */

/** A text that begins with one of these is a formula to a spreadsheet. */
export const formula = /^[=+\-@\t\r]/;

/** A line of cells, without its end. Texts that a spreadsheet would take for a formula get an apostrophe. */
export function csvLine(cells: readonly (string | number | null)[]): string {
  return cells.map(cell).join(',');
}

function cell(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const harmless = formula.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
