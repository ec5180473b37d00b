/**
 * Times preparation and loading in our engine and in its peers (sharp, OpenCV, torchvision), alternately, on this machine.
 *
 *     npm run build && node bench/prep.ts
 *
 * Writes `prep-cpu.json` and `prep-cpu.md`. What the figures mean: bench/README.md.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bench, generatePhotos, machine, type PrepRequest, prep, watchOthers } from '@ilsvrc/engine';
import { installPython, root, run, spread } from './tools.ts';

const { values } = parseArgs({
  options: {
    photos: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '3' },
    /** A Python that has requirements.txt of peers/prep; without it a throw-away environment is made. */
    python: { type: 'string' },
    /** A folder where sharp is installed; without it the newest is installed into a throw-away one. */
    sharp: { type: 'string' },
    out: { type: 'string', default: join(root, 'bench', 'results') },
  },
});

/** What a run of a competitor says. */
interface Timed {
  images: number;
  seconds: number;
  version: string;
}

/** Somebody who does the work; `run` gives images a second. */
interface Competitor {
  name: string;
  run(): Promise<number>;
}

const cores = availableParallelism();
const peers = join(root, 'bench/peers/prep');
const directory = mkdtempSync(join(tmpdir(), 'ilsvrc-bench-'));
const photos = join(directory, 'photos');
const versions = new Map<string, string>();
const skipped: { peer: string; reason: string }[] = [];

/** A place to write that is empty. */
function fresh(name: string): string {
  const path = join(directory, name);
  rmSync(path, { recursive: true, force: true });
  return path;
}

/** Images a second that a program printed, its version noted. */
function rate(peer: string, printed: string): number {
  const { images, seconds, version }: Timed = JSON.parse(printed);
  versions.set(peer, version);
  return images / seconds;
}

/** A peer, or nothing where it cannot be installed here. */
function available<T>(peer: string, install: () => T): T | undefined {
  try {
    return install();
  } catch (error) {
    skipped.push({ peer, reason: error instanceof Error ? error.message : String(error) });
    return undefined;
  }
}

/** What `ilsvrc prep` asks for. */
const request = (source: string, out: string, workers: number): PrepRequest => ({
  sources: [source],
  out,
  name: 'bench',
  size: 256,
  resize: 'crop',
  exif_rotate: false,
  quality: 85,
  workers,
  seed: 0,
  shard_images: 1000,
  max_rejected: 0,
  force: false,
  part: null,
  layout: null,
  names: null,
  recipe: null,
});

/** The photos four times, so that an epoch is long enough to be timed. */
function fourfold(): string {
  const folder = fresh('fourfold');
  mkdirSync(folder);
  for (const name of ['a', 'b', 'c', 'd']) symlinkSync(photos, join(folder, name));
  return folder;
}

