/** The store's own search: exact, and without an index of its own. */
import type { Store } from '@ilsvrc/engine';
import type { SearchEngine } from './engine.ts';

/** Searches all of a store. */
export function exactEngine(store: Store): SearchEngine {
  return {
    build: async () => false,
    search: (queries, k) => store.search(queries, k),
    close: async () => {},
  };
}
