/** The browsers that follow a training by server-sent events. One that reads too slowly is let go: it comes back by itself. */
import type { ServerResponse } from 'node:http';
import type { NumberedNews } from './history.ts';

/** Bytes that may wait for a browser. */
const patience = 1 << 20;
/** Browsers at a time. */
const most = 64;

/** Those who listen. */
export class Clients {
  readonly #responses = new Set<ServerResponse>();

  get isFull(): boolean {
    return this.#responses.size >= most;
  }

  /** Tells a new one what it has missed, and then all that comes. */
  add(response: ServerResponse, missed: readonly NumberedNews[]): void {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    // Milliseconds until a browser that has lost the connection comes back.
    response.write('retry: 1000\n\n');
    for (const news of missed) response.write(format(news));
    this.#responses.add(response);
    response.on('close', () => this.#responses.delete(response));
    response.on('error', () => this.#responses.delete(response));
  }

  send(news: NumberedNews): void {
    const text = format(news);
    for (const response of this.#responses) {
      if (response.writableLength > patience) response.destroy();
      else response.write(text);
    }
  }

  close(): void {
    for (const response of this.#responses) response.end();
  }
}

function format({ id, name, content }: NumberedNews): string {
  return `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(content)}\n\n`;
}
