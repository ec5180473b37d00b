import { IlsvrcError } from './error.ts';

/** What `cannot write …` is to say when the system refuses. A full disk is named, as native code does. */
export function writeFailed(path: string, cause: unknown): IlsvrcError {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new IlsvrcError('E0211', `${full ? 'the disk is full: ' : ''}cannot write ${path}`, {
    info: cause instanceof Error ? cause.message : String(cause),
    hint: full
      ? 'free space or choose another disk, then run the same command again'
      : 'check that the folder exists and can be written to',
    cause,
  });
}
