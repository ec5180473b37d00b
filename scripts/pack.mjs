// Packs everything that is published: `node scripts/pack.mjs OUT [ADDONS]`, after `npm run build`. Each `ilsvrc.<platform>.node` in
// ADDONS (default: packages/engine/native) becomes a package of its own, of which npm installs the one that fits.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const home = 'https://github.com/ilsvrc/ilsvrc';

/** What npm calls each platform; the names are those of the addon's loader. */
const platforms = {
  'linux-x64-gnu': { os: ['linux'], cpu: ['x64'], libc: ['glibc'] },
  'linux-arm64-gnu': { os: ['linux'], cpu: ['arm64'], libc: ['glibc'] },
  'darwin-x64': { os: ['darwin'], cpu: ['x64'] },
  'darwin-arm64': { os: ['darwin'], cpu: ['arm64'] },
  'win32-x64-msvc': { os: ['win32'], cpu: ['x64'] },
};

const [out = '', addons = join(root, 'packages/engine/native')] = process.argv.slice(2);
if (out === '') throw new Error('usage: node scripts/pack.mjs OUT [ADDONS]');
mkdirSync(out, { recursive: true });
const stage = mkdtempSync(join(tmpdir(), 'ilsvrc-pack-'));

/** Packs a folder's files with another manifest. */
function pack(name, manifest, fill) {
  const folder = join(stage, name);
  mkdirSync(folder);
  fill(folder);
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  writeFileSync(join(folder, 'README.md'), `# ${manifest.name}\n\n${manifest.description}. See ${home}.\n`);
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  execFileSync('npm', ['pack', '--silent', '--pack-destination', resolve(out)], {
    cwd: folder,
    shell: process.platform === 'win32',
  });
}

try {
  const { version } = JSON.parse(readFileSync(join(root, 'packages/engine/package.json'), 'utf8'));
  const repository = { type: 'git', url: `git+${home}.git` };
  const found = readdirSync(addons).flatMap((file) => /^ilsvrc\.(.+)\.node$/.exec(file)?.[1] ?? []);
  if (found.length === 0) throw new Error(`${addons} holds no addon: npm run build`);
  for (const platform of found) {
    if (!(platform in platforms)) throw new Error(`no package is known for ${platform}`);
    const file = `ilsvrc.${platform}.node`;
    const manifest = {
      name: `@ilsvrc/engine-${platform}`,
      version,
      description: `The native engine of ilsvrc for ${platform}`,
      license: 'MIT',
      repository,
      main: file,
      files: [file],
      engines: { node: '>=22.18' },
      ...platforms[platform],
      publishConfig: { access: 'public' },
    };
    pack(`engine-${platform}`, manifest, (folder) => cpSync(join(addons, file), join(folder, file)));
  }
  for (const name of readdirSync(join(root, 'packages'))) {
    const source = join(root, 'packages', name);
    const {
      scripts: _,
      devDependencies: __,
      napi: ___,
      ...manifest
    } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
    manifest.repository = { ...repository, directory: `packages/${name}` };
    if (name === 'engine') {
      // Not in the repository: these do not exist before they are published, and a lock cannot name them.
      manifest.optionalDependencies = Object.fromEntries(
        found.map((platform) => [`@ilsvrc/engine-${platform}`, version]),
      );
    }
    pack(name, manifest, (folder) => {
      for (const part of ['assets', 'bin', 'dist', 'native']) {
        const from = join(source, part);
        const keep = (path) => !basename(path).endsWith('.node');
        if (existsSync(from)) cpSync(from, join(folder, part), { recursive: true, filter: keep });
      }
      // Errors and help name pages: they lie beside the program that prints them.
      if (name === 'cli') cpSync(join(root, 'docs'), join(folder, 'docs'), { recursive: true });
    });
  }
} finally {
  rmSync(stage, { recursive: true, force: true });
}
for (const file of readdirSync(out).sort()) console.log(join(out, file));
