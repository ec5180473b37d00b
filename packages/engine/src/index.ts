/** The typed API of the native engine: promises, `AbortSignal`, errors with codes. Nothing here blocks the event loop. */

export * from './bench.ts';
export * from './data.ts';
export * from './devices.ts';
export * from './images.ts';
export * from './interchange.ts';
export type { JobOptions } from './jobs.ts';
export type { Layer, LayerSummary, Learning, Net, Summary } from './net.ts';
export { watchOthers } from './others.ts';
export { peakMemory } from './peak-memory.ts';
export * from './ranks.ts';
export * from './session.ts';
export {
  type IndexRequest,
  type Nearest,
  type Neighbour,
  Store,
  type StoredImage,
  type StoreMeta,
  type StoreOrigin,
} from './store.ts';
export { watch } from './watch.ts';
