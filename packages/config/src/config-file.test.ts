import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadConfig } from './config-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ilsvrc-config-'));
});
afterEach(() => rm(folder, { recursive: true }));

const write = (text: string) => writeFile(join(folder, 'ilsvrc.config.ts'), text);

test('no file, no configuration', async () => {
  expect(await loadConfig(folder)).toBeUndefined();
});

test('a TypeScript file is read with its types', async () => {
  await write("const net: string = 'alexnet-64';\nexport default { net, recipe: { epochs: 3 } };\n");
  expect(await loadConfig(folder)).toEqual({ net: 'alexnet-64', recipe: { epochs: 3 } });
});

test.each([
  ['export default { recipe: { epochs: 0 } }', /recipe\.epochs/],
  ["export default { net: 'alexnot' }", /net/],
  ['export default {', /./],
])('E0105 for %s', async (text, info) => {
  await write(text);
  await expect(loadConfig(folder)).rejects.toMatchObject({
    code: 'E0105',
    info: expect.stringMatching(info),
  });
});
