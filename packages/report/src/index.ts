/** Pictures and pages, for people would rather look. */

export { drawBreakdown, type StepTimes } from './charts/breakdown.ts';
export { type ConfusionCounts, drawConfusion } from './charts/confusion.ts';
export { drawCurvesTogether, type Epoch } from './charts/curves.ts';
export { type Calibration as CalibrationBins, drawReliability } from './charts/reliability.ts';
export { drawTraffic, type TowerLayer, towerLayers } from './charts/traffic.ts';
export { type Drawing, rasterise } from './drawing.ts';
export { drawFilters, filterPicture, type Kernels, writeFilters } from './filters.ts';
export { asJpeg, pictureLibrary } from './jpeg.ts';
export { type LiveOptions, LivePage } from './live/live-page.ts';
export { type BoxedPhoto, writeLocalizations } from './localization.ts';
export { writeMean } from './mean.ts';
export { renderPage } from './page/page.ts';
export type { FactGroup, PicturePart, Report, TimedEpoch } from './page/report.ts';
export { type Guessed, writePanel } from './panel.ts';
export { writePng } from './png.ts';
export { formatDistance, type Retrieved, type RetrievedRow, writeRetrieval } from './retrieval.ts';
export { hasPictures } from './sharp.ts';
export { pagePicture, squarePixels, thumbnail } from './thumbnail.ts';
