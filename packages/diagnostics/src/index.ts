/** Errors that teach: every failure a user can cause has a code, an exit status and a page in `docs/errors`. */

export { type Code, codes } from './codes.ts';
export { IlsvrcError, type IlsvrcErrorFields } from './error.ts';
export { writeFailed } from './write-failed.ts';
