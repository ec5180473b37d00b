import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { codes, IlsvrcError } from './index.ts';

const root = new URL('../../../', import.meta.url);

test('every code that native code returns is in the table', () => {
  const source = readFileSync(new URL('crates/diagnostics/src/codes.rs', root), 'utf8');
  const native = [...source.matchAll(/= "(E\d{4})"/g)].map(([, code]) => code);
  expect(native.length).toBeGreaterThan(20);
  expect(Object.keys(codes)).toEqual(expect.arrayContaining(native));
});

test('every code has a page', () => {
  const missing = Object.keys(codes).filter((code) => !existsSync(new URL(`docs/errors/${code}.md`, root)));
  expect(missing).toEqual([]);
});

test('an error carries the exit status of its code', () => {
  const error = new IlsvrcError('E0203', 'shard train-000042.tar is 3.1 MB short', { hint: 'copy it again' });
  expect(error).toMatchObject({ code: 'E0203', exitCode: 3, hint: 'copy it again' });
  expect(error.info).toBeUndefined();
});

test('every page belongs to a code and bears its title', () => {
  for (const file of readdirSync(new URL('docs/errors/', root))) {
    const code = file.replace('.md', '') as keyof typeof codes;
    const [heading] = readFileSync(new URL(`docs/errors/${file}`, root), 'utf8').split('\n');
    expect(heading).toBe(`# ${code}: ${codes[code]?.title}`);
  }
});
