/**
 * Times training steps of a net in TensorFlow.js, one line of JSON for each line that it reads; `bench/tfjs.ts` asks it beside
 * our engine.
 *
 *     node step.mjs FOLDER BACKEND NET.json BATCH
 *
 * FOLDER is where its packages are installed. BACKEND is `tensorflow` (the Node binding, all cores), `wasm` (in Node it has one
 * thread) or `cpu` (plain JavaScript).
 * Both towers share a tensor, tower 0's maps first. TensorFlow.js has no grouped convolution, so a layer that reads its own tower
 * is two convolutions. A step is what the engine's is: forward with dropout, cross-entropy, backward, momentum with decay.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [folder, backend, netFile, batchText] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));
const installed = (name) => require(`@tensorflow/${name}`);
// What it prints of itself is not an answer.
console.log = console.error;
const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function start() {
  if (backend === 'tensorflow') return installed('tfjs-node');
  const tf = installed('tfjs');
  if (backend === 'wasm') {
    const wasm = installed('tfjs-backend-wasm');
    wasm.setWasmPaths(join(folder, 'node_modules/@tensorflow/tfjs-backend-wasm/dist/'));
  }
  if (!(await tf.setBackend(backend))) throw new Error(`the backend ${backend} does not start`);
  await tf.ready();
  return tf;
}

const tf = await start();
const net = JSON.parse(readFileSync(netFile, 'utf8'));
const batch = Number(batchText);

/**
 * A convolution without padding. The WebAssembly backend has no gradient of filters; there it is written as the convolution
 * that it is: maps as images, images as maps, the output's gradient as a filter, dilated by the stride.
 */
const convolve =
  backend === 'wasm'
    ? tf.customGrad((x, filter, save) => {
        save([x, filter]);
        return { value: tf.conv2d(x, filter, stride, 'valid'), gradFunc: gradientsOfConvolution(stride) };
      })
    : (x, filter) => tf.conv2d(x, filter, stride, 'valid');
/** Of the convolution under way: a custom gradient takes tensors only. */
let stride = 1;

function gradientsOfConvolution(stride) {
  return (dy, [x, filter]) => {
    const [size] = filter.shape;
    const maps = tf.conv2d(x.transpose([3, 1, 2, 0]), dy.transpose([1, 2, 0, 3]), 1, 'valid', 'NHWC', stride);
    // What hangs over where the stride does not reach the border.
    const whole = maps.slice([0, 0, 0, 0], [-1, size, size, -1]);
    return [tf.conv2dTranspose(dy, filter, x.shape, stride, 'valid'), whole.transpose([1, 2, 0, 3])];
  };
}

const conv = (x, filter, by) => {
  stride = by;
  return convolve(x, filter);
};

/** Each tower's maps by themselves. */
const perTower = (x, work) =>
  net.towers === 1 ? work(x, 0) : tf.concat(tf.split(x, net.towers, 3).map(work), 3);

/** Parameters, and what each layer does to the batch; shapes are followed from the crop on. */
function build() {
  let [side, maps, isFlat, isFirst] = [net.crop, 3, false, true];
  const learned = [];
  const parameter = (shape) => {
    const value = tf.variable(tf.randomNormal(shape, 0, 0.01));
    learned.push({
      value,
      velocity: tf.variable(tf.zeros(shape), false),
      decay: shape.length > 1 ? 0.0005 : 0,
    });
    return value;
  };
  const layers = net.layers.map((layer) => {
    switch (layer.type) {
      case 'conv': {
        const { size, stride, pad, filters } = layer;
        const isOwn = !isFirst && (layer.reads ?? 'own') === 'own' && net.towers > 1;
        const output = 1 + Math.ceil((2 * pad + side - size) / stride);
        const end = Math.max(0, (output - 1) * stride + size - side - pad);
        const inputs = isOwn ? maps / net.towers : maps;
        const weights = isOwn
          ? Array.from({ length: net.towers }, () => parameter([size, size, inputs, filters]))
          : [parameter([size, size, inputs, net.towers * filters])];
        const bias = parameter([net.towers * filters]);
        [side, maps, isFirst] = [output, net.towers * filters, false];
        return (x) => {
          const padded =
            pad + end === 0
              ? x
              : tf.pad(x, [
                  [0, 0],
                  [pad, end],
                  [pad, end],
                  [0, 0],
                ]);
          const sums = isOwn
            ? perTower(padded, (own, tower) => conv(own, weights[tower], stride))
            : conv(padded, weights[0], stride);
          return tf.add(sums, bias);
        };
      }
      case 'max_pool': {
        if ((side - layer.size) % layer.stride !== 0)
          throw new Error('pools that hang over are not built here');
        side = 1 + (side - layer.size) / layer.stride;
        return (x) => tf.maxPool(x, layer.size, layer.stride, 'valid');
      }
      case 'lrn': {
        // TensorFlow does not divide alpha by the size of the window.
        const { size, k, alpha, beta } = layer;
        const norm = (x) => tf.localResponseNormalization(x, (size - 1) / 2, k, alpha / size, beta);
        return (x) => perTower(x, norm);
      }
      case 'dense': {
        const inputs = isFlat ? maps : maps * side * side;
        const units = layer.units * (layer.joined ? 1 : net.towers);
        const [weight, bias, wasFlat] = [parameter([inputs, units]), parameter([units]), isFlat];
        [maps, isFlat] = [units, true];
        return (x) => tf.add(tf.matMul(wasFlat ? x : x.reshape([batch, -1]), weight), bias);
      }
      case 'relu':
        return (x) => tf.relu(x);
      case 'dropout':
        return (x) => tf.dropout(x, layer.rate);
      default:
        throw new Error(`layer type ${layer.type} is not built here`);
    }
  });
  return { learned, forward: (x) => layers.reduce((maps, layer) => layer(maps), x), classes: maps };
}

const { learned, forward, classes } = build();
const images = tf.randomNormal([batch, net.crop, net.crop, 3], 0, 60);
const labels = tf.oneHot(tf.randomUniform([batch], 0, classes, 'int32'), classes);

/** One step; reading the loss waits for it. */
async function step() {
  const loss = tf.tidy(() => {
    const { value, grads } = tf.variableGrads(() => tf.losses.softmaxCrossEntropy(labels, forward(images)));
    for (const { value: weight, velocity, decay } of learned) {
      const gradient = decay === 0 ? grads[weight.name] : tf.add(grads[weight.name], tf.mul(weight, decay));
      velocity.assign(tf.sub(tf.mul(velocity, 0.9), tf.mul(gradient, 1e-4)));
      weight.assign(tf.add(weight, velocity));
    }
    return value;
  });
  const [value] = await loss.data();
  loss.dispose();
  if (!Number.isFinite(value)) throw new Error(`the loss is ${value}`);
}

const parameters = learned.reduce((sum, { value }) => sum + value.size, 0);
answer({ backend: tf.getBackend(), version: tf.version.tfjs ?? tf.version['tfjs-core'], parameters });
let isWarm = false;
for await (const line of createInterface({ input: process.stdin })) {
  const { repeats } = JSON.parse(line);
  const seconds = [];
  if (!isWarm) await step();
  isWarm = true;
  for (let pass = 0; pass < repeats; pass += 1) {
    const begin = performance.now();
    await step();
    seconds.push((performance.now() - begin) / 1000);
  }
  answer({ seconds });
}
process.exit(0);
