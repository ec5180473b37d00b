// Photos of a folder to 256 x 256 JPEGs by sharp, as fast as it can:
// `node sharp.mjs INSTALLED FOLDER OUT KERNEL THREADS FLIGHT [LIMIT]`.
// INSTALLED is where sharp was installed; THREADS are libvips' for one image; FLIGHT images are under way at once (the
// environment's UV_THREADPOOL_SIZE must be as large). LIMIT takes fewer photos. Prints {images, seconds, version}.
import { mkdirSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [installed, folder, out, kernel, threads, flight, limit] = process.argv.slice(2);
const sharp = createRequire(join(installed, 'package.json'))('sharp');
sharp.cache(false);
sharp.concurrency(Number(threads));
const files = readdirSync(folder, { recursive: true })
  .filter((name) => name.endsWith('.jpg'))
  .sort()
  .slice(0, limit === undefined ? undefined : Number(limit));
mkdirSync(out, { recursive: true });

const prepare = (name) =>
  sharp(join(folder, name), { sequentialRead: true })
    .resize(256, 256, { fit: 'cover', position: 'centre', kernel, fastShrinkOnLoad: true })
    .jpeg({ quality: 85, chromaSubsampling: '4:2:0', optimiseCoding: false })
    .toFile(join(out, name.replaceAll(/[/\\]/g, '-')));

for (const name of files.slice(0, 20)) await prepare(name);
const start = performance.now();
let next = 0;
const worker = async () => {
  while (next < files.length) await prepare(files[next++]);
};
await Promise.all(Array.from({ length: Number(flight) }, worker));
const seconds = (performance.now() - start) / 1000;
const version = `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`;
console.log(JSON.stringify({ images: files.length, seconds, version }));
