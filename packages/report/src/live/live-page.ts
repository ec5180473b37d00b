/**
 * The page of a training under way, served to this machine alone. Its address holds a random token, so that neither other
 * users nor other pages find it, and requests under another host's name are refused (DNS rebinding).
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { dataUri } from '../page/html.ts';
import { renderPage } from '../page/page.ts';
import type { Report, TimedEpoch } from '../page/report.ts';
import { Clients } from './clients.ts';
import { History } from './history.ts';

/** What a page is served of. */
export interface LiveOptions {
  /** 0 for any that is free. */
  port: number;
  /** What is known before the first step. */
  report: Report;
  /** Epochs in all. */
  epochs: number;
  /** File of the first layer's picture. */
  filters: string;
}

/** A step that was made; epochs and steps count from 1. */
interface Step {
  epoch: number;
  step: number;
  loss: number;
  images_per_second: number;
}

const host = '127.0.0.1';
/** Milliseconds between two messages of steps; those between them are averaged. */
const interval = 250;
/** Milliseconds that browsers have to take the last message. */
const farewell = 1000;

/** A page that grows. It never waits for a browser. */
export class LivePage {
  readonly #options: LiveOptions;
  readonly #server: Server;
  readonly #token = randomBytes(24).toString('base64url');
  readonly #clients = new Clients();
  readonly #history = new History();
  #port = 0;
  #stepsIn: (epoch: number) => number = () => 1;
  #drawing = Promise.resolve();
  #sum = { loss: 0, steps: 0 };
  #sentAt = 0;

  /** Opens the port; E0612 where that cannot be. */
  static async open(options: LiveOptions): Promise<LivePage> {
    const page = new LivePage(options);
    await new Promise<void>((resolve, reject) => {
      page.#server.once('error', (cause: NodeJS.ErrnoException) =>
        reject(
          new IlsvrcError('E0612', `no page can be served on port ${options.port}`, {
            info: cause.message,
            hint: 'choose another port, or leave it out: `--live` takes one that is free',
            cause,
          }),
        ),
      );
      page.#server.listen(options.port, host, resolve);
    });
    page.#port = (page.#server.address() as AddressInfo).port;
    // What a browser does wrong later is no matter of the training.
    page.#server.removeAllListeners('error').on('error', () => {});
    return page;
  }

  private constructor(options: LiveOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.#server.on('clientError', (_, socket) => socket.destroy());
  }

  /** Where it is, token included. */
  get url(): string {
    return `http://${host}:${this.#port}/${this.#token}/`;
  }

  /** Steps of an epoch (from 1), and those epochs that were made before this process. */
  begin(stepsIn: (epoch: number) => number, earlier: readonly TimedEpoch[]): void {
    this.#stepsIn = stepsIn;
    for (const epoch of earlier) this.#history.add({ name: 'epoch', content: epoch });
  }

  step({ epoch, step, loss, images_per_second }: Step): void {
    this.#sum.loss += loss;
    this.#sum.steps += 1;
    const now = performance.now();
    const steps = this.#stepsIn(epoch);
    const isLast = step === steps;
    if (now - this.#sentAt < interval && !isLast) return;
    this.#sentAt = now;
    const mean = this.#sum.loss / this.#sum.steps;
    this.#sum = { loss: 0, steps: 0 };
    const content = { at: epoch - 1 + step / steps, loss: mean, epoch, step, steps, images_per_second };
    this.#clients.send(this.#history.add({ name: 'step', content }));
  }

  epoch(epoch: TimedEpoch): void {
    this.#clients.send(this.#history.add({ name: 'epoch', content: epoch }));
    this.#drawing = this.#drawing.then(() => this.#sendFilters());
  }

  /** Says a last word and closes the port. */
  async close(text: string): Promise<void> {
    await this.#drawing;
    this.#clients.send(this.#history.add({ name: 'end', content: { text } }));
    this.#clients.close();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    const impatient = setTimeout(() => this.#server.closeAllConnections(), farewell);
    this.#server.closeIdleConnections();
    await closed;
    clearTimeout(impatient);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const names = [host, 'localhost'].map((name) => `${name}:${this.#port}`);
    if (!names.includes(request.headers.host ?? '')) return refuse(response, 403, 'another host');
    const url = URL.parse(`http://${host}${request.url}`);
    if (url === null) return refuse(response, 400, 'no address');
    const { pathname, searchParams } = url;
    const [, token = '', name = ''] = /^\/([^/]*)\/(.*)$/.exec(pathname) ?? [];
    if (!this.#isToken(token)) return refuse(response, 403, 'another token');
    if (request.method !== 'GET') return refuse(response, 405, 'only GET');
    switch (name) {
      case '':
        response.setHeader('content-type', 'text/html; charset=utf-8');
        response.end(await this.#render());
        return;
      case 'events': {
        if (this.#clients.isFull) return refuse(response, 503, 'too many browsers');
        const after = Number(request.headers['last-event-id'] ?? searchParams.get('after') ?? 0);
        return this.#clients.add(response, this.#history.after(after));
      }
      default:
        refuse(response, 404, 'no such page');
    }
  }

  /** The page with what has happened; what comes after is told by events. */
  async #render(): Promise<string> {
    const { report, epochs } = this.#options;
    const png = await this.#readFilters();
    const { last: after, epochs: done, steps } = this.#history;
    return renderPage(
      { ...report, epochs: done, steps, filters: report.filters && { ...report.filters, png } },
      { after, epochs },
    );
  }

  /** The picture that the epoch left; none where the first layer cannot be drawn. */
  async #sendFilters(): Promise<void> {
    const bytes = await this.#readFilters();
    if (bytes === undefined) return;
    const source = dataUri({ type: 'png', bytes });
    this.#clients.send(this.#history.add({ name: 'filters', content: { source } }));
  }

  #readFilters(): Promise<Uint8Array | undefined> {
    return readFile(this.#options.filters).catch(() => undefined);
  }

  #isToken(given: string): boolean {
    const [a, b] = [Buffer.from(given), Buffer.from(this.#token)];
    return a.length === b.length && timingSafeEqual(a, b);
  }
}

const headers = {
  'cache-control': 'no-store',
  'content-security-policy': "frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${status}: ${why}\n`);
}
