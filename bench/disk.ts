/**
 * What ImageNet takes on a disk when `prep` has made it: bytes an image of real photos, extrapolated to all of them.
 *
 *     npm run build && node bench/disk.ts PHOTOS [--sizes 256]
 *
 * PHOTOS is what `ilsvrc prep` reads. Writes `disk.json` and `disk.md`. What the figures mean: bench/README.md.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { prep } from '@ilsvrc/engine';
import { root } from './tools.ts';

/** Training images of ILSVRC 2012, and what the slides of 2012 say they take. */
const imagenet = { images: 1_281_167, slides_gb: 27 };
/** The side that they have there. */
const side = 256;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Sides to prepare at. Photos that are smaller than 256 px are measured better at their own size. */
    sizes: { type: 'string', default: String(side) },
    quality: { type: 'string', default: '85' },
    out: { type: 'string', default: join(root, 'bench', 'results') },
  },
});

const [source] = positionals;
if (source === undefined) throw new Error('usage: node bench/disk.ts PHOTOS [--sizes 256,220]');

/** Prepares the photos at `size` and adds up what was written. */
async function measure(photos: string, out: string, size: number) {
  const { kept } = await prep({
    sources: [photos],
    out,
    name: 'disk',
    size,
    resize: 'crop',
    exif_rotate: false,
    quality: Number(values.quality),
    workers: availableParallelism(),
    seed: 0,
    shard_images: 1000,
    max_rejected: 0.01,
    force: false,
    part: null,
    layout: null,
    names: null,
    recipe: null,
  });
  const files = readdirSync(out);
  const sum = (suffix: string) =>
    files
      .filter((name) => name.endsWith(suffix))
      .reduce((sum, name) => sum + statSync(join(out, name)).size, 0);
  const indexes = files.filter((name) => name.endsWith('.index.json'));
  const jpegs = indexes
    .flatMap((name): number[][] => JSON.parse(readFileSync(join(out, name), 'utf8')).images)
    .reduce((sum, [, , length = 0]) => sum + length, 0);
  const image = jpegs / kept;
  const overhead = (sum('.tar') + sum('.index.json') - jpegs) / kept;
  // A JPEG takes about as many bits a pixel whatever its size.
  const scaled = image * (side / size) ** 2;
  return {
    size,
    images: kept,
    jpeg_bytes: image,
    overhead_bytes: overhead,
    jpeg_bytes_at_256: scaled,
    gb: ((scaled + overhead) * imagenet.images) / 1e9,
  };
}

const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-disk-'));
try {
  const rows = [];
  for (const size of values.sizes.split(',').map(Number)) {
    rows.push(await measure(source, join(directory, String(size)), size));
  }
  const date = new Date().toISOString().slice(0, 10);
  const result = { date, photos: basename(source), quality: Number(values.quality), ...imagenet, rows };
  const text = [
    '# ImageNet on a disk',
    '',
    `${imagenet.images.toLocaleString('en-US')} images of ${side} x ${side} pixels at quality ${values.quality}, 4:2:0, from the photos of ` +
      `${basename(source)}; the slides of 2012 say ${imagenet.slides_gb} GB. ${date}.`,
    '',
    '| prepared at | photos | JPEG bytes | tar and index | JPEG bytes at 256 px | GB in all |',
    '|---:|---:|---:|---:|---:|---:|',
    ...rows.map(
      (row) =>
        `| ${row.size} px | ${row.images} | ${row.jpeg_bytes.toFixed(0)} | ${row.overhead_bytes.toFixed(0)} ` +
        `| ${row.jpeg_bytes_at_256.toFixed(0)} | ${row.gb.toFixed(1)} |`,
    ),
    '',
  ].join('\n');
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, 'disk.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(join(values.out, 'disk.md'), text);
  process.stdout.write(text);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
