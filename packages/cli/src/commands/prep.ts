/** `ilsvrc prep`: photos of any layout to shards, mean image and manifest. */
import { availableParallelism } from 'node:os';
import { basename, extname, join } from 'node:path';
import { parsePart, readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import {
  checkDataset,
  inspectSources,
  knownData,
  mergeParts,
  type PrepSummary,
  prep,
  prepDefaults,
  verifyArchives,
} from '@ilsvrc/engine';
import { hasPictures, writeMean } from '@ilsvrc/report';
import { formatCount } from '@ilsvrc/terminal';
import { errorPage } from '../docs.ts';
import { examples } from '../examples.ts';
import { Output } from '../output.ts';
import { oneOf, real, whole } from '../parse.ts';
import {
  type Preparation,
  type PrepEvents,
  prepEvents,
  reportInspection,
  reportPart,
  reportSummary,
} from '../prep-report.ts';
import { expectAlone } from '../ranks.ts';
import { nearest } from '../suggest.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  base
    .argument('[source...]', 'folders or tar archives of photos; with --check or --merge a prepared data set')
    .optionsGroup('Where:')
    .option('-o, --out <dir>', 'folder to write (default: data/<name of the source>)')
    .option('--force', 'replace a folder that was prepared with other settings')
    .optionsGroup('What the source is:')
    .option('--layout <name>', 'one of the layouts in docs/prep.md (default: recognised)')
    .option('--names <file>', 'names of the classes, `<folder> <name>` a line')
    .option('--recipe <name>', 'a data set of datasets/ that source and result must agree with')
    .option('--verify', 'compare published archives with their MD5 first')
    .optionsGroup('Images:')
    .option('--size <px>', 'side of the square images', whole('--size', 8, 4096), prepDefaults.size)
    .option(
      '--resize <how>',
      'crop: the middle; warp: everything, squeezed',
      oneOf('--resize', ['crop', 'warp']),
      prepDefaults.resize,
    )
    .option('--exif-rotate', 'turn photos as their EXIF orientation says')
    .option('--quality <q>', 'of the JPEG files', whole('--quality', 1, 100), prepDefaults.quality)
    .option(
      '--max-rejected <share>',
      'undecodable images allowed',
      real('--max-rejected', 0, 1, true),
      prepDefaults.max_rejected,
    )
    .option('--seed <n>', 'shuffles; splits where the layout does not', whole('--seed', 0), prepDefaults.seed)
    .option(
      '--shard-images <n>',
      'images a shard holds',
      whole('--shard-images', 1, 100_000),
      prepDefaults.shard_images,
    )
    .optionsGroup('Work:')
    .option('--workers <n>', 'threads (default: one a core)', whole('--workers', 1, 1024))
    .option('--dry-run', 'say what is there and what it would take')
    .option('--part <i/n>', 'only this part, or `auto` under Slurm, Open MPI or torchrun')
    .option('--merge', 'join the parts in a folder')
    .option('--check', 'verify the checksums of a prepared data set')
    .option('--repair', 'with --check: make again what is damaged')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc prep photos/', 'photos/<class>/*.jpg or photos/train/<class>/, photos/val/<class>/'],
        ['ilsvrc prep imagenette.tar --size 72', 'for --net alexnet-64'],
        ['ilsvrc prep ILSVRC2012_*.tar* -o data/imagenet', "ImageNet's own archives, read in place"],
        [
          'srun -n 16 ilsvrc prep photos/ -o /shared/set --part auto',
          'then: ilsvrc prep --merge /shared/set',
        ],
        ['ilsvrc prep --check data/photos --repair', 'whether it is still whole, and if not, mend it'],
      ]),
    )
    .action(async (given, options) => {
      const output = new Output(options);
      const [first] = given;
      if (first === undefined) {
        throw new IlsvrcError('E0104', 'the argument SOURCE is missing', {
          info: 'it is the folder or the tar archive that holds your photos',
          hint: '`ilsvrc prep photos/`, or `ilsvrc demo` to try it without any',
        });
      }
      if (options.part === undefined) {
        expectAlone(
          '`prep` without --part',
          options.check || options.merge ? undefined : 'add `--part auto`: each prepares its own part',
        );
      }
      const workers = options.workers ?? availableParallelism();
      if (options.repair && !options.check) {
        throw new IlsvrcError('E0103', '--repair needs --check', {
          hint: `\`ilsvrc prep --check ${first} --repair\``,
        });
      }
      if (options.check) {
        for (const folder of given)
          await check({ folder, repair: options.repair ?? false, workers }, output, signal);
        return output.finish();
      }
      if (options.merge) {
        for (const folder of given) await written(folder, await mergeParts(folder), output);
        return output.finish();
      }
      const { layouts, recipes } = knownData();
      const name = basename(first, extname(first)) || 'photos';
      const request: Preparation = {
        sources: given,
        out: options.out ?? join('data', name),
        name,
        size: options.size,
        resize: options.resize,
        exif_rotate: options.exifRotate ?? false,
        quality: options.quality,
        workers,
        seed: options.seed,
        shard_images: options.shardImages,
        max_rejected: options.maxRejected,
        force: options.force ?? false,
        part: options.part === undefined ? null : parsePart(options.part, process.env),
        layout: known('--layout', options.layout, layouts),
        names: options.names ?? null,
        recipe: known('--recipe', options.recipe, recipes),
      };
      if (options.verify) await verify(given, output, signal);
      if (options.dryRun) await dryRun(request, output, signal);
      else await write(request, output, signal);
      await output.finish();
    });

export default verb;

/** One of the names that the engine knows. */
function known(option: string, name: string | undefined, all: { name: string }[]): string | null {
  if (name === undefined || all.some((one) => one.name === name)) return name ?? null;
  const names = all.map((one) => one.name);
  const suggestion = nearest(name, names);
  throw new IlsvrcError('E0103', `${option} cannot be \`${name}\``, {
    info: `allowed: ${names.join(', ')}`,
    hint: suggestion === undefined ? undefined : `did you mean \`${option} ${suggestion}\`?`,
  });
}

async function write(request: Preparation, output: Output, signal: AbortSignal): Promise<void> {
  const { out, part } = request;
  const events: PrepEvents = prepEvents(output);
  const summary = await prep(request, { signal, onProgress: events.on }).finally(events.stop);
  if (part === null) return written(out, summary, output, request.size);
  if (output.isJson) {
    return output.document({ version: 1, out, part: `${part.index + 1}/${part.of}`, ...summary });
  }
  reportPart(summary, part, out, output);
  output.next([`ilsvrc prep --merge ${out}`]);
}

/** Closes a data set that is complete. */
async function written(out: string, summary: PrepSummary, output: Output, size?: number): Promise<void> {
  const manifest = await readManifest(out);
  if (hasPictures) await writeMean(out, manifest.size);
  else output.say(`no mean.png: the package sharp is not here (${errorPage('E0412')})`);
  if (output.isJson)
    return output.document({ version: 1, out, classes: manifest.classes.length, ...summary });
  reportSummary(summary, out, output, size ?? manifest.size);
}

async function dryRun(request: Preparation, output: Output, signal: AbortSignal): Promise<void> {
  const events: PrepEvents = prepEvents(output);
  const found = await inspectSources(request, { signal, onProgress: events.on }).finally(events.stop);
  await reportInspection(found, request, output);
}

async function verify(sources: string[], output: Output, signal: AbortSignal): Promise<void> {
  const progress = output.progress('MD5 of the archives');
  const archives = await verifyArchives(sources, {
    signal,
    onProgress: ({ done, total }) => progress.update(done, total),
  }).finally(() => progress.stop());
  const compared = archives.filter(({ found }) => found !== null);
  for (const { file, found } of compared) output.say(`${file} is the published one: MD5 ${found}`);
  if (compared.length === 0)
    output.say('no source has the name of a published archive: nothing was compared');
}

async function check(
  request: { folder: string; repair: boolean; workers: number },
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { folder } = request;
  await readManifest(folder);
  const progress = output.progress('checking');
  const report = await checkDataset(request, {
    signal,
    onProgress: ({ done, total }) => progress.update(done, total),
  }).finally(() => progress.stop());
  if (output.isJson) return output.document({ version: 1, dataset: folder, ok: true, ...report });
  for (const { file, reason } of report.damaged) output.data(`${file}: ${reason}`);
  if (report.repaired !== null) {
    const { shards, files } = report.repaired;
    output.data(
      `repaired ${formatCount(files.length)} files: ${formatCount(shards)} of ${formatCount(report.shards)} shards were made again`,
    );
  }
  output.data(`${folder} is whole: ${formatCount(report.images)} images`);
}
