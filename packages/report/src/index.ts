/** Pictures, for people would rather look. */

export { type Kernels, writeFilters } from './filters.ts';
export { asJpeg, pictureLibrary } from './jpeg.ts';
export { writeMean } from './mean.ts';
export { type Guessed, writePanel } from './panel.ts';
export { formatDistance, type Retrieved, type RetrievedRow, writeRetrieval } from './retrieval.ts';
