/** What a prepared data set says of itself, photos named on a command line, and parts of a preparation. */

export { readClassNames } from './class-names.ts';
export { findImages, imageName } from './find-images.ts';
export { type Launch, launched } from './launch.ts';
export { type Manifest, readManifest } from './manifest.ts';
export { type Part, parsePart } from './part.ts';
