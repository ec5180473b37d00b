/**
 * Writes `results/README.md`, the one table of everything that was measured, from the JSON files beside it.
 *
 *     node bench/results.ts
 *
 * A test (`results.test.ts`) compares, so the table is what the files say.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Result, type Row, resultsFolder, type Skipped, spread, table } from './tools.ts';

/** What a document says of itself. */
interface Facts {
  versions: string[];
  skipped: Skipped[];
  /** GFLOP/s. */
  fma_peak: number[];
  rows: Row[];
}

// biome-ignore lint/suspicious/noExplicitAny: a reader per file knows the shape that its command writes.
type Document = any;

interface File {
  /** `NAME.json`. */
  name: string;
  command: string;
  /** What the capitals in the command stand for. */
  where?: string;
  /** `NAME.md` says more. */
  detail?: boolean;
  /** Of a file that times something. */
  read?: (document: Document) => Facts;
}

/** What `writeResult` of tools.ts wrote. */
const contest = ({ versions, skipped, fma_peak, rows }: Result): Facts => ({
  ...{ versions, skipped, rows },
  fma_peak: fma_peak.flatMap(({ before, after }) => [before, after]),
});

/** Rows of one work in images or queries a second, the first of them ours. */
function compared(
  work: string,
  unit: string,
  measured: ({ who: string } & ReturnType<typeof spread>)[],
): Row[] {
  const [ours] = measured;
  return measured.map(({ who, n, median, low, high }) => ({
    ...{ work, who, unit, n, median, low, high },
    ...(ours !== undefined && !who.startsWith('ilsvrc') && { ratio: ours.median / median }),
  }));
}

function prep({ versions, skipped, machine, prep, load }: Document): Facts {
  const rows = (work: string, list: Document[]) =>
    compared(
      work,
      'images/s',
      list.map(({ name, ...figures }) => ({ who: name, ...figures })),
    );
  return {
    versions: Object.values(versions),
    skipped,
    fma_peak: machine.fma_peak.map(({ all_threads }: Document) => all_threads),
    rows: [...rows('photos to 256 px JPEGs', prep), ...rows('batches of 128 crops of 224 px', load)],
  };
}

function search({ versions, sets, batch }: Document): Facts {
  const rows = sets.flatMap(({ name, rows }: Document) =>
    ['one', 'batch'].flatMap((how) =>
      compared(
        `ten nearest of ${name}, ${how === 'one' ? 'one query' : `${batch} queries`} at a time`,
        'queries/s',
        rows.map((row: Document) => ({
          who: `${row.name} (recall ${row.recall.toFixed(4)})`,
          ...spread(row[how]),
        })),
      ),
    ),
  );
  return { versions: [versions], skipped: [], fma_peak: [], rows };
}

function evaluation({ rows, bars }: Document): Facts {
  const of = (row: Document): Row[] => {
    const work = `${row.net}, evaluation of prepared photos`;
    const figures = ({ n, median, low, high }: Document) => ({ unit: 'images/s', n, median, low, high });
    return [
      { work, who: 'ilsvrc, one view', ...figures(row.one_view_images_per_second) },
      { work, who: 'ilsvrc, ten views', ...figures(row.ten_views_images_per_second) },
      {
        ...{ work, who: 'the forward pass alone', ...figures(row.forward_images_per_second) },
        ...{ ratio: row.share_of_forward.median, bar: bars.share_of_forward },
      },
    ];
  };
  return { versions: [], skipped: [], fma_peak: [], rows: rows.flatMap(of) };
}

