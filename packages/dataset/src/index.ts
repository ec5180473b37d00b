/** Photos on disk: what layouts there are, what a preparation will do, and what a prepared data set says of itself. */

export { findImages } from './find-images.ts';
export { type Manifest, readManifest } from './manifest.ts';
export { buildPlan, type PlanOptions } from './plan.ts';
