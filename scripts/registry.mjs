// A registry on this machine that has the packages in a folder of tarballs, and sends everybody to another one for all others.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

/** Serves until the server is closed. */
export async function serve(folder, upstream) {
  const packages = new Map();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.tgz'))) {
    const bytes = readFileSync(join(folder, file));
    const text = execFileSync('tar', ['-xzO', 'package/package.json'], { input: bytes, encoding: 'utf8' });
    const manifest = JSON.parse(text);
    packages.set(manifest.name, { file, bytes, manifest });
  }
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url.slice(1).split('?')[0]);
    const here = `http://127.0.0.1:${server.address().port}`;
    const tarball = [...packages.values()].find(({ file }) => path === `-/${file}`);
    if (tarball !== undefined) return response.end(tarball.bytes);
    const found = packages.get(path);
    if (found === undefined) {
      response.writeHead(307, { location: new URL(request.url.slice(1), upstream).href });
      return response.end();
    }
    const { file, bytes, manifest } = found;
    const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
    const version = { ...manifest, dist: { tarball: `${here}/-/${file}`, integrity } };
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        name: path,
        'dist-tags': { latest: manifest.version },
        versions: { [manifest.version]: version },
      }),
    );
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, packages, url: `http://127.0.0.1:${server.address().port}/` };
}
