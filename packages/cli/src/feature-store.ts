/** The store of a model's features of a data set: where it lies, whether it is still right, and making it. */
import { basename, dirname, join, resolve } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { type Session, Store, type StoreOrigin } from '@ilsvrc/engine';
import { readModel } from '@ilsvrc/evaluator';
import { featureLayer } from '@ilsvrc/retrieval';
import { formatBytes, formatCount, formatDuration, formatPercent } from '@ilsvrc/terminal';
import type { Output } from './output.ts';
import { quoted } from './shell.ts';

/** What decides what a store holds, and where. */
export interface StoreChoice {
  /** The model file. */
  model: string;
  /** Folder of the prepared data set. */
  data: string;
  split: string;
  /** The folder; default: `features/<name of the run or file>`. */
  store?: string | undefined;
  /** Principal components. */
  pca?: number | undefined;
  half?: true | undefined;
}

/** Where queries come from: a split is not searched for its own images. */
export const otherSplit = (split: string) => (split === 'train' ? 'val' : 'train');

/** Where the store of a model lies, and where its features come from. */
async function describeStore(choice: StoreChoice): Promise<{ folder: string; origin: StoreOrigin }> {
  const { net, preprocessing, checksum } = await readModel(choice.model);
  return {
    folder: choice.store ?? join('features', nameOf(choice.model)),
    origin: {
      walk: { dataset: choice.data, split: choice.split, views: 1, layer: featureLayer(net) },
      model: checksum,
      preprocessing,
    },
  };
}

/** `runs/NAME/model.safetensors` is NAME, another file what it is called. */
function nameOf(model: string): string {
  const file = basename(model, '.safetensors');
  return file === 'model' ? basename(dirname(resolve(model))) : file;
}

/** The command that makes a store again. */
function rebuild({ model, data, split, store, pca, half }: StoreChoice): string {
  const options = [
    `--data ${quoted(data)}`,
    split === 'train' ? '' : `--split ${split}`,
    store === undefined ? '' : `--store ${quoted(store)}`,
    pca === undefined ? '' : `--pca ${pca}`,
    half ? '--half' : '',
  ];
  return ['ilsvrc retrieve index', quoted(model), ...options, '--force']
    .filter((part) => part !== '')
    .join(' ');
}

/**
 * Opens the store, where there is one; a damaged or stale one is refused with the command that makes it again, and so is one
 * with another number of components than asked for.
 */
export async function findStore(choice: StoreChoice): Promise<Store | undefined> {
  const { folder, origin } = await describeStore(choice);
  let store: Store | undefined;
  try {
    store = await Store.open(folder, origin);
  } catch (error) {
    if (!(error instanceof IlsvrcError) || !/^E070[1-4]$/.test(error.code)) throw error;
    const { code, message, info } = error;
    // Another folder's content is not replaced, so making the store again there is no way out.
    const hint = code === 'E0701' ? 'give another folder by --store; or make it again: ' : '';
    throw new IlsvrcError(code, message, { info, hint: `${hint}\`${rebuild(choice)}\``, cause: error });
  }
  if (store === undefined) return undefined;
  const { dimension, pca, precision } = store.meta;
  const found = pca === null ? undefined : dimension;
  const differs =
    (choice.pca !== undefined && choice.pca !== found) || (choice.half === true && precision !== 'f16');
  if (!differs) return store;
  store.close();
  throw new IlsvrcError('E0704', `${folder} was made with other options`, {
    info: `it holds ${found === undefined ? 'no components' : `${found} components`}, ${precision}`,
    hint: `\`${rebuild(choice)}\``,
  });
}

/** Makes the store, from a session that has loaded the model. */
export async function makeStore(
  choice: StoreChoice,
  session: Session,
  output: Output,
  signal: AbortSignal,
): Promise<Store> {
  const { folder, origin } = await describeStore(choice);
  const progress = output.progress(`features to ${folder}`, 'images');
  const made = await session
    .index(
      { ...origin, store: folder, precision: choice.half ? 'f16' : 'f32', components: choice.pca ?? null },
      { signal, onProgress: ({ done, total }) => progress.update(done, total) },
    )
    .finally(() => progress.stop());
  const store = await Store.open(folder, origin);
  if (store === undefined) throw new IlsvrcError('E0701', `${folder} vanished while it was made`);
  output.say(`wrote ${folder}: ${describe(store)}, in ${formatDuration(made.seconds)}`);
  return store;
}

/** A store in a few words, and the bytes of its numbers. */
export function describe({ meta }: Store): string {
  const { count, dimension, stride, precision, pca, source_dimension } = meta;
  const rows = count * (stride + dimension * (precision === 'f32' ? 4 : 2) + 20);
  const bytes = rows + (pca === null ? 0 : (dimension + 1) * source_dimension * 4);
  const kept =
    pca === null
      ? `${dimension} elements`
      : `${dimension} components of ${source_dimension} elements (${formatPercent(pca.explained)} of the variance)`;
  return `${formatCount(count)} images, ${kept}, ${formatBytes(bytes)}`;
}
