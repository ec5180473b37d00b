// activation.cu - activations and their gradients, where they could not be fused.
//
// Formula   activate: y = f(x), f = identity (0), max(0, x) that keeps NaN (1), tanh (2)
//           activation_gradient: gradient *= f'(x), from y = f(x): 1; y > 0; 1 - y^2. In place.
// Layout    `count` elements in a row. y may be x.
// Tiling    8 elements a thread where the pointers are aligned to 16 bytes; the rest, fewer than 8 then, one by one.
// Cost      2 elements of traffic a value (gradient: 3), one conversion each way, 1 to 20 FLOP.
// Grid      x = min(ceil(count / 8 / 256), 4096) blocks of 256, no dynamic shared memory. Any smaller number does.
#include "vector.cuh"

namespace activation_detail {
__device__ __forceinline__ float slope(float y, float gradient, int activation) {
  if (activation == 1) return y > 0.f ? gradient : 0.f;
  if (activation == 2) return gradient * (1.f - y * y);
  return gradient;
}

template <class E>
__device__ __forceinline__ void forward(const E* x, E* y, long long count, int activation) {
  const long long thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
  const long long whole = vec::aligned(x) && vec::aligned(y) ? count / 8 * 8 : 0;
  for (long long i = thread * 8; i < whole; i += threads * 8) {
    float v[8];
    vec::load<8>(x + i, v);
#pragma unroll
    for (int j = 0; j < 8; j++) v[j] = element::activate(v[j], activation);
    vec::store<8>(y + i, v);
  }
  for (long long i = whole + thread; i < count; i += threads)
    element::store(y + i, element::activate(element::load(x + i), activation));
}

template <class E>
__device__ __forceinline__ void gradient(const E* y, E* gradient, long long count, int activation) {
  const long long thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
  const long long whole = vec::aligned(y) && vec::aligned(gradient) ? count / 8 * 8 : 0;
  for (long long i = thread * 8; i < whole; i += threads * 8) {
    float v[8], g[8];
    vec::load<8>(y + i, v);
    vec::load<8>(gradient + i, g);
#pragma unroll
    for (int j = 0; j < 8; j++) g[j] = slope(v[j], g[j], activation);
    vec::store<8>(gradient + i, g);
  }
  for (long long i = whole + thread; i < count; i += threads)
    element::store(gradient + i, slope(element::load(y + i), element::load(gradient + i), activation));
}
}  // namespace activation_detail

// extents: x = count; y = count
extern "C" __global__ void __launch_bounds__(256) activate_bf16(
    const tile::bf16* x, tile::bf16* y, long long count, int activation) {
  activation_detail::forward(x, y, count, activation);
}
// extents: x = count; y = count
extern "C" __global__ void __launch_bounds__(256) activate_f32(
    const float* x, float* y, long long count, int activation) {
  activation_detail::forward(x, y, count, activation);
}
// extents: y = count; gradient = count
extern "C" __global__ void __launch_bounds__(256) activation_gradient_bf16(
    const tile::bf16* y, tile::bf16* gradient, long long count, int activation) {
  activation_detail::gradient(y, gradient, count, activation);
}
// extents: y = count; gradient = count
extern "C" __global__ void __launch_bounds__(256) activation_gradient_f32(
    const float* y, float* gradient, long long count, int activation) {
  activation_detail::gradient(y, gradient, count, activation);
}
