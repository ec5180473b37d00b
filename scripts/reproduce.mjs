// Whether a commit builds to the same bytes twice: `node scripts/reproduce.mjs [COMMIT]`. Two folders of different names get its
// files and nothing else; each builds the addon from the beginning. Status 1 where the hashes differ.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const commit = execFileSync('git', ['rev-parse', process.argv[2] ?? 'HEAD'], {
  cwd: root,
  encoding: 'utf8',
}).trim();
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-reproduce-'));

/** Builds the commit in a folder; the hash and the size of the addon. */
function build(name) {
  const folder = join(place, name);
  mkdirSync(folder);
  const files = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 1 << 30 });
  execFileSync('tar', ['-x', '-C', folder], { input: files });
  // The tools alone: nothing of them gets into the addon.
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  // cargo would build into one folder for both.
  const { CARGO_TARGET_DIR: _, ...env } = process.env;
  const { status } = spawnSync(process.execPath, ['scripts/build-addon.mjs'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error(`the build in ${folder} ended with status ${status}`);
  const [addon] = globSync('packages/engine/native/*.node', { cwd: folder });
  const bytes = readFileSync(join(folder, addon));
  return { folder, bytes, hash: createHash('sha256').update(bytes).digest('hex') };
}

const [one, two] = ['one', 'another-folder'].map(build);
for (const { folder, bytes, hash } of [one, two]) console.log(`${hash}  ${bytes.length} bytes  ${folder}`);
if (one.hash === two.hash) {
  console.log(`${commit}: the same bytes`);
  rmSync(place, { recursive: true });
} else {
  const first = one.bytes.findIndex((byte, at) => byte !== two.bytes[at]);
  console.log(`${commit}: they differ from byte ${first} on; both folders are kept`);
  process.exitCode = 1;
}
