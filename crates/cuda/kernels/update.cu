// update.cu - momentum gradient descent, and the working copy of the weights.
//
// Formula   v = momentum * v - decay * rate * w - rate * g;  w += v;  copy = w, rounded to the element type
//           rate = state->rate * rate_factor; decay = own_decay, or state->decay where own_decay is negative.
//           Nothing happens once *diverged is set, so the weights of the last good step survive.
//           repack: copy = w alone.
// Layout    w, v f32 [rows][outputs], rows = taps * taps * channels. g f32 and copy are padded for the products:
//           [taps][taps_x][pitch][outputs], row (ky, kx, c) at (ky * taps_x + kx) * pitch + c; what lies between is not
//           touched. Without padding channels = pitch = rows and taps = taps_x = 1. copy may be null.
// Tiling    4 elements a thread where nothing is padded and the pointers are aligned to 16 bytes; else one.
// Cost      20 bytes and one element of traffic a weight, one conversion, 6 FLOP. repack: 4 bytes and one element.
// Grid      x = min(ceil(rows * outputs / 4 / 256), 4096) blocks of 256, no dynamic shared memory. Any smaller does.
#include "state.cuh"
#include "vector.cuh"

namespace update_detail {
struct Shape {
  int rows, outputs, channels, pitch, taps, taps_x;

  __device__ __forceinline__ long long count() const { return (long long)rows * outputs; }
  __device__ __forceinline__ bool padded() const { return pitch != channels || taps_x != taps; }
  // Where element i of w is in g and copy.
  __device__ __forceinline__ long long place(long long i) const {
    if (!padded()) return i;
    const int row = (int)(i / outputs), tap = row / channels, ky = tap / taps;
    return ((long long)(ky * taps_x + tap - ky * taps) * pitch + row - tap * channels) * outputs +
           (i - (long long)row * outputs);
  }
};

struct Rule {
  float momentum, shrink, rate;
  __device__ __forceinline__ float velocity(float v, float w, float g) const {
    return momentum * v - shrink * w - rate * g;
  }
};

template <class E>
__device__ __forceinline__ void update(float* w, float* v, const float* g, E* copy, const State* state,
                                       const unsigned* diverged, float rate_factor, float own_decay,
                                       const Shape shape) {
  if (*diverged) return;
  const float rate = state->rate * rate_factor;
  const Rule rule{state->momentum, (own_decay >= 0.f ? own_decay : state->decay) * rate, rate};
  const long long thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
  const bool together =
      !shape.padded() && vec::aligned(w) && vec::aligned(v) && vec::aligned(g) && vec::aligned(copy);
  const long long count = shape.count(), whole = together ? count / 4 * 4 : 0;
  for (long long i = thread * 4; i < whole; i += threads * 4) {
    float4 weight = element::load4(w + i), velocity = element::load4(v + i);
    const float4 slope = element::load4(g + i);
    velocity.x = rule.velocity(velocity.x, weight.x, slope.x), weight.x += velocity.x;
    velocity.y = rule.velocity(velocity.y, weight.y, slope.y), weight.y += velocity.y;
    velocity.z = rule.velocity(velocity.z, weight.z, slope.z), weight.z += velocity.z;
    velocity.w = rule.velocity(velocity.w, weight.w, slope.w), weight.w += velocity.w;
    element::store4(v + i, velocity);
    element::store4(w + i, weight);
    if (copy) element::store4(copy + i, weight);
  }
  for (long long i = whole + thread; i < count; i += threads) {
    const long long place = shape.place(i);
    const float velocity = rule.velocity(v[i], w[i], g[place]), weight = w[i] + velocity;
    v[i] = velocity;
    w[i] = weight;
    if (copy) element::store(copy + place, weight);
  }
}

template <class E>
__device__ __forceinline__ void repack(const float* w, E* copy, const Shape shape) {
  const long long thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
  const bool together = !shape.padded() && vec::aligned(w) && vec::aligned(copy);
  const long long count = shape.count(), whole = together ? count / 4 * 4 : 0;
  for (long long i = thread * 4; i < whole; i += threads * 4) element::store4(copy + i, element::load4(w + i));
  for (long long i = whole + thread; i < count; i += threads) element::store(copy + shape.place(i), w[i]);
}
}  // namespace update_detail

// extents: w = (long long)rows * outputs; v = (long long)rows * outputs; g = (long long)taps * taps_x * pitch * outputs; copy = (long long)taps * taps_x * pitch * outputs; state = 1; diverged = 1
extern "C" __global__ void __launch_bounds__(256, 4) update_bf16(
    float* w, float* v, const float* g, tile::bf16* copy, const State* state, const unsigned* diverged,
    float rate_factor, float own_decay, int rows, int outputs, int channels, int pitch, int taps, int taps_x) {
  update_detail::update(w, v, g, copy, state, diverged, rate_factor, own_decay,
                        {rows, outputs, channels, pitch, taps, taps_x});
}
// extents: w = (long long)rows * outputs; v = (long long)rows * outputs; g = (long long)taps * taps_x * pitch * outputs; copy = (long long)taps * taps_x * pitch * outputs; state = 1; diverged = 1
extern "C" __global__ void __launch_bounds__(256, 4) update_f32(
    float* w, float* v, const float* g, float* copy, const State* state, const unsigned* diverged, float rate_factor,
    float own_decay, int rows, int outputs, int channels, int pitch, int taps, int taps_x) {
  update_detail::update(w, v, g, copy, state, diverged, rate_factor, own_decay,
                        {rows, outputs, channels, pitch, taps, taps_x});
}
// extents: w = (long long)rows * outputs; copy = (long long)taps * taps_x * pitch * outputs
extern "C" __global__ void __launch_bounds__(256, 4) repack_bf16(
    const float* w, tile::bf16* copy, int rows, int outputs, int channels, int pitch, int taps, int taps_x) {
  update_detail::repack(w, copy, {rows, outputs, channels, pitch, taps, taps_x});
}
// extents: w = (long long)rows * outputs; copy = (long long)taps * taps_x * pitch * outputs
extern "C" __global__ void __launch_bounds__(256, 4) repack_f32(
    const float* w, float* copy, int rows, int outputs, int channels, int pitch, int taps, int taps_x) {
  update_detail::repack(w, copy, {rows, outputs, channels, pitch, taps, taps_x});
}
