/** Loads the addon, or says how to get it. */
import { loadError } from './load-error.ts';

export type { Event, Job, NativeSession, NativeStore } from '../native/index.js';

/** The addon, loaded with this module. */
export const native = await import('../native/index.js').catch((cause: unknown) => {
  throw loadError(cause);
});
