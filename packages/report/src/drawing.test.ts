import { expect, test } from 'vitest';
import { beside, type Drawing, escapeMarkup, rasterise, toFile, toPage } from './drawing.ts';

const hostile = `a<b>&"c"'\u0007`;
const drawing: Drawing = {
  ...{ width: 100, height: 40, title: hostile, description: hostile, heading: 4 },
  marks: [
    { kind: 'rectangle', x: 0, y: 0, width: 50, height: 40, fill: 'first', tip: hostile },
    { kind: 'label', x: 10, y: 30, content: hostile, size: 12, anchor: 'middle', turn: -90 },
  ],
};

test('a page gets real text and colours of its own, a file strokes and fixed colours', () => {
  const page = toPage(drawing);
  expect(page).toContain('<text');
  expect(page).toContain('fill="var(--first)"');
  expect(page).toContain('role="img"');
  // Its heading is the page's.
  expect(page).toContain('viewBox="0 4 100 36"');
  const file = toFile(drawing);
  expect(file).not.toContain('<text');
  expect(file).toContain('fill="#1f5fae"');
});

test('nothing in a text is markup, and no control character ruins the picture', async () => {
  expect(escapeMarkup(hostile)).toBe('a&lt;b&gt;&amp;&quot;c&quot;&#39;\ufffd');
  for (const svg of [toPage(drawing), toFile(drawing)]) expect(svg).not.toContain('<b>');
  const { data, info } = await rasterise(drawing).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([200, 80]);
  expect([...data.subarray(0, 3)]).toEqual([0x1f, 0x5f, 0xae]);
});

test('drawings side by side keep their marks, moved', () => {
  const both = beside([drawing, drawing], 20);
  expect(both).toMatchObject({ width: 220, height: 40 });
  expect(both.marks[2]).toMatchObject({ kind: 'rectangle', x: 120 });
});
