/**
 * Exported models against ONNX Runtime, from pixels to probabilities: every preset that has a form there, narrower than it is
 * (`bench/interchange.ts` has them whole), and the imported models of `crates/interchange`, of which PyTorch has said what they compute.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Preset, presets } from '@ilsvrc/config';
import {
  exportModel,
  generateBuiltin,
  importModel,
  type Layer,
  type Net,
  prep,
  readModelMetadata,
  Session,
  type SessionOptions,
  summarize,
} from '@ilsvrc/engine';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'ilsvrc-export-'));
const photos = join(folder, 'photos');
const data = join(import.meta.dirname, '../../../crates/interchange/tests/data');
const classes = 12;
const sides = [...new Set(Object.values(presets).map(({ net }) => net(classes).image))];

beforeAll(async () => {
  await generateBuiltin({ out: photos, images: 120, seed: 1, workers: 2 });
  for (const size of sides) {
    await prep({
      ...{ sources: [photos], out: dataset(size), name: 'builtin', size, resize: 'crop', exif_rotate: false },
      ...{ quality: 85, workers: 2, seed: 1, shard_images: 50, max_rejected: 0, force: false, part: null },
      ...{ layout: null, names: null, recipe: null },
    });
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const dataset = (side: number) => join(folder, `${side}`);

/** Presets with locally connected layers, which other formats have no form for. */
const isLocal = ([, { net }]: [string, Preset]) => net(classes).layers.some(({ type }) => type === 'local');
const all: [string, Preset][] = Object.entries(presets);

describe.each(all.filter((entry) => !isLocal(entry)))('%s', (name, preset) => {
  test('computes in ONNX Runtime what it computes here, in batches of any size', async () => {
    const net = narrow(preset.net(classes));
    const model = join(folder, `${name}.safetensors`);
    const session = await draft(net, model);

    const images = Array.from({ length: 7 }, (_, index) => draw(net.image, index));
    const ours = await classify(session, model, images);
    const onnx = join(folder, `${name}.onnx`);
    await exportModel(model, [{ format: 'onnx', path: onnx }]);
    const runtime = await InferenceSession.create(onnx);
    const spread = Array.from({ length: classes }, (_, c) =>
      Math.abs((ours[c] ?? 0) - (ours[classes + c] ?? 0)),
    );
    expect(
      Math.max(...spread),
      'the photos differ, so that a net that ignored them would be found',
    ).toBeGreaterThan(0.01);
    for (const batch of [1, 3, 7]) {
      const { probabilities } = await run(runtime, net, images.slice(0, batch));
      expect(probabilities?.dims).toEqual([batch, classes]);
      expect(distance(floats(probabilities), ours.subarray(0, batch * classes))).toBeLessThan(1e-5);
    }
  });
});

test.each(all.filter(isLocal))('%s is refused, and the layer named', async (name, preset) => {
  const net = narrow(preset.net(classes));
  const model = join(folder, `${name}.safetensors`);
  await draft(net, model);
  for (const format of ['onnx', 'safetensors'] as const) {
    const path = join(folder, `${name}-as.${format}`);
    await expect(exportModel(model, [{ format, path }])).rejects.toMatchObject({
      code: 'E0805',
      message: expect.stringContaining('local3'),
    });
    expect(existsSync(path)).toBe(false);
  }
});

test('the features are those of the last hidden layer, as retrieval has them', async () => {
  const net = narrow(presets['alexnet-64'].net(classes));
  const model = join(folder, 'alexnet-64.safetensors');
  const session = await Session.open(options(net, 'inference'));
  await session.loadModel(model);
  const photo = draw(net.image, 3);
  const embedded = await session.embed([bmp(photo)], { views: 1, layer: 'fc7' });
  const runtime = await InferenceSession.create(join(folder, 'alexnet-64.onnx'));
  expect(runtime.outputNames).toEqual(['probabilities', 'fc7']);
  const { fc7 } = await run(runtime, net, [photo]);
  expect(fc7?.dims).toEqual([1, embedded.elements]);
  const scale = Math.max(...embedded.data);
  expect(distance(floats(fc7), embedded.data) / scale).toBeLessThan(1e-5);
});

describe('imported models', () => {
  const goldens: Record<string, number[]> = JSON.parse(readFileSync(join(data, 'goldens.json'), 'utf8'));

  test.each([
    ['alexnet.safetensors', null],
    ['bvlc_alexnet.caffemodel', null],
    ['caffenet.caffemodel', join(data, 'mean.binaryproto')],
  ])('%s computes in ONNX Runtime what it did where it came from', async (name, mean) => {
    const out = join(folder, `imported-${name}.safetensors`);
    const request = { file: join(data, name), mean, out, classes: null, class_order: 'numbered' };
    const { net } = await importModel(request);
    expect(JSON.parse((await readModelMetadata(out)).net ?? '')).toEqual(net);
    const onnx = join(folder, `${name}.onnx`);
    await exportModel(out, [{ format: 'onnx', path: onnx }]);
    const { probabilities } = await run(await InferenceSession.create(onnx), net, [golden(net.image)]);
    expect(distance(floats(probabilities), Float32Array.from(goldens[name] ?? []))).toBeLessThan(1e-5);
  });

  /** The photo of `make.py`. */
  function golden(side: number): Image {
    const at = (y: number, x: number, c: number) =>
      (Math.floor((y * y) / 9) + 3 * x * (c + 1) + 17 * ((x * y) % 13) + 40 * c) % 256;
    return image(side, at);
  }
});

