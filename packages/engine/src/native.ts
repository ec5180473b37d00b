/** Loads the addon, or says how to get it. */
import { IlsvrcError } from '@ilsvrc/diagnostics';

export type { Event, Job, NativeSession, NativeStore } from '../native/index.js';

/** The addon, loaded with this module. */
export const native = await import('../native/index.js').catch((cause: unknown) => {
  throw loadError(cause);
});

/** What to tell who has no addon that loads; the remedy depends on what is missing. */
export function loadError(cause: unknown): IlsvrcError {
  const missing = cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND';
  const message = `the native engine cannot be loaded on ${process.platform}-${process.arch}`;
  return new IlsvrcError('E0401', message, {
    info: missing ? 'it has not been built: packages/engine/native is missing' : deepest(cause),
    hint: 'build it with `npm run build` (needs cargo, cmake, nasm and a C compiler)',
    cause,
  });
}

/** The message of the first of nested errors: the addon's loader wraps what the system said. */
function deepest(error: unknown): string {
  let innermost = error;
  while (innermost instanceof Error && innermost.cause !== undefined) innermost = innermost.cause;
  return innermost instanceof Error ? innermost.message : String(innermost);
}
