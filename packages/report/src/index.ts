/** Pictures, for people would rather look. */

export { type Kernels, writeFilters } from './filters.ts';
export { asJpeg, pictureLibrary } from './jpeg.ts';
export { type BoxedPhoto, writeLocalizations } from './localization.ts';
export { writeMean } from './mean.ts';
export { type Guessed, writePanel } from './panel.ts';
