/**
 * Ctrl-C: once asks the work to save and stop, twice stops at once. SIGTERM asks as Ctrl-C does; so does SIGUSR2, which mpirun
 * passes on to all ranks without killing them a second later.
 */
import { IlsvrcError } from '@ilsvrc/diagnostics';

const signals = ['SIGINT', 'SIGTERM', 'SIGUSR2'] as const;

/** Status of a program that was interrupted. */
const interrupted = 130;

/** Listens from its making until `stop`. */
export class Interrupts {
  readonly #controller = new AbortController();
  readonly #listener = () => this.#onSignal();

  constructor() {
    for (const name of signals) process.on(name, this.#listener);
  }

  /** Aborted, with an E0902, at the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  stop(): void {
    for (const name of signals) process.off(name, this.#listener);
  }

  #onSignal(): void {
    if (this.signal.aborted) process.exit(interrupted);
    this.#controller.abort(new IlsvrcError('E0902', 'interrupted'));
  }
}
