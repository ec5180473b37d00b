/** The page in a real browser: while a small net trains on the built-in pictures, and as a file afterwards. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { generateBuiltin } from '@ilsvrc/engine';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findChromium, startChromium } from '../chromium.testing.ts';

const program = join(import.meta.dirname, '../../bin/ilsvrc.mjs');
const executable = findChromium();

describe.skipIf(executable === undefined)('the page in a browser', () => {
  const place = mkdtempSync(join(tmpdir(), 'ilsvrc-browser-'));
  let browser: Browser;
  const complaints: string[] = [];

  beforeAll(async () => {
    browser = await startChromium(executable ?? '');
    await generateBuiltin({ out: join(place, 'photos'), images: 240, seed: 0, workers: 2 });
    await run(['prep', 'photos', '-o', 'data', '--size', '32', '--quiet']);
  }, 120_000);
  afterAll(async () => {
    await browser.close();
    rmSync(place, { recursive: true });
  });

  test('while training curves appear and grow, and the page outlives the training', async () => {
    const training = start([
      'train',
      'data',
      '--net',
      'cifar-80sec',
      '--epochs',
      '40',
      '--run',
      'small',
      '--live',
    ]);
    const url = await addressOf(training);
    const page = await open(url);
    const status = page.locator('#status');
    const epochs = page.locator('#epochs tbody tr');
    await expect.poll(() => epochs.count(), { timeout: 60_000 }).toBeGreaterThan(1);
    const [before, drawn] = [await lastEpoch(page), await coloured(page)];
    expect(drawn).toBeGreaterThan(0);
    expect(await status.textContent()).toMatch(/^Epoch \d+ of 40, step \d+ of \d+: loss \d/);
    const kernels = () => page.evaluate('document.getElementById("kernels").naturalWidth');
    await expect.poll(kernels).toBeGreaterThan(0);
    // One that comes late sees what happened before.
    const late = await open(url);
    expect(await late.locator('#epochs tbody tr').count()).toBeGreaterThan(1);
    await expect.poll(() => lastEpoch(page), { timeout: 60_000 }).toBeGreaterThan(before + 1);
    for (const wrong of [url.replace(/\/[^/]+\/$/, '/wrong/'), url.replace(/\/[^/]+\/$/, '/')]) {
      expect((await fetch(wrong)).status).toBe(403);
    }
    await expect.poll(() => status.textContent(), { timeout: 120_000 }).toMatch(/has ended/);
    expect(await ended(training)).toBe(0);
    // It is all there still: the charts, the figures, and the theme.
    expect(await epochs.count()).toBe(40);
    expect(await coloured(page)).toBeGreaterThan(20);
    await page.locator('#theme').click();
    expect(await page.evaluate('document.documentElement.dataset.theme')).toBe('dark');
    expect(complaints).toEqual([]);
  });

  test('the report opens from the disk, with everything in it and nothing to complain of', async () => {
    await run(['report', 'small', '--quiet']);
    const page = await openReport({});
    const titles = await page.locator('h2').allTextContents();
    expect(titles).toEqual([
      ...[
        'The run',
        'In numbers',
        'Curves',
        'The first layer',
        'Photos',
        'Classes',
        'Confusion',
        'Reliability',
      ],
      ...['Between the towers', 'How it was measured', 'Do it again'],
    ]);
    expect(await page.locator('.panel').count()).toBe(24);
    expect(await coloured(page)).toBeGreaterThan(20);
    const broken = await page.evaluate(
      '[...document.images].filter((image) => image.naturalWidth === 0 || image.alt === "").length',
    );
    expect(broken).toBe(0);
    // Each part that scrolls by itself can be reached and has a name.
    expect(await page.locator('.scroll:not([tabindex="0"]), .scroll:not([aria-label])').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test('dark and light differ, and both are easy to read', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await openReport({ colorScheme });
      expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe(
        colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 24, 29)',
      );
      // WCAG AA: text 4.5 to 1 on what lies behind it, graphics 3 to 1.
      for (const role of ['ink', 'muted', 'first', 'second', 'third']) {
        for (const ground of ['paper', 'soft']) {
          expect(await contrast(page, role, ground), `${role} on ${ground}`).toBeGreaterThan(4.5);
        }
      }
    }
  });

  test('nothing hangs over the edge of a telephone, nor of paper', async () => {
    const page = await openReport({ viewport: { width: 360, height: 740 } });
    const overhang = 'document.documentElement.scrollWidth - innerWidth';
    expect(await page.evaluate(overhang)).toBe(0);
    await page.emulateMedia({ media: 'print' });
    await page.setViewportSize({ width: 794, height: 1123 });
    expect(await page.evaluate(overhang)).toBe(0);
    expect(await page.locator('nav').isVisible()).toBe(false);
    expect(await page.locator('.chart .still').first().isVisible()).toBe(true);
  });

  test('the keyboard reaches the theme and sorts the table', async () => {
    const page = await openReport({});
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.className')).toBe('skip');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.id')).toBe('theme');
    await page.keyboard.press('Space');
    expect(await page.evaluate('document.documentElement.dataset.theme')).toBe('dark');
    const title = page.locator('table.sortable th', { hasText: 'Top-1 error' });
    await title.locator('button').focus();
    await page.keyboard.press('Enter');
    expect(await title.getAttribute('aria-sort')).toBe('descending');
    const column = async () =>
      (await page.locator('table.sortable tbody td:nth-child(4)').allTextContents()).map(Number.parseFloat);
    const falling = await column();
    expect(falling).toEqual([...falling].sort((a, b) => b - a));
    await page.keyboard.press('Enter');
    expect(await column()).toEqual([...falling].sort((a, b) => a - b));
  });

  /** A page whose errors and warnings are kept. */
  async function open(url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await browser.newPage(options);
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => {
      if (!/^(data|file|http:\/\/127\.0\.0\.1)/.test(request.url())) complaints.push(request.url());
    });
    await page.goto(url);
    return page;
  }

  const openReport = (options: BrowserContextOptions) =>
    open(pathToFileURL(join(place, 'runs/small/report.html')).href, options);

  function start(args: string[]): ChildProcess {
    return spawn(process.execPath, [program, ...args], { cwd: place, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  async function run(args: string[]): Promise<void> {
    expect(await ended(start(args))).toBe(0);
  }
});

/** The status that a program ends with. */
function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.on('exit', resolve));
}

