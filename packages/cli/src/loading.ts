/** The options that say how images come to a net: `--shuffle` and `--cache`. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { CacheLimit, Shuffle } from '@ilsvrc/engine';
import { suggesting } from './parse.ts';

/** `full`, or `window:N` for N shards at a time. */
export const shuffle = suggesting(
  (text: string): Shuffle => {
    if (text === 'full') return 'full';
    const window = Number(/^window:(\d{1,6})$/.exec(text)?.[1]);
    if (window >= 1) return { window };
    throw new IlsvrcError('E0103', `--shuffle cannot be \`${text}\``, {
      info: 'allowed: full, or window:N with N shards (1 or more)',
      hint: 'for a spinning disk or a network mount: `--shuffle window:8`',
    });
  },
  ['full', 'window:8'],
);

const units = new Map(
  ['kB', 'MB', 'GB', 'TB'].map((unit, index) => [unit.toLowerCase(), 1000 ** (index + 1)]),
);

/** `ram`, or an amount of memory as `8GB`. */
export const cacheLimit = suggesting(
  (text: string): CacheLimit => {
    if (text === 'ram') return 'ram';
    const [, amount, unit = ''] = /^(\d+(?:\.\d+)?) ?([kmgt]b)$/i.exec(text) ?? [];
    const bytes = Math.floor(Number(amount) * (units.get(unit.toLowerCase()) ?? Number.NaN));
    if (bytes > 0 && Number.isSafeInteger(bytes)) return { bytes };
    throw new IlsvrcError('E0103', `--cache cannot be \`${text}\``, {
      info: 'allowed: ram (half of the memory that is available), or an amount as 500MB, 8GB or 1.5TB',
      hint: 'leave it out to keep no decoded images',
    });
  },
  ['ram'],
);
