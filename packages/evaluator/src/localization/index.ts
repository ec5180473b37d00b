/** Where things are: the localization error of the ILSVRC rules, and boxes in the forms that others write. */

export { type Box, bestOverlap, clip, middle, overlap, type Size } from './box.ts';
export { type BoxClass, type ImageBoxes, namesOf, withoutEnding } from './formats/boxes.ts';
export { expectForm, readBoxes, writeBoxes } from './formats/files.ts';
export {
  type BoxGuess,
  type BoxRates,
  type LocalizationRates,
  type Located,
  localizationRates,
} from './score.ts';
export { type LocateOptions, locateSplit, type SplitImage, splitImages } from './split.ts';
