/** Questions to a person at a terminal. They are asked on stderr: stdout is for results. */
import { IlsvrcError } from '@ilsvrc/diagnostics';

/** What every question may have. */
interface Common {
  message: string;
  /** Takes the question back. */
  signal?: AbortSignal | undefined;
}

/** An answer that can be chosen. */
export interface Choice<Value extends string> {
  value: Value;
  label: string;
  /** Shown while it is under the cursor. */
  hint?: string;
}

/** Whether somebody can be asked: both ends are terminals, and have columns to ask in. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true && process.stderr.columns > 0;
}

/** Yes or no; no where nothing else is said. Rejects with E0902 when it is cancelled, as all questions do. */
export async function confirm({ message, signal }: Common): Promise<boolean> {
  const { confirm: ask } = await library();
  return answered(await ask({ ...streams(signal), message, initialValue: false }));
}

/** One of some answers. */
export async function select<Value extends string>({
  message,
  choices,
  first,
  signal,
}: Common & {
  choices: readonly Choice<Value>[];
  /** Under the cursor to begin with. */
  first: Value;
}): Promise<Value> {
  const { select: ask } = await library();
  // Simpler for its type than the library's, which depends on the kind of value.
  const options = [...choices] as { value: string; label: string; hint?: string }[];
  return answered(await ask({ ...streams(signal), message, options, initialValue: first })) as Value;
}

/** A line of text; `check` says what is wrong with one, or nothing. */
export async function enter({
  message,
  initial,
  check,
  signal,
}: Common & {
  /** What stands there to begin with. */
  initial: string;
  check: (text: string) => string | undefined;
}): Promise<string> {
  const { text: ask } = await library();
  const validate = (text: string | undefined) => check(text ?? '');
  return answered(await ask({ ...streams(signal), message, initialValue: initial, validate }));
}

/** Loaded when there is something to ask. */
const library = () => import('@clack/prompts');

const streams = (signal: AbortSignal | undefined) => ({
  input: process.stdin,
  output: process.stderr,
  ...(signal && { signal }),
});

function answered<Value>(answer: Value): Exclude<Value, symbol> {
  if (typeof answer === 'symbol') throw new IlsvrcError('E0902', 'cancelled: nothing was written or deleted');
  return answer as Exclude<Value, symbol>;
}
