/**
 * Every preset, whole, against ONNX Runtime and PyTorch: probabilities of the same pixels, and how long export takes.
 *
 *     npm run build && node bench/interchange.ts --python PYTHON
 *
 * PYTHON has torch and safetensors; without it PyTorch is left out. Writes `results/interchange.json` and `.md`.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { presets } from '@ilsvrc/config';
import { exportModel, type Layer, machine, type Net, summarize, watchOthers } from '@ilsvrc/engine';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { drawDatasets, drawModel } from './models.ts';
import { root, run } from './tools.ts';

const { values } = parseArgs({ options: { python: { type: 'string' } } });
const place = mkdtempSync(join(tmpdir(), 'ilsvrc-interchange-'));
const batch = 2;
const classes = 12;

/** What came of one preset. `null`: not tried, or the format has no form for it. */
interface Row {
  preset: string;
  parameters: number;
  onnx_bytes: number;
  onnx_seconds: number;
  /** Largest difference of a probability, and the largest between the photos' own. */
  onnxruntime: number;
  safetensors_seconds: number | null;
  pytorch: number | null;
  spread: number;
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

/** Our probabilities of the photos by a net of drawn weights, which is written to `model`. */
async function draw(net: Net, model: string): Promise<Float32Array> {
  const session = await drawModel(net, place, model);
  // With the model comes how photos are prepared.
  await session.loadModel(model);
  return session.classify(
    Array.from({ length: batch }, (_, n) => bmp(net.image, n)),
    { views: 1 },
  );
}

/** Rings and stripes that differ from photo to photo. */
function pixel(side: number, n: number, y: number, x: number, c: number): number {
  const [u, v] = [(x / side - 0.5) * (n + 2), (y / side - 0.5) * 3];
  return Math.round(127.5 + 127.5 * Math.sin(u * u * 5 + v * (c + n) + n));
}

/** The whole photo as a file that loses nothing. */
function bmp(side: number, n: number): Uint8Array {
  const row = Math.ceil((3 * side) / 4) * 4;
  const file = Buffer.alloc(54 + row * side);
  file.write('BM');
  const header = [file.length, 0, 54, 40, side, side, (24 << 16) | 1, 0, row * side];
  for (const [index, word] of header.entries()) file.writeUInt32LE(word, 2 + 4 * index);
  for (let y = 0; y < side; y++) {
    for (let i = 0; i < 3 * side; i++) {
      file[54 + (side - 1 - y) * row + i] = pixel(side, n, y, Math.floor(i / 3), 2 - (i % 3));
    }
  }
  return file;
}

/** The centre crops as planes. */
function planes({ image, crop }: Net): Float32Array {
  const corner = Math.floor((image - crop) / 2);
  return Float32Array.from({ length: batch * 3 * crop * crop }, (_, i) => {
    const [n, c] = [Math.floor(i / crop / crop / 3), Math.floor(i / crop / crop) % 3];
    return pixel(image, n, (Math.floor(i / crop) % crop) + corner, (i % crop) + corner, c);
  });
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} probabilities, not ${b.length}`);
  return Math.max(...Array.from(a, (value, index) => Math.abs(value - (b[index] ?? Number.NaN))));
}

/** The module of docs/export.md with the file, on the pixels: probabilities. */
function pytorch(python: string, file: string, net: Net, pixels: Float32Array): number[] {
  const [, module = ''] =
    /```python\n(.*?)```/s.exec(readFileSync(join(root, 'docs/export.md'), 'utf8')) ?? [];
  const script = join(place, 'exported.py');
  writeFileSync(join(place, 'pixels.f32'), new Uint8Array(pixels.buffer));
  writeFileSync(
    script,
    `${module}
import sys
net = AlexNet(sys.argv[1]).eval()
pixels = torch.frombuffer(bytearray(open(sys.argv[2], 'rb').read()), dtype=torch.float32)
with torch.no_grad():
    print(json.dumps(net(pixels.view(${batch}, 3, ${net.crop}, ${net.crop})).softmax(1).flatten().tolist()))
`,
  );
  return JSON.parse(run(python, [script, file, join(place, 'pixels.f32')]));
}

async function timed(model: string, format: 'onnx' | 'safetensors', path: string): Promise<number> {
  const begin = performance.now();
  await exportModel(model, [{ format, path }]);
  return (performance.now() - begin) / 1000;
}

async function compare(name: string, net: Net): Promise<Row> {
  const [model, onnx, weights] = ['model.safetensors', 'model.onnx', 'weights.safetensors'].map((file) =>
    join(place, file),
  ) as [string, string, string];
  const ours = await draw(net, model);
  const pixels = planes(net);
  const onnx_seconds = await timed(model, 'onnx', onnx);
  const runtime = await InferenceSession.create(onnx);
  const image = new Tensor('float32', pixels, [batch, 3, net.crop, net.crop]);
  const { probabilities } = await runtime.run({ image });
  const hasForm = net.layers.filter(({ type }) => type === 'conv').length === 5;
  const safetensors_seconds = hasForm ? await timed(model, 'safetensors', weights) : null;
  const theirs = hasForm && values.python ? pytorch(values.python, weights, net, pixels) : null;
  await runtime.release();
  return {
    preset: name,
    parameters: summarize(net, 1).totals.parameters,
    onnx_bytes: statSync(onnx).size,
    onnx_seconds,
    onnxruntime: distance(probabilities?.data as Float32Array, ours),
    safetensors_seconds,
    pytorch: theirs && distance(theirs, ours),
    spread: distance(ours.subarray(0, classes), ours.subarray(classes)),
  };
}

function table(rows: Row[], others: number, date: string): string {
  const number = (value: number | null) => (value === null ? '–' : value.toExponential(1));
  const seconds = (value: number | null) => (value === null ? '–' : value.toFixed(1));
  const lines = rows.map((row) =>
    [
      row.preset,
      row.parameters.toLocaleString('en-US'),
      number(row.onnxruntime),
      number(row.pytorch),
      row.spread.toFixed(2),
      `${(row.onnx_bytes / 1e6).toFixed(1)} MB`,
      seconds(row.onnx_seconds),
      seconds(row.safetensors_seconds),
    ].join(' | '),
  );
  return `# Exported models elsewhere

Largest difference of a probability between \`ilsvrc\` and what reads its files, ${batch} photos, ${classes} classes, weights drawn;
"apart" is how far the photos' own probabilities are from each other. Seconds are of the export, the model's checksum verified.
On ${machine().cpu}, of which other programs kept ${others.toFixed(1)} cores busy meanwhile. ${date}.

| preset | parameters | ONNX Runtime | PyTorch | apart | ONNX file | ONNX, s | safetensors, s |
|---|---|---|---|---|---|---|---|
${lines.map((line) => `| ${line} |`).join('\n')}
`;
}

try {
  await drawDatasets(place, new Set(Object.values(presets).map(({ net }) => net(classes).image)));
  const others = watchOthers();
  const rows: Row[] = [];
  for (const [name, { net }] of Object.entries(presets)) {
    const described = net(classes);
    // Locally connected layers have no form elsewhere (E0805).
    if (described.layers.some(({ type }) => type === 'local')) continue;
    rows.push(await compare(name, lively(described)));
  }
  const busy = others();
  const date = new Date().toISOString().slice(0, 10);
  const result = { date, machine: machine(), others: busy, rows };
  writeFileSync(join(root, 'bench/results/interchange.json'), `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(join(root, 'bench/results/interchange.md'), table(rows, busy, date));
} finally {
  rmSync(place, { recursive: true });
}
