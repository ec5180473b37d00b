/** What `ilsvrc bench --json` wrote, read again. It may come from anywhere: what it holds is checked, and printed nowhere unchecked. */
import { readFile, stat } from 'node:fs/promises';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import * as v from 'valibot';

/** The version of the document. */
export const documentVersion = 2;

/** A document of all cases has 30 kB. */
const mostBytes = 8 << 20;

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
/** Letters that a terminal takes as such. */
const line = v.pipe(v.string(), v.regex(/^[\x20-\x7e]{1,200}$/, 'one line of plain letters'));

const figure = v.object({
  name: v.pipe(line, v.regex(/^[\w.-]+\/[\w.-]+\/[\w.-]+$/, 'area/case/variant')),
  unit: line,
  better: v.picklist(['more', 'less'], 'more or less'),
  samples: v.pipe(v.array(positive), v.minLength(1), v.maxLength(10_000)),
  yardstick: v.nullable(v.object({ name: line, unit: line, before: positive, after: positive })),
});

const schema = v.object({
  version: v.literal(documentVersion),
  quick: v.boolean(),
  machine: v.object({ cpu: v.string() }),
  benches: v.pipe(
    v.array(figure),
    v.maxLength(10_000),
    v.check((all) => new Set(all.map(({ name }) => name)).size === all.length, 'a name comes twice'),
  ),
});

/** What a comparison needs of a document. */
export type Saved = v.InferOutput<typeof schema>;
/** A figure of it. */
export type SavedFigure = v.InferOutput<typeof figure>;

/** Reads a document. E0508 where it is none. */
export async function readSaved(path: string): Promise<Saved> {
  const text = await read(path);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw unusable(path, 'it is no JSON: another file, or one that was cut short', cause);
  }
  const checked = v.safeParse(schema, content);
  if (checked.success) return checked.output;
  const [issue] = checked.issues;
  throw unusable(path, `${v.getDotPath(issue) ?? 'the document'}: ${issue.message}`);
}

async function read(path: string): Promise<string> {
  let size: number;
  try {
    ({ size } = await stat(path));
    if (size <= mostBytes) return await readFile(path, 'utf8');
  } catch (cause) {
    throw new IlsvrcError('E0508', `cannot read ${path}`, {
      info: cause instanceof Error ? cause.message : String(cause),
      hint: 'make it by `ilsvrc bench --json > FILE`',
      cause,
    });
  }
  throw unusable(path, `it has ${size} bytes; at most ${mostBytes} are read`);
}

function unusable(path: string, info: string, cause?: unknown): IlsvrcError {
  return new IlsvrcError('E0508', `${path} is not what \`ilsvrc bench --json\` writes`, {
    // Messages may quote what was found.
    info: info.replaceAll(/[^\x20-\x7e]/g, '?'),
    hint: 'make it by `ilsvrc bench --json > FILE` of this version',
    cause,
  });
}
