/** Nearest neighbours by features: engines for a store's vectors, and how good the neighbours are. */

export { type BuildOptions, type Hit, neighboursOf, type SearchEngine } from './engine.ts';
export { exactEngine } from './exact.ts';
export { featureLayer } from './feature-layer.ts';
export { type QdrantOptions, qdrantEngine } from './qdrant.ts';
export { cuts, type Duplicate, duplicates, type Quality, score } from './score.ts';
export { usearchEngine } from './usearch.ts';
