/**
 * The programs in docs/api: the `ts` blocks of each page are one program. All are checked by the compiler, then run in a folder
 * that they share, and must print what the page's `text` block says, where numbers may be others and `[WILDCARD]` is anything.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
/** Below the root, so that its packages are found; Node takes no TypeScript from node_modules. */
const programs = join(root, 'target/api-docs');
const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-api-docs-'));
const pages = ['README', 'dataset', 'engine', 'trainer', 'evaluator', 'retrieval'];

function blocks(page: string, language: string): string {
  const text = readFileSync(join(root, `docs/api/${page}.md`), 'utf8');
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , code]) => code)
    .join('\n');
}

const withoutNumbers = (text: string) => text.replaceAll(/\d+(\.\d+)?/g, '0');

function pattern(expected: string): RegExp {
  const literal = (text: string) => withoutNumbers(text).replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${expected.split('[WILDCARD]').map(literal).join('.*')}$`);
}

const run = promisify(execFile);

mkdirSync(programs, { recursive: true });
for (const page of pages) writeFileSync(join(programs, `${page}.ts`), blocks(page, 'ts'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the programs have no type errors', async () => {
  const compilerOptions = { noEmit: true, composite: false, declarationMap: false, types: ['node'] };
  const config = { extends: '../../tsconfig.base.json', compilerOptions, include: ['*.ts'] };
  writeFileSync(join(programs, 'tsconfig.json'), JSON.stringify(config));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const { stdout } = await run(process.execPath, [tsc, '-p', programs]).catch(({ stdout }) => ({ stdout }));
  expect(stdout).toBe('');
});

test.each(pages)('docs/api/%s.md', async (page) => {
  const { stdout } = await run(process.execPath, [join(programs, `${page}.ts`)], { cwd: folder });
  expect(withoutNumbers(stdout)).toMatch(pattern(blocks(page, 'text')));
});
