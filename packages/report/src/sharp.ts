/** sharp, which draws and reads pictures: an optional dependency, since no net needs it. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type Sharp from 'sharp';

const loaded: { sharp: typeof Sharp } | { cause: unknown } = await import('sharp').then(
  ({ default: sharp }) => ({ sharp }),
  (cause: unknown) => ({ cause }),
);

/** Whether pictures can be drawn here. */
export const hasPictures = 'sharp' in loaded;

/** The library. @throws IlsvrcError E0412 where it is not installed or does not load. */
export const sharp: typeof Sharp = 'sharp' in loaded ? loaded.sharp : (missing as never);

function missing(): never {
  const cause = 'cause' in loaded ? loaded.cause : undefined;
  throw new IlsvrcError('E0412', 'pictures need the package sharp, which does not load', {
    info: (cause instanceof Error ? cause.message : String(cause)).split('\n')[0],
    hint: '`npm install --include=optional sharp`; training and evaluation do without',
    cause,
  });
}
