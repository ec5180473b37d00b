/** Where results and messages go: stdout is data, stderr is messages. */
import { access } from 'node:fs/promises';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import {
  type ColourChoice,
  type Column,
  copy,
  formatCount,
  formatDuration,
  formatError,
  formatTable,
  hasColour,
  type ImageChoice,
  type ImageProtocol,
  imageProtocol,
  type Paint,
  painter,
  printable,
  startProgress,
} from '@ilsvrc/terminal';
import { errorPage } from './docs.ts';

/** The options that all verbs share. */
export interface OutputOptions {
  json?: true | undefined;
  quiet?: true | undefined;
  verbose?: true | undefined;
  copy?: true | undefined;
  color: ColourChoice;
  /** Another process speaks for this one: nothing is written. */
  silent?: boolean | undefined;
}

/** Progress of work that can be counted. */
export interface CountedProgress {
  /** `note` says what else there is to say. */
  update(done: number, total: number, note?: string): void;
  stop(): void;
}

/** The output of one verb. */
export class Output {
  readonly #options: OutputOptions;
  readonly #paint: Paint;
  readonly #paintMessage: Paint;
  /** What was written to stdout, for `--copy`. */
  #copied = '';

  constructor(options: OutputOptions) {
    this.#options = options;
    this.#paint = painter(hasColour(process.stdout, options.color));
    this.#paintMessage = painter(hasColour(process.stderr, options.color));
  }

  get isJson(): boolean {
    return this.#options.json ?? false;
  }

  get isVerbose(): boolean {
    return this.#options.verbose ?? false;
  }

  /** A line of the result. */
  data(text: string): void {
    if (!this.isJson) this.#write(`${printable(text)}\n`);
  }

  bold(text: string): string {
    return this.#paint('bold', text);
  }

  /** How pictures go to stdout; `undefined` where they do not. */
  imageProtocol(choice: ImageChoice): ImageProtocol | undefined {
    const { json, color, copy } = this.#options;
    // Escape codes are nothing to copy.
    return json || copy || color === 'never' ? undefined : imageProtocol(process.stdout, choice);
  }

  /** Text of the result as it is, newlines and a picture's escape codes included. */
  raw(text: string): void {
    if (!this.isJson) this.#write(text);
  }

  /** A table of the result, with an empty line after it. The first column and long texts stand left, numbers right. */
  table(titles: string[], rows: string[][]): void {
    const isNumber = (column: number) =>
      rows.every((row) => /^[+−]?[\d,.% –]*( [kMGT]?B)?$/.test(row[column] ?? ''));
    const columns: Column[] = titles.map((title, index) => ({
      title,
      align: isNumber(index) ? 'right' : 'left',
    }));
    this.data(formatTable(columns, rows, this.#paint));
  }

  /** The one document of `--json`. */
  document(value: object): void {
    this.#write(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** A line of JSON lines. */
  line(value: object): void {
    this.#write(`${JSON.stringify(value)}\n`);
  }

  /** Columns that a line of the result may take: those of the terminal, 80 in a pipe. */
  get width(): number {
    return process.stdout.columns || 80;
  }

  /** What makes a result doubtful. Those who want errors only are told too. */
  warn(text: string): void {
    if (this.#options.silent) return;
    process.stderr.write(`${this.#paintMessage('yellow', 'warning')}: ${printable(text)}\n`);
  }

  /** A message: what is being done, what has changed. */
  say(text: string): void {
    if (!this.#isQuiet) process.stderr.write(`${printable(text)}\n`);
  }

  /** A message for those who ask for more. */
  detail(text: string): void {
    if (this.#options.verbose) this.say(text);
  }

  /** Commands that make sense now. */
  next(commands: string[]): void {
    if (this.isJson) return;
    this.say(this.#paintMessage('dim', 'next:'));
    for (const command of commands) this.say(`  ${this.#paintMessage('cyan', command)}`);
  }

  /** A line that is redrawn on a terminal and repeated now and then elsewhere: count, rate where a `unit` is given, time left. */
  progress(title: string, unit?: string): CountedProgress {
    const line = startProgress(process.stderr, title, { quiet: this.#isQuiet });
    const begin = performance.now();
    let first: number | undefined;
    return {
      update: (done, total, note = '') => {
        // What was there at the first report is not this process's work and would spoil the rate.
        first ??= done;
        const rate = (done - first) / ((performance.now() - begin) / 1000);
        const parts = [`${title}: ${formatCount(done)} of ${formatCount(total)}`];
        if (rate > 0 && unit !== undefined) parts.push(`${formatCount(rate)} ${unit}/s`);
        if (rate > 0) parts.push(`${formatDuration((total - done) / rate)} left`);
        if (note !== '') parts.push(note);
        line.update(parts.join(', '));
      },
      stop: () => line.stop(),
    };
  }

  /** Fails where a file would be overwritten without `--force`. */
  async expectAbsent(path: string, force: boolean | undefined): Promise<void> {
    const exists = await access(path).then(
      () => true,
      () => false,
    );
    if (exists && !force) {
      throw new IlsvrcError('E0308', `${path} exists already`, {
        hint: 'choose another name, or replace it by --force',
      });
    }
  }

  /** Copies the result where that was asked for. A machine without a clipboard is told of, and is no failure. */
  async finish(): Promise<void> {
    if (!this.#options.copy || this.#options.silent) return;
    try {
      await copy(this.#copied);
      this.say('copied to the clipboard');
    } catch (error) {
      if (!(error instanceof IlsvrcError)) throw error;
      process.stderr.write(formatError(error, errorPage(error.code), this.#paintMessage));
    }
  }

  get #isQuiet(): boolean {
    return this.#options.quiet || this.#options.silent || false;
  }

  #write(text: string): void {
    if (this.#options.silent) return;
    process.stdout.write(text);
    if (this.#options.copy) this.#copied += text;
  }
}

/** Prints an error as a person reads it, with its stack where `verbose`. */
export function printError(error: IlsvrcError, verbose: boolean): void {
  process.stderr.write(
    formatError(error, errorPage(error.code), painter(hasColour(process.stderr)), verbose),
  );
}
