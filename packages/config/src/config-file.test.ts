import { spawnSync } from 'node:child_process';
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

test('the program is found where its package is not installed beside the file', async () => {
  await write(
    "import { defineConfig } from 'ilsvrc';\nexport default defineConfig({ devices: '0,1', threads: 3 });\n",
  );
  // Without "type": "module" Node would have something to say.
  await writeFile(join(folder, 'package.json'), '{"name":"photos"}');
  // By Node itself: tests have a loader of their own.
  const program =
    "import { loadConfig } from '@ilsvrc/config'; console.log(JSON.stringify(await loadConfig(process.argv[1])))";
  const args = ['--input-type=module', '-e', program, folder];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({ devices: '0,1', threads: 3 });
});

test.each([
  ['export default { recipe: { epochs: 0 } }', /recipe\.epochs/],
  ["export default { net: 'alexnot' }", /net/],
  ["export default { devices: 'gpu' }", /devices: auto, cpu/],
  ['export default { threads: 0 }', /threads/],
  ["import 'ilsvrc-plugins'; export default {}", /ilsvrc-plugins/],
  ['export default {', /./],
])('E0105 for %s', async (text, info) => {
  await write(text);
  await expect(loadConfig(folder)).rejects.toMatchObject({
    code: 'E0105',
    info: expect.stringMatching(info),
  });
});