const ours = (workers: number): Competitor => ({
  name: `ilsvrc, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
  run: async () => {
    const start = performance.now();
    const { kept } = await prep(request(photos, fresh('ours'), workers));
    return (1000 * kept) / (performance.now() - start);
  },
});

/** libvips' threads for an image, and images under way at once. */
const sharpSettings = [
  [1, cores],
  [1, 2 * cores],
  [cores, 1],
  [cores, cores],
] as const;

function runSharp(
  installed: string,
  kernel: string,
  [threads, flight]: readonly [number, number],
  limit: string[],
) {
  const script = [join(peers, 'sharp.mjs'), installed, photos, fresh('sharp'), kernel];
  const args = [...script, String(threads), String(flight), ...limit];
  return rate('sharp', run(process.execPath, args, { UV_THREADPOOL_SIZE: String(Math.max(4, flight)) }));
}

/** sharp with the settings that did best on a part of the photos: `linear` is the filter that ours is, `nearest` the fastest. */
function sharpPeers(installed: string): Competitor[] {
  return ['linear', 'nearest'].map((kernel) => {
    const tried = sharpSettings.map((setting) => ({
      setting,
      rate: runSharp(installed, kernel, setting, ['400']),
    }));
    const { setting } = tried.reduce((best, one) => (one.rate > best.rate ? one : best));
    const [threads, flight] = setting;
    return {
      name: `sharp, kernel ${kernel}, concurrency ${threads}, ${flight} at once`,
      run: async () => runSharp(installed, kernel, setting, []),
    };
  });
}

function pythonPeers(python: string): { prep: Competitor[]; load: Competitor[] } {
  const script = (peer: string, name: string, ...args: string[]) =>
    rate(peer, run(python, [join(peers, name), ...args]));
  const cv2 = (filter: string): Competitor => ({
    name: `cv2, INTER_${filter.toUpperCase()}, ${cores} processes`,
    run: async () => script('cv2', 'cv2_prep.py', photos, fresh('cv2'), filter, String(cores)),
  });
  const torch = (how: string, folder: string, name: string): Competitor => ({
    name: `torchvision, ${name}, ${cores} workers`,
    run: async () => script('torchvision', 'torch_load.py', folder, how, String(cores), '2'),
  });
  return {
    prep: [cv2('area'), cv2('linear')],
    load: [
      torch('crop', join(directory, 'prepared'), 'RandomCrop of 256 px JPEGs'),
      torch('usual', photos, 'RandomResizedCrop of 500 x 375 px JPEGs, f32'),
    ],
  };
}

/** Writes the images of a data set as `<class>/<key>.jpg`: what ImageFolder reads. */
function unpack(dataset: string, folder: string): void {
  const indexes = readdirSync(dataset).filter((name) => name.endsWith('.index.json'));
  for (const index of indexes) {
    const { shard, images } = JSON.parse(readFileSync(join(dataset, index), 'utf8'));
    const bytes = readFileSync(join(dataset, shard));
    for (const [key, offset, length, label] of images) {
      mkdirSync(join(folder, String(label)), { recursive: true });
      writeFileSync(join(folder, String(label), `${key}.jpg`), bytes.subarray(offset, offset + length));
    }
  }
}

/** Our loader over a warm data set; its own benchmark has more to say. */
const ourLoader = (dataset: string): Competitor => ({
  name: `ilsvrc, crops of 256 px JPEGs in shards, ${cores} threads`,
  run: async () => {
    const { measurements } = await bench({ names: ['load'], quick: true, from: dataset });
    return spread(measurements.find(({ name }) => name === 'load/whole/224')?.samples ?? []).median;
  },
});

/** Everybody in turn, for some rounds; the first of `competitors` is what ratios are of. */
async function compete(title: string, competitors: Competitor[]) {
  const samples = competitors.map(() => [] as number[]);
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const [index, competitor] of competitors.entries()) {
      process.stderr.write(`${title}, round ${round + 1} of ${values.rounds}: ${competitor.name}\n`);
      samples[index]?.push(await competitor.run());
    }
  }
  return competitors.map(({ name }, index) => ({
    name,
    ...spread(samples[index] ?? []),
    samples: samples[index],
  }));
}

type Rows = Awaited<ReturnType<typeof compete>>;

async function measure() {
  process.stderr.write('drawing photos\n');
  const options = { out: photos, images: Number(values.photos), seed: 0, workers: cores };
  const { bytes } = await generatePhotos(options);
  const installSharp = () => {
    const folder = join(directory, 'npm');
    run('npm', ['install', '--no-audit', '--no-fund', '--silent', '--prefix', folder, 'sharp@latest']);
    return folder;
  };
  const sharp = available('sharp', () => sharpPeers(values.sharp ?? installSharp()));
  const requirements = 'bench/peers/prep/requirements.txt';
  const python = available('cv2, torchvision', () =>
    pythonPeers(values.python ?? installPython(directory, requirements)),
  );

  const others = watchOthers();
  const workers = cores === 1 ? [1] : [cores, 1];
  const preparing = await compete('prep', [...workers.map(ours), ...(sharp ?? []), ...(python?.prep ?? [])]);
  const dataset = fresh('dataset');
  await prep(request(fourfold(), dataset, cores));
  if (python !== undefined) {
    const once = fresh('once');
    await prep(request(photos, once, cores));
    unpack(once, join(directory, 'prepared'));
  }
  const loading = await compete('load', [ourLoader(dataset), ...(python?.load ?? [])]);
  const { measurements, machine: measured } = await bench({ names: ['prep', 'load'], quick: true });
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: { ...machine(), ...measured, others: others() },
    versions: Object.fromEntries(versions),
    skipped,
    photos: { size: [500, 375], bytes: statisticsOf(bytes) },
    prep: preparing,
    load: loading,
    /** Stages alone and ceilings, from `ilsvrc bench`, after the comparison. */
    stages: measurements.map(({ name, unit, samples, limit }) => ({ name, unit, ...spread(samples), limit })),
  };
}

function statisticsOf(bytes: number[]) {
  const mean = bytes.reduce((sum, length) => sum + length, 0) / bytes.length;
  const square = bytes.reduce((sum, length) => sum + (length - mean) ** 2, 0) / bytes.length;
  return { count: bytes.length, mean, deviation: Math.sqrt(square) };
}

function table(rows: Rows): string[] {
  const [first] = rows;
  return [
    '| | n | median images/s | slowest - fastest | the first is faster by |',
    '|---|---:|---:|---:|---:|',
    ...rows.map(({ name, n, median, low, high }) => {
      const ratio =
        first === undefined || name === first.name ? '' : `${(first.median / median).toFixed(2)}x`;
      return `| ${name} | ${n} | ${median.toFixed(0)} | ${low.toFixed(0)} - ${high.toFixed(0)} | ${ratio} |`;
    }),
    '',
  ];
}

function markdown(result: Awaited<ReturnType<typeof measure>>): string {
  const { machine, versions, photos, skipped } = result;
  const peaks = machine.fma_peak.map(({ one_thread, all_threads }) =>
    [one_thread, all_threads].map(Math.round).join(' / '),
  );
  const { count, mean, deviation } = photos.bytes;
  return [
    '# Preparation and loading',
    '',
    `${machine.cpu}, ${machine.cores} cores, ${machine.memory_gib} GiB; ${machine.system}, node ${machine.node}; ` +
      `${Object.values(versions).join('; ')}; ${result.date}. FMA peak of one thread / all, before and after the stages: ${peaks.join(', ')} GFLOP/s. ` +
      `Others kept ${machine.others.toFixed(1)} cores busy meanwhile.`,
    '',
    `${count} photos of ${photos.size.join(' x ')} pixels, ${(mean / 1000).toFixed(1)} kB each in the mean (deviation ${(deviation / 1000).toFixed(1)} kB).`,
    '',
    ...skipped.map(({ peer, reason }) => `Not measured: ${peer} (${reason}).\n`),
    '## Photos to 256 x 256 JPEGs of quality 85',
    '',
    ...table(result.prep),
    '## Batches of 128 crops of 224 pixels',
    '',
    ...table(result.load),
    '## Stages alone, one thread, in the same run',
    '',
    '| | n | median images/s | slowest - fastest | of limit |',
    '|---|---:|---:|---:|---:|',
    ...result.stages.map(({ name, n, median, low, high, limit }) => {
      const share = limit === null ? '' : `${((100 * median) / limit.value).toFixed(0)} % of ${limit.name}`;
      return `| ${name} | ${n} | ${median.toFixed(0)} | ${low.toFixed(0)} - ${high.toFixed(0)} | ${share} |`;
    }),
    '',
  ].join('\n');
}

try {
  const result = await measure();
  const text = markdown(result);
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, 'prep-cpu.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(join(values.out, 'prep-cpu.md'), text);
  process.stdout.write(text);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