/** Pixels `side x side x 3`. */
interface Image {
  side: number;
  pixels: Uint8Array;
}

function image(side: number, at: (y: number, x: number, c: number) => number): Image {
  const pixels = new Uint8Array(side * side * 3);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = at(Math.floor(i / 3 / side), Math.floor(i / 3) % side, i % 3);
  }
  return { side, pixels };
}

/** Stripes, rings and colours that differ from `index` to `index`. */
const draw = (side: number, index: number) =>
  image(side, (y, x, c) => {
    const [u, v] = [(x / side - 0.5) * (index + 2), (y / side - 0.5) * 3];
    return Math.round(127.5 + 127.5 * Math.sin(u * u * 5 + v * (c + index) + index));
  });

/** The image as a BMP, which loses nothing: rows from the bottom, blue first, each a multiple of four bytes long. */
function bmp({ side, pixels }: Image): Uint8Array {
  const row = Math.ceil((3 * side) / 4) * 4;
  const file = Buffer.alloc(54 + row * side);
  file.write('BM');
  const header = [file.length, 0, 54, 40, side, side, (24 << 16) | 1, 0, row * side];
  for (const [index, word] of header.entries()) file.writeUInt32LE(word, 2 + 4 * index);
  for (let i = 0; i < pixels.length; i++) {
    const [y, x] = [Math.floor(i / 3 / side), Math.floor(i / 3) % side];
    file[54 + (side - 1 - y) * row + 3 * x + 2 - (i % 3)] = pixels[i] ?? 0;
  }
  return file;
}

/** A preset's net with fewer maps and units. */
function narrow(net: Net): Net {
  const layers = net.layers.map((layer, index): Layer => {
    if (layer.type === 'conv' || layer.type === 'local')
      return { ...layer, filters: Math.max(4, layer.filters / 16) };
    const isHidden = layer.type === 'dense' && index < net.layers.length - 1;
    return isHidden ? { ...layer, units: Math.max(8, layer.units / 32) } : layer;
  });
  return lively({ ...net, layers });
}

/** Weights so large that probabilities say something: N(0, 2 / fan-in) (He et al. 2015) behind the first layer. */
function lively(net: Net): Net {
  const counts = summarize(net, 1).layers;
  const layers = net.layers.map((layer, index): Layer => {
    if (!('learning' in layer)) return layer;
    const { neurons = 1, connections = 1 } = counts[index] ?? {};
    const weight_std = index === 0 ? 0.01 : Math.sqrt((2 * neurons) / connections);
    return { ...layer, learning: { ...layer.learning, weight_std, bias: 0.1 } };
  });
  return { ...net, layers };
}

/** Writes a model whose weights are as they were drawn. */
async function draft(net: Net, model: string): Promise<Session> {
  const session = await Session.open(options(net, 'training'));
  // A step of length nought gives the mean image and leaves the weights.
  await session.train({
    ...{ dataset: dataset(net.image), split: 'train', epoch: 0, first_step: 0, steps: 1 },
    ...{ rule: { rate: 0, momentum: 0, decay: 0 }, mirror: false, colour_noise: 0 },
  });
  await session.saveModel(model, {
    net: JSON.stringify(net),
    classes: '[]',
    preprocessing: '{"resize":"crop"}',
  });
  return session;
}

function options(net: Net, use: SessionOptions['use']): SessionOptions {
  return { net, batch: 12, seed: 5, threads: 0, places: ['cpu'], precision: 'f32', use };
}

/** Probabilities of whole images by their centre crop. */
async function classify(session: Session, model: string, images: Image[]): Promise<Float32Array> {
  await session.loadModel(model);
  return session.classify(images.map(bmp), { views: 1 });
}

/** The centre crops as planes, through ONNX Runtime. */
function run(runtime: InferenceSession, { crop }: Net, images: Image[]) {
  const planes = new Float32Array(images.length * 3 * crop * crop);
  for (const [n, { side, pixels }] of images.entries()) {
    const corner = Math.floor((side - crop) / 2);
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < crop; y++) {
        for (let x = 0; x < crop; x++) {
          planes[((n * 3 + c) * crop + y) * crop + x] =
            pixels[((y + corner) * side + x + corner) * 3 + c] ?? 0;
        }
      }
    }
  }
  return runtime.run({ image: new Tensor('float32', planes, [images.length, 3, crop, crop]) });
}

const floats = (tensor: Tensor | undefined): Float32Array =>
  tensor?.data instanceof Float32Array ? tensor.data : new Float32Array();

function distance(a: Float32Array, b: Float32Array): number {
  expect(a).toHaveLength(b.length);
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - (b[index] ?? 0))), 0);
}
