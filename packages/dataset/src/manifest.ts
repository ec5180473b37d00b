/** `dataset.json` of a prepared data set, as far as deciding needs it; the engine verifies the rest. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import * as v from 'valibot';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** The version that this program writes and reads. */
const version = 2;

const manifestSchema = v.object({
  version: v.literal(version),
  /** SHA-256 of the manifest, and by the hashes that it holds of all files. */
  checksum: v.string(),
  name: v.string(),
  /** Side of the square images, px. */
  size: count,
  /** Class `i` is label `i`; `devkit_id` numbers it in submissions, where the photos came with one. */
  classes: v.array(v.object({ wnid: v.string(), name: v.string(), devkit_id: v.optional(count) })),
  splits: v.array(v.object({ name: v.string(), images: count })),
  /** Everything that shaped the pixels; models carry it on. */
  preprocessing: v.record(v.string(), v.unknown()),
  /** What it was prepared from; null for shards of other programs. */
  request: v.nullish(v.object({ sources: v.optional(v.array(v.string())) })),
});

/** What a prepared data set says of itself. */
export type Manifest = v.InferOutput<typeof manifestSchema>;

/** Reads the manifest of a prepared data set. */
export async function readManifest(dataset: string): Promise<Manifest> {
  const path = join(dataset, 'dataset.json');
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new IlsvrcError('E0205', `${dataset} is not a prepared data set`, {
      info: cause.message,
      hint: `prepare photos first: \`ilsvrc prep photos/ -o ${dataset}\``,
      cause,
    });
  });
  const damaged = (info: string, cause: unknown) =>
    new IlsvrcError('E0205', `${path} is damaged`, {
      info,
      hint: 'prepare the photos once more; finished shards are kept',
      cause,
    });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw damaged(String(cause), cause);
  }
  const found = (content as { version?: unknown } | null)?.version;
  if (typeof found === 'number' && found !== version) {
    throw new IlsvrcError('E0206', `${path} has version ${found}; this program reads version ${version}`, {
      hint: 'prepare the photos once more with this program',
    });
  }
  const checked = v.safeParse(manifestSchema, content);
  if (checked.success) return checked.output;
  const [issue] = checked.issues;
  throw damaged(`${v.getDotPath(issue) ?? 'content'}: ${issue.message}`, checked.issues);
}
