/** Ctrl-C: once asks the work to save and stop, twice stops at once. SIGTERM asks as Ctrl-C does. */
import { IlsvrcError } from '@ilsvrc/diagnostics';

/** Status of a program that was interrupted. */
const interrupted = 130;

/** Listens from its making until `stop`. */
export class Interrupts {
  readonly #controller = new AbortController();
  readonly #listener = () => this.#onSignal();

  constructor() {
    process.on('SIGINT', this.#listener);
    process.on('SIGTERM', this.#listener);
  }

  /** Aborted, with an E0902, at the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  stop(): void {
    process.off('SIGINT', this.#listener);
    process.off('SIGTERM', this.#listener);
  }

  #onSignal(): void {
    if (this.signal.aborted) process.exit(interrupted);
    this.#controller.abort(new IlsvrcError('E0902', 'interrupted'));
  }
}