/** Every file there is or can be, in the order of the table. */
export const files: File[] = [
  { name: 'step-alexnet', command: 'node bench/step.ts', read: contest },
  { name: 'step-cifar-80sec', command: 'node bench/step.ts --preset cifar-80sec', read: contest },
  { name: 'forward', command: 'node bench/forward.ts', read: contest },
  { name: 'limits', command: 'node bench/limits.ts', read: contest },
  { name: 'tfjs', command: 'node bench/tfjs.ts', read: contest },
  {
    name: 'ranks-alexnet-64',
    command: 'node bench/ranks.ts DATASET',
    where: '`DATASET`: Imagenette prepared by `--size 72`',
    read: contest,
  },
  {
    name: 'epoch',
    command: 'ilsvrc prep imagenette -o data/im256 && node bench/epoch.ts data/im256',
    read: contest,
  },
  { name: 'estimate', command: 'node bench/estimate.ts', read: contest },
  { name: 'prep-cpu', command: 'node bench/prep.ts --photos 1000', detail: true, read: prep },
  {
    name: 'search',
    command: 'node bench/search.ts --model MODEL --data data/im',
    where: 'MODEL: `alexnet-64` of `bench/ablate.ts`',
    detail: true,
    read: search,
  },
  {
    name: 'eval',
    command: 'node bench/eval.ts alexnet=DATA alexnet-64=DATA-72',
    where: 'DATA: 480 photos, prepared; DATA-72: at `--size 72`',
    detail: true,
    read: evaluation,
  },
  { name: 'disk', command: 'node bench/disk.ts PHOTOS --sizes 256,220', detail: true },
  {
    name: 'learn-imagenette-64',
    command: 'ilsvrc prep imagenette -o data/im --size 72 && node bench/learn.ts imagenette-64 data/im',
  },
  {
    name: 'learn-cifar-80sec',
    command: 'ilsvrc prep cifar10 -o data/cifar --size 32 && node bench/learn.ts cifar-80sec data/cifar',
  },
  {
    name: 'learn-cifar-11pct',
    command: 'ilsvrc prep cifar10 -o data/cifar --size 32 && node bench/learn.ts cifar-11pct data/cifar',
  },
  { name: 'learn-activation', command: 'node bench/learn.ts activation data/cifar' },
  {
    name: 'ablate',
    command: 'ilsvrc prep imagenette -o data/im --size 72 && node bench/ablate.ts data/im runs-of-it',
    detail: true,
  },
  {
    name: 'learn-alexnet',
    command: 'ilsvrc prep imagenette -o data/im256 && node bench/learn.ts alexnet data/im256',
  },
  {
    name: 'winograd',
    command: 'ilsvrc prep cifar10 -o data/cifar --size 32 && node bench/winograd.ts data/cifar --steps 400',
    detail: true,
  },
  {
    name: 'localize',
    command: 'node bench/localize.ts BUILTIN-MODEL PHOTO-MODEL PHOTOS OTHERS',
    detail: true,
  },
  { name: 'interchange', command: 'node bench/interchange.ts --python PYTHON', detail: true },
];

const rounded = (values: number[]) => values.map(Math.round).join(', ');

/** One line of where and with what, from the document. */
function origin({ name, read }: File, document: Document): string {
  const { date, machine } = document;
  const facts = read?.(document);
  const others = machine?.others ?? document.others;
  const parts = [
    machine &&
      `${machine.cpu}, ${machine.cores} cores, ${machine.memory_gib} GiB; ${machine.system}, node ${machine.node}`,
    ...(facts?.versions ?? []),
    facts?.fma_peak.length && `FMA peak ${rounded(facts.fma_peak)} GFLOP/s`,
    others !== undefined && `others kept ${others.toFixed(1)} cores busy meanwhile`,
    ...(facts?.skipped ?? []).map(({ peer, reason }) => `not measured: ${peer} (${reason.split('\n')[0]})`),
  ];
  return `- \`${name}.json\`, ${[date, ...parts].filter(Boolean).join('; ')}.`;
}

/** The text of `README.md` of the folder. */
export function render(folder: string): string {
  const documents = new Map<File, Document>();
  for (const file of files) {
    const path = join(folder, `${file.name}.json`);
    if (existsSync(path)) documents.set(file, JSON.parse(readFileSync(path, 'utf8')));
  }
  const measured = [...documents];
  const rows = measured.flatMap(([{ read }, document]) => read?.(document).rows ?? []);
  const line = (file: File) => {
    const kinds = [`[json](${file.name}.json)`, ...(file.detail ? [`[md](${file.name}.md)`] : [])].join(', ');
    return `| ${file.name} | ${documents.has(file) ? kinds : 'not measured yet'} | \`${file.command}\`${file.where ? `; ${file.where}` : ''} |`;
  };
  return [
    '# Results',
    '',
    '`node bench/results.ts` writes this page from the JSON files beside it. Everything in a row was measured in turns with its',
    'neighbours, in one run; what the works are and how peers are set up: [bench/README.md](../README.md). "We are faster by" is of',
    'medians; the bar stands with the fastest of several that do the same.',
    '',
    table(rows),
    '## Where and when',
    '',
    ...measured.map(([file, document]) => origin(file, document)),
    '',
    '## Which command makes which file',
    '',
    '`npm run build` first. Without a row above: files that hold error rates, sizes and agreement rather than speeds.',
    '',
    '| | | command |',
    '|---|---|---|',
    ...files.map(line),
    '| gpu-NAME | [what it is](gpu.md) | `bench/gpu/build.sh`, and `run.sh` on a machine with a GPU |',
    '',
    '`learn-*.json` hold every epoch as `train --json` told it, the losses of the first 60 steps, and the evaluation. Their times are of a',
    'machine that other work shared now and then.',
    '',
  ].join('\n');
}

if (import.meta.main) writeFileSync(join(resultsFolder, 'README.md'), render(resultsFolder));
