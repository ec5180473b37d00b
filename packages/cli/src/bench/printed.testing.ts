/** What goes to stdout, caught. */
import { vi } from 'vitest';

let text = '';

/** Catches from `start` to `stop`. */
export const printed = {
  start(): void {
    text = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
      text += String(chunk);
      return true;
    });
  },
  text: () => text,
  stop: () => vi.restoreAllMocks(),
};
