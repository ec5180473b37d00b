/**
 * `probabilities.safetensors`: what each model says of each image, so that models can be averaged anew without running
 * them. Format: docs/formats.md.
 */
import { join } from 'node:path';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import * as v from 'valibot';
import { fromHalf, toHalf } from './half.ts';
import type { Evaluation } from './judge.ts';
import { expectNumbers, type Outputs } from './outputs.ts';
import { openSafetensors, type Tensor, type Tensors, writeSafetensors } from './safetensors.ts';
import { classSchema, memberSchema, parse } from './schema.ts';

/** The file's name in the folder of an evaluation. */
export const probabilitiesFile = 'probabilities.safetensors';
const format = 'ilsvrc probabilities';
const version = '1';

/** A half cannot tell less from 0; so much a probability that was rounded to 0 counts as. */
const least = 2 ** -25;

/** Writes what the mean says, and where there are several models what each one says. */
export async function writeProbabilities(folder: string, evaluation: Evaluation): Promise<void> {
  const { subject, scores, members, probabilities } = evaluation;
  const shape = [subject.labels.length, subject.classes.length];
  const halves = (name: string, values: Float32Array): Tensor => ({ name, type: 'F16', shape, bytes: () => chunks(values) }); // biome-ignore format: one line
  const words = (name: string, values: Uint32Array): Tensor => ({ name, type: 'U32', shape: [values.length], bytes: () => [littleEndian(values)] }); // biome-ignore format: one line
  const texts = (name: string, values: string[]): Tensor => {
    const bytes = Buffer.from(JSON.stringify(values));
    return { name, type: 'U8', shape: [bytes.length], bytes: () => [bytes] };
  };
  await writeSafetensors(
    join(folder, probabilitiesFile),
    {
      format,
      version,
      subject: JSON.stringify({
        data: subject.data,
        checksum: subject.checksum,
        split: subject.split,
        expected: subject.expected,
        preprocessing: subject.preprocessing,
      }),
      classes: JSON.stringify(subject.classes),
      models: JSON.stringify(
        members.map(({ path, checksum, net, views, weight, preprocessing, differences }) => ({
          path,
          checksum,
          net,
          views,
          weight,
          preprocessing,
          differences,
        })),
      ),
    },
    [
      halves('probabilities', scores.probabilities),
      ...(members.length > 1 ? probabilities.map((values, index) => halves(`model.${index}`, values)) : []),
      words('labels', subject.labels),
      words('images', subject.numbers),
      texts('keys', subject.keys),
      texts('paths', subject.paths),
    ],
  );
}

/** Halves, a million at a time. */
function* chunks(values: Float32Array): Generator<Uint8Array> {
  for (let begin = 0; begin < values.length; begin += 1 << 20) {
    const some = values.subarray(begin, begin + (1 << 20));
    const bytes = Buffer.allocUnsafe(2 * some.length);
    for (let i = 0; i < some.length; i++) bytes.writeUInt16LE(toHalf(some[i] ?? 0), 2 * i);
    yield bytes;
  }
}

function littleEndian(values: Uint32Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, 4 * index);
  return bytes;
}

/** Reads what evaluations of the same images left in their folders, the models of all one after the other. E0506, E0507. */
export async function readSaved(folders: readonly string[]): Promise<Outputs> {
  const [first, ...rest] = await Promise.all(folders.map(readFolder));
  if (first === undefined) throw new IlsvrcError('E0104', 'no folder to read from');
  for (const [index, other] of rest.entries())
    expectSame(first, other, [folders[0] ?? '', folders[index + 1] ?? '']);
  return {
    ...first,
    members: [first, ...rest].flatMap(({ members }) => members),
    probabilities: [first, ...rest].flatMap(({ probabilities }) => probabilities),
  };
}

const subjectSchema = v.object({
  data: v.string(),
  checksum: v.string(),
  split: v.string(),
  expected: v.number(),
  preprocessing: v.record(v.string(), v.unknown()),
});

async function readFolder(folder: string): Promise<Outputs> {
  const path = join(folder, probabilitiesFile);
  const file = await openSafetensors(path);
  try {
    return await readOutputs(path, file);
  } finally {
    await file.close();
  }
}

