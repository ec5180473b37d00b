/** Calls that report while they run, as async iterables. */
import { IlsvrcError } from '@ilsvrc/diagnostics';

/**
 * Yields what a call reports and returns its result: `for await (const event of watch((report, signal) => train({ …, onEvent: report, signal })))`.
 * The call hears of `signal`. Leaving the loop early aborts it likewise and waits for its end, so a training is saved. It
 * rejects as the call does; one that ends because the loop was left does not, unless something else fails then.
 * @param call Gets a function for its reports, whose promise is fulfilled when the loop asks for the next one: what awaits it
 *     goes on no faster than the loop. Reports of calls that do not await it wait in memory.
 */
export async function* watch<Event, Result>(
  call: (report: (event: Event) => Promise<void>, signal: AbortSignal) => Promise<Result>,
  { signal }: { signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Event, Result, undefined> {
  const left = new AbortController();
  const waiting: { event: Event; taken: () => void }[] = [];
  let news = Promise.withResolvers<void>();
  let isOver = false;
  const report = (event: Event): Promise<void> => {
    // Nobody takes it any more, and nothing may wait for that.
    if (left.signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push({ event, taken: resolve });
    news.resolve();
    return promise;
  };
  const result = call(report, signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]));
  const end = (): void => {
    isOver = true;
    news.resolve();
  };
  result.then(end, end);
  let isWhole = false;
  try {
    while (true) {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        try {
          yield next.event;
        } finally {
          next.taken();
        }
      }
      if (isOver) break;
      await news.promise;
      news = Promise.withResolvers<void>();
    }
    isWhole = true;
    return await result;
  } finally {
    if (!isWhole) {
      left.abort();
      for (const { taken } of waiting.splice(0)) taken();
      await result.catch((error: unknown) => {
        const isOurs = error instanceof IlsvrcError ? error.code === 'E0902' : error === left.signal.reason;
        if (!isOurs) throw error;
      });
    }
  }
}
