import { type Code, codes } from './codes.ts';

/** What an error says besides its message. */
export interface IlsvrcErrorFields {
  /** Why it happened, where that is known. */
  info?: string | undefined;
  /** The command or action that helps. */
  hint?: string | undefined;
  /** The error that led to this one, for `--verbose`. */
  cause?: unknown;
}

/** A failure with its code. The message says what happened in one line, with the value seen and the value allowed. */
export class IlsvrcError extends Error {
  override readonly name = 'IlsvrcError';
  readonly code: Code;
  /** Why it happened. */
  readonly info: string | undefined;
  /** The command or action that helps. */
  readonly hint: string | undefined;

  constructor(code: Code, message: string, { info, hint, cause }: IlsvrcErrorFields = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.info = info;
    this.hint = hint;
  }

  /** The exit status of a program that ends because of this error. */
  get exitCode(): number {
    return codes[this.code].exit;
  }
}
