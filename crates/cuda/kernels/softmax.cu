// softmax.cu - probabilities of the classes, the gradient of the cross-entropy, and what a batch scored.
//
// Formula   m = max x, z = sum exp(x - m);  p[j] = exp(x[j] - m) / z
//           gradient[j] = (p[j] - [j == label]) * scale
//           loss = -log p[label] = log z - (x[label] - m), at most -log of the smallest normal float; NaN stays
//           hit = 1 / (classes as probable as the label) where none is more probable, else 0; 0 for NaN
//           judge: outcome = (mean loss, sum of hits). The loss is infinite where more than half of the labels have
//           probability zero: `cross_entropy` in crates/engine. diverged = 1 where the mean is no finite number.
//           A label that is no class makes the loss of its image NaN.
// Layout    logits, probabilities f32 [images][classes], gradient the same in elements; labels u32, losses and hits f32
//           [images]. labels may be null: gradient, losses and hits are not written then. Each of these may be null.
// Tiling    softmax: a block an image, a thread every 256th class, sums by shuffles and a value a warp in shared
//           memory, always in the same order. judge: one block, a thread every 256th image, the same.
// Cost      per image 8 bytes and one element of traffic a class (the logits come from L1 after the first pass), about
//           30 FLOP a class. judge: 8 bytes an image.
// Grid      softmax: x = images blocks of 256; judge: one block of 256. No dynamic shared memory.
#include "element.cuh"

namespace softmax_detail {
constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr float LARGEST_LOSS = 87.33655f, ZERO_LOSS = 87.336f;  // of a probability that is zero in f32

// Reduces v over the block; every thread gets the result. `slot` may be reused after the call.
template <class Reduce>
__device__ __forceinline__ float reduce(float v, float* slot, float identity, Reduce warp_reduce) {
  v = warp_reduce(v);
  if (threadIdx.x % 32 == 0) slot[threadIdx.x / 32] = v;
  __syncthreads();
  v = warp_reduce(threadIdx.x % 32 < WARPS ? slot[threadIdx.x % 32] : identity);
  __syncthreads();
  return v;
}
__device__ __forceinline__ float sum(float v, float* slot) { return reduce(v, slot, 0.f, tile::warp_sum); }

template <class E>
__device__ __forceinline__ void softmax(const float* logits, const unsigned* labels, float* probabilities, E* gradient,
                                        float* losses, float* hits, int classes, float scale, float* slot) {
  const long long first = (long long)blockIdx.x * classes;
  const float* x = logits + first;
  float* p = probabilities + first;

  float m = tile::neg_infinity(), z = 0.f;
  for (int j = threadIdx.x; j < classes; j += THREADS) m = fmaxf(m, x[j]);  // NaN is met again in the sum
  m = reduce(m, slot, tile::neg_infinity(), tile::warp_max);
  for (int j = threadIdx.x; j < classes; j += THREADS) z += expf(x[j] - m);
  z = sum(z, slot);

  const unsigned label = labels ? labels[blockIdx.x] : 0;
  const float share = 1.f / z;
  for (int j = threadIdx.x; j < classes; j += THREADS) {
    const float v = expf(x[j] - m) * share;
    p[j] = v;
    if (labels && gradient) element::store(gradient + first + j, (v - (j == (int)label ? 1.f : 0.f)) * scale);
  }
  if (!labels) return;

  const bool known = label < (unsigned)classes;
  if (losses && threadIdx.x == 0) {
    const float loss = known ? logf(z) - (x[label] - m) : __uint_as_float(0x7fc00000u);
    losses[blockIdx.x] = loss > LARGEST_LOSS ? LARGEST_LOSS : loss;
  }
  if (hits) {
    __syncthreads();  // the label's probability was written by another thread
    const float own = known ? p[label] : 0.f;
    float equal = 0.f, larger = 0.f;
    for (int j = threadIdx.x; j < classes; j += THREADS) {
      equal += p[j] == own ? 1.f : 0.f;
      larger += p[j] > own ? 1.f : 0.f;
    }
    equal = sum(equal, slot);
    larger = sum(larger, slot);
    if (threadIdx.x == 0) hits[blockIdx.x] = known && equal > 0.f && larger == 0.f ? 1.f / equal : 0.f;
  }
}
}  // namespace softmax_detail

// extents: logits = (long long)images * classes; labels = images; probabilities = (long long)images * classes; gradient = (long long)images * classes; losses = images; hits = images
extern "C" __global__ void __launch_bounds__(256) softmax_bf16(
    const float* logits, const unsigned* labels, float* probabilities, tile::bf16* gradient, float* losses,
    float* hits, int images, int classes, float scale) {
  __shared__ float slot[softmax_detail::WARPS];
  if (blockIdx.x < (unsigned)images)
    softmax_detail::softmax(logits, labels, probabilities, gradient, losses, hits, classes, scale, slot);
}
// extents: logits = (long long)images * classes; labels = images; probabilities = (long long)images * classes; gradient = (long long)images * classes; losses = images; hits = images
extern "C" __global__ void __launch_bounds__(256) softmax_f32(
    const float* logits, const unsigned* labels, float* probabilities, float* gradient, float* losses, float* hits,
    int images, int classes, float scale) {
  __shared__ float slot[softmax_detail::WARPS];
  if (blockIdx.x < (unsigned)images)
    softmax_detail::softmax(logits, labels, probabilities, gradient, losses, hits, classes, scale, slot);
}

// extents: losses = images; hits = images; outcome = 2; diverged = 1
extern "C" __global__ void __launch_bounds__(256) judge(
    const float* losses, const float* hits, float* outcome, unsigned* diverged, int images) {
  using namespace softmax_detail;
  __shared__ float slot[WARPS];
  float loss = 0.f, hit = 0.f, zeros = 0.f;
  for (int i = threadIdx.x; i < images; i += THREADS) {
    loss += losses[i];
    hit += hits[i];
    zeros += losses[i] >= ZERO_LOSS ? 1.f : 0.f;
  }
  loss = sum(loss, slot);
  hit = sum(hit, slot);
  zeros = sum(zeros, slot);
  if (threadIdx.x != 0) return;
  float mean = loss / (float)images;
  if (2.f * zeros > (float)images && mean == mean) mean = -tile::neg_infinity();
  outcome[0] = mean;
  outcome[1] = hit;
  if (!(fabsf(mean) <= 3.402823466e38f)) *diverged = 1;
}
