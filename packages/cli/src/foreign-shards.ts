/** Shards that another program wrote, used as a data set where they lie. */
import { access, readdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { adoptShards } from '@ilsvrc/engine';
import { formatCount } from '@ilsvrc/terminal';
import type { Output } from './output.ts';

/** Indexes a folder that holds tar archives and no manifest; another one is left to whoever reads it. */
export async function adoptForeignShards(
  dataset: string,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const isPrepared = await access(join(dataset, 'dataset.json')).then(
    () => true,
    () => false,
  );
  const files: string[] = await readdir(dataset).catch(() => []);
  // What `prep` has not finished is none of another program's.
  if (isPrepared || files.includes('.prep') || !files.some((name) => name.endsWith('.tar'))) return;
  output.say(`${dataset} has no dataset.json: its shards are indexed once, and stay as they are`);
  const progress = output.progress('indexing', 'images');
  const found = await adoptShards(
    { folder: dataset, workers: availableParallelism() },
    { signal, onProgress: ({ done, total }) => progress.update(done, total) },
  ).finally(() => progress.stop());
  output.say(
    `${formatCount(found.images)} images of ${found.size} px, ${formatCount(found.classes)} classes: dataset.json, mean.npy and indexes are written beside them`,
  );
}