/** The address that `--live` prints. */
function addressOf(training: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    training.stderr?.on('data', (data) => {
      text += data;
      const [, url] = /live: (http\S+)/.exec(text) ?? [];
      if (url !== undefined) resolve(url);
    });
    training.on('exit', () => reject(new Error(text)));
  });
}

/** The last epoch that the legend of the first chart shows. */
async function lastEpoch(page: Page): Promise<number> {
  return Number(await page.locator('.u-legend .u-value').first().textContent());
}

/** Pixels of the first chart in the colour of the training's curve. */
async function coloured(page: Page): Promise<number> {
  return page.evaluate(`(() => {
    const canvas = document.querySelector('.plot canvas');
    // Of a copy: Chromium complains of a canvas that is read more than once.
    const copy = document.createElement('canvas');
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    const near = (at) => Math.hypot(data[at] - 31, data[at + 1] - 95, data[at + 2] - 174) < 40 && data[at + 3] > 200;
    return Array.from({ length: data.length / 4 }, (_, pixel) => near(4 * pixel)).filter(Boolean).length;
  })()`);
}

/** Contrast of two of the page's colours, as WCAG 2 counts it. */
async function contrast(page: Page, one: string, other: string): Promise<number> {
  return page.evaluate(`(() => {
    const luminance = (role) => {
      const probe = document.body.appendChild(document.createElement('span'));
      probe.style.color = 'var(--' + role + ')';
      const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map((value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const [low, high] = ['${one}', '${other}'].map(luminance).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  })()`);
}
