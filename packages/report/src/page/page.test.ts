import sharp from 'sharp';
import { expect, test } from 'vitest';
import { squarePixels, thumbnail } from '../thumbnail.ts';
import { embedJson, html } from './html.ts';
import { renderPage } from './page.ts';
import { sampleReport } from './sample.testing.ts';

const hostile = `<img src=x onerror="alert(1)">'</script><!--`;

test('what is put into a template is text', () => {
  const inner = html`<i>${'<b>'}</i>`;
  expect(html`<p title="${hostile}">${inner}${[1, inner]}${false}${undefined}</p>`.text).toBe(
    '<p title="&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#39;&lt;/script&gt;&lt;!--"><i>&lt;b&gt;</i>1<i>&lt;b&gt;</i></p>',
  );
  const text = embedJson({ hostile }).text;
  expect(text).not.toContain('<');
  expect(JSON.parse(text)).toEqual({ hostile });
});

test('names from outside are nowhere markup', async () => {
  const report = await sampleReport({ name: hostile, className: hostile });
  const page = renderPage(report);
  expect(page).not.toContain('<img src=x');
  // Two elements that are programs, and data.
  expect(page.match(/<script/g)).toHaveLength(2);
  expect(page.match(/<\/script>/g)).toHaveLength(2);
});

test('the page may ask nobody for anything, and a live one only its own server', async () => {
  const report = await sampleReport({});
  const policy = (page: string) => /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1];
  const still = policy(renderPage(report));
  expect(still).toMatch(/^default-src &#39;none&#39;; script-src &#39;sha256-/);
  expect(still).not.toContain('connect-src');
  expect(still).not.toContain('unsafe');
  expect(policy(renderPage(report, { after: 0, epochs: 3 }))).toContain('connect-src &#39;self&#39;');
});

test('forty photos and a thousand classes make a page of less than 3 MB', async () => {
  const report = await sampleReport({ classes: 1000, photos: 40 });
  expect(Buffer.byteLength(renderPage(report))).toBeLessThan(3e6);
});

test('photos become squares, and transparent ones lie on white', async () => {
  const photo = await sharp({ create: { width: 30, height: 20, channels: 4, background: '#ff000000' } })
    .png()
    .toBuffer();
  expect(await squarePixels(photo, 4)).toEqual({ width: 4, height: 4, pixels: Buffer.alloc(48, 255) });
  const { bytes } = await thumbnail(photo);
  expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width: 192, height: 192 });
});
