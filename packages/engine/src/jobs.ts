/** Native jobs as promises. */
import { type Code, codes, IlsvrcError } from '@ilsvrc/diagnostics';
import type { Event, Job } from './native.ts';

/** How a long call is watched and stopped. */
export interface JobOptions<Progress = never> {
  /** Stops the job within a batch; the promise then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Hears of progress on the event loop; reports are dropped while more than 1024 wait. */
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** A job's result: JSON, and the large arrays beside it. */
export interface Outcome<T> {
  payload: T;
  data: Float32Array;
  labels: Uint32Array;
}

/** Runs the job that `start` starts. Rejects with an {@link IlsvrcError}, or with the reason of an aborted signal. */
export function run<T, Progress = never>(
  start: (emit: (event: Event) => void) => Job,
  { signal, onProgress }: JobOptions<Progress> = {},
): Promise<Outcome<T>> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome<T>>();
  const job = start((event) => {
    try {
      if (event.kind === 'progress') return onProgress?.(JSON.parse(event.payload));
      signal?.removeEventListener('abort', cancel);
      if (event.kind === 'cancelled' && signal?.aborted) return reject(signal.reason);
      resolve(outcome(event));
    } catch (error) {
      // Also what a listener throws: it must not be lost in native code, and nobody waits for the work any more.
      job.cancel();
      reject(error);
    }
  });
  const cancel = (): void => job.cancel();
  if (signal?.aborted) cancel();
  else signal?.addEventListener('abort', cancel, { once: true });
  return promise;
}

/** The result in an event. @throws IlsvrcError for one that failed. */
export function outcome<T>({ kind, payload, data, labels }: Event): Outcome<T> {
  if (kind !== 'done') throw failure(payload);
  return {
    payload: JSON.parse(payload),
    data: data ?? new Float32Array(),
    labels: labels ?? new Uint32Array(),
  };
}

/** The error in the payload of a failed job. */
function failure(payload: string): IlsvrcError {
  const { code, message, info, hint } = JSON.parse(payload);
  const known: Code = code in codes ? code : 'E0901';
  return new IlsvrcError(known, message, { info: info ?? undefined, hint: hint ?? undefined });
}
