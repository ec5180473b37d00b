/** Numbers as people read them. */

/** 1234567 as `1,234,567`. */
export const formatCount = (value: number): string =>
  value.toLocaleString('en-US', { maximumFractionDigits: 0 });

/** A fraction as `17.53 %`. */
export const formatPercent = (fraction: number, digits = 2): string =>
  `${(fraction * 100).toFixed(digits)} %`;

/** Seconds as `47 s`, `3 min 05 s` or `2 h 04 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const pad = (value: number) => String(value).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/** Bytes as `3.1 MB` (powers of ten). */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** A text of at most `most` characters; an ellipsis stands for what is left out. */
export const shorten = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most - 1)}…` : text;

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A horizontal bar of at most `width` columns for a fraction, in eighths of a column. */
export function formatBar(fraction: number, width: number): string {
  const parts = Math.round(Math.min(Math.max(fraction, 0), 1) * Math.max(width, 0) * 8);
  return '█'.repeat(Math.floor(parts / 8)) + eighths[parts % 8];
}

const eighthsUp = '▁▂▃▄▅▆▇█';

/** A curve in one line, from its lowest value to its highest; means of neighbours where there are more values than columns. */
export function formatCurve(values: readonly number[], width: number): string {
  const columns = Math.min(values.length, width);
  const means = Array.from({ length: columns }, (_, column) => {
    const first = Math.floor((column * values.length) / columns);
    const some = values.slice(first, Math.floor(((column + 1) * values.length) / columns));
    return some.reduce((sum, value) => sum + value, 0) / some.length;
  });
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const level = (value: number) => (high > low ? Math.round((7 * (value - low)) / (high - low)) : 0);
  return means.map((value) => (Number.isFinite(value) ? (eighthsUp[level(value)] ?? ' ') : ' ')).join('');
}
