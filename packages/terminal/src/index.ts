/** Everything that a person sees in a terminal. */
export { type Choice, canAsk, confirm, enter, select } from './ask.ts';
export { copy } from './clipboard.ts';
export { formatError } from './error.ts';
export {
  formatBar,
  formatBytes,
  formatCount,
  formatCurve,
  formatDuration,
  formatPercent,
  shorten,
} from './format.ts';
export { besideImage, formatImage } from './images/image.ts';
export {
  type ImageChoice,
  type ImageProtocol,
  imageChoices,
  imageProtocol,
} from './images/protocol.ts';
export type { Raster } from './images/raster.ts';
export { pasteImage } from './paste.ts';
export { type Progress, startProgress } from './progress.ts';
export {
  type ColourChoice,
  hasColour,
  type Paint,
  painter,
  printable,
  type Sink,
  type Style,
} from './style.ts';
export { type Column, formatMarkdown, formatTable } from './table.ts';
