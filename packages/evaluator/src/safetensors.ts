/**
 * Safetensors files (https://github.com/huggingface/safetensors): `8 bytes: length of the header, little endian | header,
 * JSON | tensors`. Nothing of a file is believed before it was checked against the file's length.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import * as v from 'valibot';
import { replaceFile } from './write.ts';

/** The types that our files use, with the bytes of a value. */
const widths = { F16: 2, F32: 4, U32: 4, U8: 1 } as const;
type Type = keyof typeof widths;

/** The largest header, as in the reference implementation. */
const maxHeader = 100_000_000;
const prefix = 8;

/** A tensor to be written; its bytes are asked for when its turn comes. */
export interface Tensor {
  name: string;
  type: Type;
  shape: number[];
  bytes: () => Iterable<Uint8Array>;
}

/** A file whose header was checked. */
export interface Tensors {
  metadata: Record<string, string>;
  /** Shape of a tensor, or `undefined`. */
  shape(name: string, type: Type): number[] | undefined;
  /** The bytes of a tensor of that type. */
  read(name: string, type: Type): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Writes a file, whole or not at all. */
export async function writeSafetensors(
  path: string,
  metadata: Record<string, string>,
  tensors: Tensor[],
): Promise<void> {
  let end = 0;
  const entries = tensors.map(({ name, type, shape }) => {
    const begin = end;
    end += widths[type] * product(shape);
    return [name, { dtype: type, shape, data_offsets: [begin, end] }];
  });
  const json = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) });
  const header = Buffer.from(json.padEnd(json.length + alignment(Buffer.byteLength(json))));
  const length = Buffer.alloc(prefix);
  length.writeBigUInt64LE(BigInt(header.length));
  await replaceFile(path, async (file) => {
    for (const bytes of [length, header]) await file.writeFile(bytes);
    for (const tensor of tensors) for (const bytes of tensor.bytes()) await file.writeFile(bytes);
  });
}

/** Spaces after a header, so that tensors begin at a multiple of 8. */
const alignment = (length: number) => (prefix - (length % prefix)) % prefix;
const product = (shape: number[]) => shape.reduce((all, size) => all * size, 1);

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const headerSchema = v.objectWithRest(
  { __metadata__: v.optional(v.record(v.string(), v.string()), {}) },
  v.object({ dtype: v.string(), shape: v.array(size), data_offsets: v.tuple([size, size]) }),
);
type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };

/** Opens a file and checks its header; the caller closes it. */
export async function openSafetensors(path: string): Promise<Tensors> {
  const damaged = (info: string, cause?: unknown) =>
    new IlsvrcError('E0507', `${path} is damaged`, {
      info,
      hint: 'run the evaluation once more, or copy the file again',
      cause,
    });
  const file = await open(path).catch((cause: Error) => {
    throw new IlsvrcError('E0506', `${path} cannot be read`, {
      info: cause.message,
      hint: '--from takes folders that `ilsvrc eval --out` wrote',
      cause,
    });
  });
  try {
    const { metadata, entries, data } = await readHeader(file, damaged);
    const find = (name: string, type: Type) => {
      const entry = entries.get(name);
      return entry?.dtype === type ? entry : undefined;
    };
    return {
      metadata,
      shape: (name, type) => find(name, type)?.shape,
      read: async (name, type) => {
        const entry = find(name, type);
        if (entry === undefined) throw damaged(`it has no tensor \`${name}\` of type ${type}`);
        const [begin, end] = entry.data_offsets;
        return readAll(file, data + begin, end - begin, damaged);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

type Damaged = (info: string, cause?: unknown) => IlsvrcError;

async function readHeader(file: FileHandle, damaged: Damaged) {
  const total = (await file.stat()).size;
  if (total < prefix) throw damaged(`it has ${total} bytes`);
  const announced = Buffer.from(await readAll(file, 0, prefix, damaged)).readBigUInt64LE();
  if (announced > BigInt(Math.min(maxHeader, total - prefix))) {
    throw damaged(`its header is said to have ${announced} bytes; the file has ${total}`);
  }
  const length = Number(announced);
  const text = Buffer.from(await readAll(file, prefix, length, damaged)).toString('utf8');
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw damaged('its header is no JSON', cause);
  }
  const checked = v.safeParse(headerSchema, content);
  if (!checked.success) throw damaged(`its header is malformed: ${checked.issues[0].message}`);
  const { __metadata__: metadata, ...rest } = checked.output;
  const entries = new Map(Object.entries(rest as Record<string, Entry>));
  const room = total - prefix - length;
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [begin, end],
    },
  ] of entries) {
    if (begin > end || end > room) throw damaged(`tensor \`${name}\` ends at ${end} of ${room} bytes`);
    const width = widths[dtype as Type];
    if (width !== undefined && product(shape) * width !== end - begin) {
      throw damaged(`tensor \`${name}\` of shape ${shape.join(' x ')} has ${end - begin} bytes`);
    }
  }
  return { metadata, entries, data: prefix + length };
}

async function readAll(
  file: FileHandle,
  place: number,
  length: number,
  damaged: Damaged,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  // A read may return less, and never returns more than 2 GiB.
  for (let done = 0; done < length; ) {
    const want = Math.min(length - done, 2 ** 30);
    const { bytesRead } = await file.read(bytes, done, want, place + done);
    if (bytesRead === 0) throw damaged('it ended while it was read');
    done += bytesRead;
  }
  return bytes;
}
