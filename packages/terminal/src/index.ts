/** Everything that a person sees in a terminal. */
export { copy } from './clipboard.ts';
export { formatError } from './error.ts';
export { formatBar, formatBytes, formatCount, formatDuration, formatPercent } from './format.ts';
export { pasteImage } from './paste.ts';
export { type Progress, startProgress } from './progress.ts';
export { type ColourChoice, hasColour, type Paint, painter, type Sink, type Style } from './style.ts';
export { type Column, formatMarkdown, formatTable } from './table.ts';
