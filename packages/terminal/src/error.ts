/** An error as a person reads it: code and message, then why, what to do, and the page that explains it. */
import type { IlsvrcError } from '@ilsvrc/diagnostics';
import { type Paint, printable } from './style.ts';

/** Lines ending with a newline. `page` says where to read more; `verbose` adds the stack and that of the cause. */
export function formatError(error: IlsvrcError, page: string, paint: Paint, verbose = false): string {
  const lines = [`${paint('red', paint('bold', `error[${error.code}]`))}: ${error.message}`];
  if (error.info) lines.push(`  ${paint('cyan', 'info')}: ${error.info}`);
  if (error.hint) lines.push(`  ${paint('green', 'hint')}: ${error.hint}`);
  lines.push(`  ${paint('dim', 'docs')}: ${page}`);
  if (verbose) {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      if (cause.stack) lines.push(paint('dim', cause.stack));
    }
  }
  return printable(`${lines.join('\n')}\n`);
}
