// dropout.cu - dropout in place: the masks of training, on values and on gradients alike, and the factor of test.
//
// Formula   dropout: x[e] stays where unit(bits first * elements + e of the stream (seed, dropout, step, index)) >= rate, else 0
//           (`Op::Dropout` of crates/network; index = layer * 2 + tower). The mask is drawn again for the gradient.
//           dropout_scale: x[e] *= factor
// Layout    `count` elements in a row, below 2^32 (the counter of the stream).
// Tiling    8 elements a thread, two blocks of random numbers, where x is aligned to 16 bytes and the first bits are those
//           of a whole block; the rest one by one.
// Cost      2 elements of traffic a value, one conversion each way; 10 rounds of 4 multiplications for 4 masks.
// Grid      x = min(ceil(count / 8 / 256), 4096) blocks of 256, no dynamic shared memory. Any smaller number does.
#include "state.cuh"
#include "vector.cuh"

namespace dropout_detail {
constexpr unsigned PURPOSE = 2;

__device__ __forceinline__ float masked(float x, unsigned bits, float rate) { return unit(bits) >= rate ? x : 0.f; }

template <class E>
__device__ __forceinline__ void mask(E* x, const State* state, long long count, int elements, float rate,
                                     unsigned index) {
  const State now = *state;
  const long long thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
  const long long begin = (long long)now.first * elements;
  const long long whole = vec::aligned(x) && begin % 4 == 0 ? count / 8 * 8 : 0;
  for (long long i = thread * 8; i < whole; i += threads * 8) {
    const unsigned block = (unsigned)((begin + i) / 4);
    const uint4 a = random_block(&now, PURPOSE, index, block);
    const uint4 b = random_block(&now, PURPOSE, index, block + 1);
    float v[8];
    vec::load<8>(x + i, v);
    v[0] = masked(v[0], a.x, rate), v[1] = masked(v[1], a.y, rate);
    v[2] = masked(v[2], a.z, rate), v[3] = masked(v[3], a.w, rate);
    v[4] = masked(v[4], b.x, rate), v[5] = masked(v[5], b.y, rate);
    v[6] = masked(v[6], b.z, rate), v[7] = masked(v[7], b.w, rate);
    vec::store<8>(x + i, v);
  }
  for (long long i = whole + thread; i < count; i += threads) {
    const long long e = begin + i;
    const uint4 a = random_block(&now, PURPOSE, index, (unsigned)(e / 4));
    const unsigned low = e % 2 ? a.y : a.x, high = e % 2 ? a.w : a.z;
    element::store(x + i, masked(element::load(x + i), e % 4 < 2 ? low : high, rate));
  }
}

template <class E>
__device__ __forceinline__ void scale(E* x, long long count, float factor) {
  const long long thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
  const long long whole = vec::aligned(x) ? count / 8 * 8 : 0;
  for (long long i = thread * 8; i < whole; i += threads * 8) {
    float v[8];
    vec::load<8>(x + i, v);
#pragma unroll
    for (int j = 0; j < 8; j++) v[j] *= factor;
    vec::store<8>(x + i, v);
  }
  for (long long i = whole + thread; i < count; i += threads) element::store(x + i, element::load(x + i) * factor);
}
}  // namespace dropout_detail

// extents: x = count; state = 1
extern "C" __global__ void __launch_bounds__(256) dropout_bf16(
    tile::bf16* x, const State* state, long long count, int elements, float rate, unsigned index) {
  dropout_detail::mask(x, state, count, elements, rate, index);
}
// extents: x = count; state = 1
extern "C" __global__ void __launch_bounds__(256) dropout_f32(
    float* x, const State* state, long long count, int elements, float rate, unsigned index) {
  dropout_detail::mask(x, state, count, elements, rate, index);
}
// extents: x = count
extern "C" __global__ void __launch_bounds__(256) dropout_scale_bf16(tile::bf16* x, long long count, float factor) {
  dropout_detail::scale(x, count, factor);
}
// extents: x = count
extern "C" __global__ void __launch_bounds__(256) dropout_scale_f32(float* x, long long count, float factor) {
  dropout_detail::scale(x, count, factor);
}
