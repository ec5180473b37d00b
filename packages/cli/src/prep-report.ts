/** What `ilsvrc prep` tells a person: what was found, how far it is, what came of it. */
import { statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isPreset, presets } from '@ilsvrc/config';
import type { Part } from '@ilsvrc/dataset';
import type { Description, Inspection, PrepEvent, PrepRequest, PrepSummary } from '@ilsvrc/engine';
import { formatBytes, formatCount, formatDuration, formatPercent } from '@ilsvrc/terminal';
import { defaultNet } from './defaults.ts';
import type { CountedProgress, Output } from './output.ts';

/** A request that leaves nothing open that is told of. */
export type Preparation = PrepRequest & { workers: number; part: Part | null };

/** Listens to a preparation. */
export interface PrepEvents {
  on(event: PrepEvent): void;
  stop(): void;
}

/** Shows the events of a preparation as they come. */
export function prepEvents(output: Output): PrepEvents {
  let progress: CountedProgress = output.progress('listing', 'files');
  return {
    on(event) {
      switch (event.event) {
        case 'listing':
          return progress.update(event.files, event.files);
        case 'found':
          progress.stop();
          output.say(`${event.layout}: ${images(event)}`);
          progress = output.progress('preparing', 'images');
          return;
        case 'changed': {
          const { added, removed, changed, kept_shards, shards } = event;
          const parts = [`${formatCount(added)} added`, `${formatCount(removed)} removed`];
          if (changed > 0) parts.push(`${formatCount(changed)} changed`);
          output.say(
            `photos have changed: ${parts.join(', ')}; ${formatCount(kept_shards)} of ${formatCount(shards)} shards stay`,
          );
          return;
        }
        case 'progress': {
          const { done, total, rejected } = event;
          progress.update(done, total, rejected > 0 ? `${formatCount(rejected)} rejected` : '');
        }
      }
    },
    stop: () => progress.stop(),
  };
}

/** The closing lines of a data set that is complete. */
export function reportSummary(summary: PrepSummary, out: string, output: Output, size: number): void {
  output.data(
    `${out}: ${formatCount(summary.kept)} images in ${formatCount(summary.shards)} shards, ${formatBytes(summary.bytes)}`,
  );
  account(summary, output, join(out, 'rejected.jsonl'));
  output.next([`ilsvrc train ${out}${netFor(size)}`]);
}

/** The closing lines of a part. */
export function reportPart(summary: PrepSummary, { index, of }: Part, out: string, output: Output): void {
  output.data(
    `part ${index + 1}/${of} of ${out}: ${formatCount(summary.kept)} images in ${formatCount(summary.shards)} shards, ${formatBytes(summary.bytes)}`,
  );
  account(summary, output);
}

/** Where every input went. */
function account(summary: PrepSummary, output: Output, list?: string): void {
  const { seen, kept, rejected, ignored } = summary;
  output.data(
    `seen ${formatCount(seen)} = kept ${formatCount(kept)} + rejected ${formatCount(rejected)} + ignored ${formatCount(ignored)}`,
  );
  if (summary.images_per_second > 0)
    output.data(`${formatCount(summary.images_per_second)} images/s, ${formatDuration(summary.seconds)}`);
  if (rejected > 0 && list !== undefined)
    output.data(`rejected ${formatPercent(rejected / (kept + rejected))}: reasons in ${list}`);
  if (summary.warnings > 0) output.data(`kept ${formatCount(summary.warnings)} that decode with a warning`);
  if (summary.rotations > 0)
    output.data(
      `${formatCount(summary.rotations)} carry an EXIF rotation (obeyed only with --exif-rotate, as is usual with ImageNet)`,
    );
  if (summary.resumed_shards > 0)
    output.data(
      `went on: ${formatCount(summary.resumed_shards)} of ${formatCount(summary.shards)} shards were there already`,
    );
}

/** What `--dry-run` says. */
export async function reportInspection(
  found: Inspection,
  request: Preparation,
  output: Output,
): Promise<void> {
  const { out, workers } = request;
  const { estimate, ...description } = found;
  const free = await freeSpace(out);
  if (output.isJson) {
    output.document({ version: 1, dry_run: true, out, ...description, estimate, free_bytes: free });
    return;
  }
  const more = found.classes > found.first_classes.length ? ' …' : '';
  const names = found.first_classes.map(({ name }) => name).join(', ');
  const ignored = Object.entries(found.ignored).map(([reason, files]) => `${formatCount(files)} ${reason}`);
  output.data(`layout    ${found.layout}`);
  output.data(`images    ${images(found)}, ${formatBytes(found.source_bytes)}`);
  output.data(`classes   ${names}${more}; numbered by ${found.class_order}`);
  if (found.boxes > 0)
    output.data(`boxes     ${formatCount(found.boxes)} in ${formatCount(found.boxed_images)} images`);
  output.data(`ignored   ${ignored.join(', ') || 'nothing'}`);
  if (found.rejected > 0) output.data(`rejected  ${formatCount(found.rejected)} before decoding`);
  output.data(
    `would write ${out}: about ${formatBytes(estimate.bytes)} in ${formatDuration(estimate.seconds)} with ${formatCount(workers)} threads; ${formatBytes(free)} are free there`,
  );
  if (estimate.bytes > free)
    output.say('that does not fit: choose a folder on another disk with --out, or a lower --quality');
}

/** Bytes free where `path` is or will be. */
async function freeSpace(path: string): Promise<number> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const found = await statfs(folder).catch(() => undefined);
    if (found !== undefined) return found.bavail * found.bsize;
    if (folder === dirname(folder)) return 0;
  }
}

/** The option that chooses a preset for images of another size than the default's. */
function netFor(size: number): string {
  const net = Object.keys(presets).find((name) => isPreset(name) && presets[name].net(2).image === size);
  return net === undefined || net === defaultNet ? '' : ` --net ${net}`;
}

function images({ splits, classes }: Description): string {
  const parts = splits.map((split) => `${formatCount(split.images)} ${split.name}`);
  return `${parts.join(' + ')}, ${formatCount(classes)} classes`;
}
