import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { sampleReport } from '../page/sample.testing.ts';
import { History } from './history.ts';
import { LivePage } from './live-page.ts';

const place = mkdtempSync(join(tmpdir(), 'ilsvrc-live-'));
afterAll(() => rmSync(place, { recursive: true }));
const filters = join(place, 'filters.png');

async function open(): Promise<LivePage> {
  const report = await sampleReport({ epochs: 0 });
  const page = await LivePage.open({ port: 0, report, epochs: 3, filters });
  page.begin(() => 10, []);
  return page;
}

/** A request with any headers; `fetch` would not send another Host. */
function ask(url: string, options: { headers?: Record<string, string>; method?: string } = {}) {
  return new Promise<{ status: number | undefined; text: string; headers: Record<string, unknown> }>(
    (resolve, reject) => {
      const sent = request(url, options, (response) => {
        let text = '';
        response.on('data', (data) => (text += data));
        response.on('end', () => resolve({ status: response.statusCode, text, headers: response.headers }));
      });
      sent.on('error', reject);
      sent.end();
    },
  );
}

/** Events as a browser gets them; ends when the server does. */
async function listen(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ done: Promise<string[]> }> {
  const response = await fetch(url, { headers });
  const reading = async () => {
    const text = await response.text();
    return [...text.matchAll(/event: (\w+)/g)].map(([, name = '']) => name);
  };
  return { done: reading() };
}

const step = (epoch: number, number: number) => ({
  ...{ epoch, step: number, loss: 2, images_per_second: 100 },
});
const epoch = (number: number) => ({
  ...{ epoch: number, loss: 1, val_loss: 1, train_top1_error: 0.5, top1_error: 0.5, top5_error: 0.1 },
  ...{ lr: 0.01, images_per_second: 100, seconds: 1 },
});

test('other hosts, other tokens, other methods and other pages are refused', async () => {
  const page = await open();
  const { port, host } = new URL(page.url);
  const status = async (...of: Parameters<typeof ask>) => (await ask(...of)).status;
  expect(await status(page.url)).toBe(200);
  expect(await status(page.url, { headers: { host: `localhost:${port}` } })).toBe(200);
  for (const other of ['evil.example', `evil.example:${port}`, '127.0.0.1']) {
    expect(await status(page.url, { headers: { host: other } }), other).toBe(403);
  }
  const token = page.url.split('/').at(-2) ?? '';
  // One letter off, whichever letter the token ends in.
  const near = `${token.slice(0, -1)}${token.endsWith('-') ? '_' : '-'}`;
  const others = ['', near, `${token}x`, 'events', '..', '%00'];
  for (const wrong of others) expect(await status(`http://${host}/${wrong}/`), wrong).toBe(403);
  expect(await status(page.url, { method: 'POST' })).toBe(405);
  expect(await status(`${page.url}../../etc/passwd`)).toBe(403);
  expect(await status(`${page.url}config.json`)).toBe(404);
  expect((await ask(page.url)).headers).toMatchObject({ 'cache-control': 'no-store' });
  await page.close('over');
});

test('those who come late are told all; those who were away, what they missed; the end ends all', async () => {
  const page = await open();
  const early = await listen(`${page.url}events`);
  writeFileSync(filters, 'a picture');
  page.step(step(1, 10));
  page.epoch(epoch(1));
  // The picture of the first layer is read from the disk, and follows when it is there.
  await expect.poll(async () => (await ask(page.url)).text).toContain('"after":3');
  page.step(step(2, 10));
  const late = await listen(`${page.url}events?after=0`);
  const back = await listen(`${page.url}events?after=0`, { 'last-event-id': '3' });
  const html = (await ask(page.url)).text;
  const { epochs, steps, live } = JSON.parse(/id="data">(.*?)<\/script>/.exec(html)?.[1] ?? '');
  expect([epochs.length, steps.length, live]).toEqual([1, 2, { after: 4, epochs: 3 }]);
  await page.close('over');
  const all = ['step', 'epoch', 'filters', 'step', 'end'];
  expect(await early.done).toEqual(all);
  expect(await late.done).toEqual(all);
  expect(await back.done).toEqual(['step', 'end']);
  // The port is closed.
  await expect(ask(page.url)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('steps in quick succession are one message with their mean', async () => {
  const page = await open();
  const heard = await listen(`${page.url}events`);
  for (let number = 1; number <= 9; number++) page.step(step(1, number));
  await page.close('over');
  expect((await heard.done).filter((name) => name === 'step')).toHaveLength(1);
});

test('a browser that does not read is let go, and the training does not wait for it', async () => {
  const page = await open();
  const { hostname, port, pathname, host } = new URL(page.url);
  const socket = connect(Number(port), hostname);
  const gone = new Promise((resolve) => socket.on('close', resolve));
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.on('connect', () => resolve()));
  socket.write(`GET ${pathname}events HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await new Promise<void>((resolve) => socket.once('data', () => resolve()));
  socket.pause();
  // Much more than a socket holds: each epoch brings a picture.
  writeFileSync(filters, Buffer.alloc(500_000));
  for (let number = 1; number <= 60; number++) {
    page.epoch(epoch(number));
    await readFile(filters);
  }
  socket.resume();
  await gone;
  await page.close('over');
});

test('a port that is taken is an error with a way out', async () => {
  const page = await open();
  const port = Number(new URL(page.url).port);
  const report = await sampleReport({ epochs: 0 });
  await expect(LivePage.open({ port, report, epochs: 1, filters })).rejects.toMatchObject({ code: 'E0612' });
  await page.close('over');
});

test('the history is bounded: of many steps every second one goes, epochs stay', () => {
  const history = new History();
  for (let number = 1; number <= 9000; number++) {
    const content = { ...step(1, number), at: number, steps: 9000 };
    history.add({ name: 'step', content });
    if (number % 1000 === 0) history.add({ name: 'epoch', content: epoch(number / 1000) });
  }
  expect(history.epochs).toHaveLength(9);
  expect(history.steps.length).toBeLessThanOrEqual(2000);
  expect(history.steps.length).toBeGreaterThan(900);
  expect(history.steps.at(-1)?.at).toBe(9000);
  expect(history.after(history.last - 1)).toHaveLength(1);
  // Of pictures the last one stays.
  for (const source of ['first', 'second']) history.add({ name: 'filters', content: { source } });
  expect(history.after(0).filter(({ name }) => name === 'filters')).toMatchObject([
    { content: { source: 'second' } },
  ]);
});
