/** `ilsvrc prep`: photos of any layout to shards, mean image and manifest. */
import { availableParallelism } from 'node:os';
import { basename, extname, join } from 'node:path';
import { isPreset, presets } from '@ilsvrc/config';
import { buildPlan, readManifest } from '@ilsvrc/dataset';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { checkDataset, type PrepPlan, type PrepSummary, prep } from '@ilsvrc/engine';
import { writeMean } from '@ilsvrc/report';
import { formatBytes, formatCount, formatDuration, formatPercent } from '@ilsvrc/terminal';
import { defaultNet } from '../defaults.ts';
import { examples } from '../examples.ts';
import { Output } from '../output.ts';
import { oneOf, real, whole } from '../parse.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  base
    .argument('[source...]', 'folders or tar archives of photos; with --check a prepared data set')
    .optionsGroup('Where:')
    .option('-o, --out <dir>', 'folder to write (default: data/<name of the source>)')
    .option('--force', 'replace a folder that was prepared with other settings')
    .option('--names <file>', 'names of the classes, `<folder> <name>` a line')
    .optionsGroup('Images:')
    .option('--size <px>', 'side of the square images', whole('--size', 8, 4096), 256)
    .option(
      '--resize <how>',
      'crop: the middle; warp: everything, squeezed',
      oneOf('--resize', ['crop', 'warp']),
      'crop',
    )
    .option('--quality <q>', 'of the JPEG files', whole('--quality', 1, 100), 85)
    .option('--max-rejected <share>', 'undecodable images allowed', real('--max-rejected', 0, 1, true), 0.01)
    .option('--seed <n>', 'shuffles; splits where the layout does not', whole('--seed', 0), 0)
    .option('--shard-images <n>', 'images a shard holds', whole('--shard-images', 1, 1_000_000), 1000)
    .optionsGroup('Work:')
    .option('--workers <n>', 'threads (default: one a core)', whole('--workers', 1, 1024))
    .option('--dry-run', 'say what would be done')
    .option('--check', 'verify the checksums of a prepared data set')
    .addHelpText(
      'after',
      examples([
        ['ilsvrc prep photos/', 'photos/<class>/*.jpg or photos/train/<class>/, photos/val/<class>/'],
        ['ilsvrc prep imagenette.tar --size 72', 'for --net alexnet-64'],
        ['ilsvrc prep --check data/photos', 'whether it is still whole'],
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
      if (options.check) {
        for (const dataset of given) await check(dataset, output, signal);
        return output.finish();
      }
      const name = basename(first, extname(first)) || 'photos';
      const out = options.out ?? join('data', name);
      const listing = output.progress('listing');
      const plan = await buildPlan({
        sources: given,
        out,
        name,
        size: options.size,
        resize: options.resize,
        quality: options.quality,
        workers: options.workers ?? availableParallelism(),
        seed: options.seed,
        shardImages: options.shardImages,
        maxRejected: options.maxRejected,
        force: options.force ?? false,
        names: options.names,
      }).finally(() => listing.stop());
      if (options.dryRun) describe(plan, out, output);
      else await write(plan, out, output, signal);
      await output.finish();
    });

export default verb;

async function write(plan: PrepPlan, out: string, output: Output, signal: AbortSignal): Promise<void> {
  output.say(`${plan.layout}: ${describeImages(plan)}`);
  const progress = output.progress('preparing', 'images');
  const summary = await prep(plan, {
    signal,
    onProgress: ({ done, total, rejected }) =>
      progress.update(done, total, rejected > 0 ? `${formatCount(rejected)} rejected` : ''),
  }).finally(() => progress.stop());
  await writeMean(out, plan.size);
  if (output.isJson) return output.document({ version: 1, out, classes: plan.classes.length, ...summary });
  closing(summary, out, output);
  output.next([`ilsvrc train ${out}${netFor(plan.size)}`]);
}

/** The option that chooses a preset for images of another size than the default's. */
function netFor(size: number): string {
  const net = Object.keys(presets).find((name) => isPreset(name) && presets[name].net(2).image === size);
  return net === undefined || net === defaultNet ? '' : ` --net ${net}`;
}

function closing(summary: PrepSummary, out: string, output: Output): void {
  const { seen, kept, rejected, ignored } = summary;
  output.data(`${out}: ${formatCount(kept)} of ${formatCount(seen)} images, ${formatBytes(summary.bytes)}`);
  output.data(`${formatCount(summary.images_per_second)} images/s, ${formatDuration(summary.seconds)}`);
  if (rejected > 0)
    output.data(
      `rejected ${formatCount(rejected)} (${formatPercent(rejected / seen)}), listed in ${join(out, 'rejected.jsonl')}`,
    );
  if (summary.warnings > 0) output.data(`kept ${formatCount(summary.warnings)} that decode with a warning`);
  if (ignored > 0) output.data(`ignored ${formatCount(ignored)} other files`);
  if (summary.resumed_shards > 0)
    output.data(`went on: ${formatCount(summary.resumed_shards)} shards were there already`);
}

function describe(plan: PrepPlan, out: string, output: Output): void {
  const [train = 0, val = 0] = plan.splits.map(({ items }) => items.length);
  const classes = plan.classes.length;
  if (output.isJson) {
    const { layout, ignored } = plan;
    output.document({ version: 1, dry_run: true, out, layout, train, val, classes, ignored });
    return;
  }
  output.data(`layout   ${plan.layout}`);
  output.data(`images   ${describeImages(plan)}`);
  output.data(
    `classes  ${plan.classes
      .slice(0, 8)
      .map(({ name }) => name)
      .join(', ')}${classes > 8 ? ' …' : ''}`,
  );
  output.data(`ignored  ${formatCount(plan.ignored)} other files`);
  output.data(`would write ${out}`);
}

function describeImages({ splits, classes }: PrepPlan): string {
  const parts = splits.map(({ name, items }) => `${formatCount(items.length)} ${name}`);
  return `${parts.join(' + ')}, ${formatCount(classes.length)} classes`;
}

async function check(dataset: string, output: Output, signal: AbortSignal): Promise<void> {
  const manifest = await readManifest(dataset);
  const progress = output.progress('checking');
  await checkDataset(dataset, {
    signal,
    onProgress: ({ done, total }) => progress.update(done, total, ''),
  }).finally(() => progress.stop());
  const images = manifest.splits.reduce((sum, split) => sum + split.images, 0);
  if (output.isJson) output.document({ version: 1, dataset, images, ok: true });
  else output.data(`${dataset} is whole: ${formatCount(images)} images`);
}
