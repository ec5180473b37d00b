/**
 * Times forward passes of an exported model in ONNX Runtime on the CPU, one line of JSON for each that it reads;
 * `bench/forward.ts` asks it beside our engine.
 *
 *     node forward.mjs MODEL.onnx SIDE
 *
 * A request names `batch`, `threads` and `repeats`; the input, planes of f32, is ready in memory. What is left at ONNX Runtime's
 * defaults is what it does fastest: all graph optimisations, threads that spin, an arena of memory.
 */
import { createInterface } from 'node:readline';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const [model, side] = process.argv.slice(2);
const sessions = new Map();

async function prepare(threads) {
  const ready = sessions.get(threads);
  if (ready) return ready;
  const session = await InferenceSession.create(model, { intraOpNumThreads: threads });
  sessions.set(threads, session);
  return session;
}

/** Wall time of each pass after one that is not counted. */
async function secondsOf({ batch, threads, repeats }) {
  const session = await prepare(threads);
  const pixels = Float32Array.from({ length: batch * 3 * side * side }, (_, i) => (i * 7919) % 251);
  const image = new Tensor('float32', pixels, [batch, 3, Number(side), Number(side)]);
  const seconds = [];
  for (let pass = 0; pass <= repeats; pass += 1) {
    const begin = performance.now();
    const { probabilities } = await session.run({ image });
    if (pass > 0) seconds.push((performance.now() - begin) / 1000);
    probabilities.dispose();
  }
  return seconds;
}

console.log('{}');
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify({ seconds: await secondsOf(JSON.parse(line)) }));
}