async function readOutputs(path: string, file: Tensors): Promise<Outputs> {
  const { metadata } = file;
  const foreign = (info: string, cause?: unknown) =>
    new IlsvrcError('E0507', `${path} is not what \`ilsvrc eval --out\` writes`, {
      info,
      hint: 'give a folder that `ilsvrc eval --out` of this version wrote',
      cause,
    });
  if (metadata.format !== format || metadata.version !== version) {
    throw foreign(
      `its format is \`${metadata.format}\`, version ${metadata.version}; expected \`${format}\`, ${version}`,
    );
  }
  const field = <S extends v.GenericSchema>(key: string, schema: S) =>
    parse(schema, metadata[key], (info, cause) => foreign(`its ${key}: ${info}`, cause));
  const classes = field('classes', v.array(classSchema));
  const members = field('models', v.pipe(v.array(memberSchema), v.minLength(1)));
  const [images = 0] = file.shape('labels', 'U32') ?? [];
  if (images === 0) throw foreign('it has no images');
  const names = members.length > 1 ? members.map((_, index) => `model.${index}`) : ['probabilities'];
  for (const name of ['probabilities', ...names]) {
    const shape = file.shape(name, 'F16');
    if (shape?.length !== 2 || shape[0] !== images || shape[1] !== classes.length) {
      throw foreign(
        `tensor \`${name}\` is ${shape?.join(' x ') ?? 'missing'}, not ${images} x ${classes.length}`,
      );
    }
  }
  if (file.shape('images', 'U32')?.[0] !== images)
    throw foreign('tensor `images` has another length than `labels`');
  const texts = async (name: string) => {
    const text = Buffer.from(await file.read(name, 'U8')).toString('utf8');
    const values = parse(v.array(v.string()), text, (info, cause) =>
      foreign(`tensor \`${name}\`: ${info}`, cause),
    );
    if (values.length !== images)
      throw foreign(`tensor \`${name}\` has ${values.length} texts for ${images} images`);
    return values;
  };
  const labels = words(await file.read('labels', 'U32'));
  const wrong = labels.find((label) => label >= classes.length);
  if (wrong !== undefined) throw foreign(`a label is ${wrong}; there are ${classes.length} classes`);
  const subject = {
    ...field('subject', subjectSchema),
    classes,
    labels,
    numbers: words(await file.read('images', 'U32')),
    keys: await texts('keys'),
    paths: await texts('paths'),
  };
  const probabilities: Float32Array[] = [];
  for (const name of names) {
    const values = fromHalves(await file.read(name, 'F16'));
    expectNumbers(path, values, classes.length);
    probabilities.push(values);
  }
  return { subject, members, probabilities, seconds: null };
}

function words(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(4 * index, true));
}

function fromHalves(bytes: Uint8Array): Float32Array {
  const table = Float32Array.from({ length: 1 << 16 }, (_, half) => (half === 0 ? least : fromHalf(half)));
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const values = new Float32Array(bytes.length / 2);
  for (let i = 0; i < values.length; i++) values[i] = table[view.getUint16(2 * i, true)] ?? 0;
  return values;
}

/** Fails unless two evaluations are of the same images with the same classes. */
function expectSame(a: Outputs, b: Outputs, [first, second]: [string, string]): void {
  const differs = (info: string) =>
    new IlsvrcError('E0506', `${first} and ${second} are not of the same images`, {
      info,
      hint: 'evaluate both models on the same split of the same photos',
    });
  const [one, two] = [a.subject, b.subject];
  if (one.labels.length !== two.labels.length) {
    throw differs(`${one.labels.length} images and ${two.labels.length}`);
  }
  if (one.classes.length !== two.classes.length) {
    throw differs(`${one.classes.length} classes and ${two.classes.length}`);
  }
  const klass = one.classes.findIndex(({ wnid }, index) => wnid !== two.classes[index]?.wnid);
  if (klass >= 0)
    throw differs(`class ${klass} is ${one.classes[klass]?.wnid} and ${two.classes[klass]?.wnid}`);
  const image = one.paths.findIndex(
    (path, index) => path !== two.paths[index] || one.labels[index] !== two.labels[index],
  );
  if (image >= 0) throw differs(`image ${image} is ${one.paths[image]} and ${two.paths[image]}`);
}
