import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { withUsage } from './usage.ts';
import { verbs } from './verbs.ts';

const docs = new URL('../../../docs/', import.meta.url);

describe.each(verbs)('$name', (entry) => {
  const page = new URL(`${entry.name}.md`, docs);

  test('has a page, which says what its help says (`npm run docs` writes it)', async () => {
    expect(existsSync(page)).toBe(true);
    const text = readFileSync(page, 'utf8');
    expect(text).toBe(await withUsage(text, entry));
  });
});

test('a section is put at the end, replaced where it is, and follows the definitions', async () => {
  const [prep] = verbs;
  if (prep === undefined) throw new Error('no verbs');
  const page = await withUsage('# A page\n', prep);
  expect(page).toMatch(
    /^# A page\n\n<!--.*\n## Usage and options\n\n```\nilsvrc prep \[options\] \[source\.\.\.\]\n```/,
  );
  expect(page).toContain('| `--size <px>` | side of the square images (default: 256) |');
  expect(page).toContain('| `-o, --out <dir>` | folder to write (default: data/\\<name of the source>) |');
  expect(await withUsage(page, prep)).toBe(page);
  const stale = page.replace('side of the square images', 'something else');
  expect(await withUsage(`${stale}\nmore\n`, prep)).toBe(`${page}\nmore\n`);
});
