/** Long work: one redrawn line on a terminal, a plain line now and then elsewhere, nothing when quiet. */
import ora, { type Ora } from 'ora';
import type { Sink } from './style.ts';

/** Shows where long work stands. */
export interface Progress {
  /** The state now. Cheap: call it as often as there is news. */
  update(text: string): void;
  /** Removes the line; `text`, where given, stays. */
  stop(text?: string): void;
}

/** Milliseconds between plain lines. */
const plainInterval = 5000;

/** A progress line on a stream, under `title` until the first update. */
export function startProgress(sink: Sink, title: string, { quiet = false } = {}): Progress {
  if (quiet) return { update: () => {}, stop: () => {} };
  // A terminal of no columns makes ora redraw without end.
  const live = sink.isTTY === true && (sink.columns ?? 0) > 0 && process.env.TERM !== 'dumb';
  return live ? new LiveProgress(sink as NodeJS.WriteStream, title) : new PlainProgress(sink, title);
}

class LiveProgress implements Progress {
  readonly #sink: Sink;
  readonly #spinner: Ora;

  constructor(sink: NodeJS.WriteStream, title: string) {
    this.#sink = sink;
    // With ora's default, stdin is put in raw mode and Ctrl-C no longer reaches the program.
    this.#spinner = ora({ stream: sink, text: title, discardStdin: false }).start();
  }

  update(text: string): void {
    this.#spinner.text = text;
  }

  stop(text?: string): void {
    this.#spinner.stop();
    if (text !== undefined) this.#sink.write(`${text}\n`);
  }
}

class PlainProgress implements Progress {
  readonly #sink: Sink;
  #next = Date.now() + plainInterval;

  constructor(sink: Sink, title: string) {
    this.#sink = sink;
    sink.write(`${title}\n`);
  }

  update(text: string): void {
    const now = Date.now();
    if (now < this.#next) return;
    this.#next = now + plainInterval;
    this.#sink.write(`${text}\n`);
  }

  stop(text?: string): void {
    if (text !== undefined) this.#sink.write(`${text}\n`);
  }
}
