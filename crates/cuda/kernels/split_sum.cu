// split_sum.cu - adds the parts into which a product was split.
//
// Formula  y[r][c] = act(bias[c] + sum over z = 0 .. splits, ascending, of partial[z][r][c]); act: 0 none, 1 relu, 2 tanh.
// Layout   partial [splits][rows][cols] floats, row major; bias [cols] or null; y in elements, y_f32 in floats: exactly
//          one is given.
// Tiling   one thread an output (4 neighbours where cols % 4 == 0), 256 threads a block, grid-stride.
// Cost     (4 splits + size of an element) bytes and splits FLOP an output.
#include "element.cuh"

namespace split_sum {
// Outputs of one thread: float, or float4 = 4 neighbours.
__device__ __forceinline__ void load(float& v, const float* p) { v = *p; }
__device__ __forceinline__ void load(float4& v, const float* p) { v = element::load4(p); }
__device__ __forceinline__ void add(float& a, float b) { a += b; }
__device__ __forceinline__ void add(float4& a, float4 b) { a.x += b.x, a.y += b.y, a.z += b.z, a.w += b.w; }
__device__ __forceinline__ void activate(float& v, int act) { v = element::activate(v, act); }
__device__ __forceinline__ void activate(float4& v, int act) {
  activate(v.x, act), activate(v.y, act), activate(v.z, act), activate(v.w, act);
}
template <class E> __device__ __forceinline__ void store(E* p, float v) { element::store(p, v); }
template <class E> __device__ __forceinline__ void store(E* p, float4 v) { element::store4(p, v); }

template <class V, class E>
__device__ __forceinline__ void sum_as(const float* partial, const float* bias, E* y, float* y_f32, int splits, int rows,
                                       int cols, int activation) {
  constexpr int W = (int)sizeof(V) / 4;
  const long long size = (long long)rows * cols, first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * W;
  const long long pace = (long long)gridDim.x * blockDim.x * W;
  int col = (int)(first % cols);  // kept up to date by addition: a division an output costs as much as the sum
  const int ahead = (int)(pace % cols);
#pragma unroll 1
  for (long long i = first; i < size; i += pace) {
    V v = {}, b = {};
    if (bias) load(b, bias + col);
    const float* p = partial + i;
#pragma unroll 4
    for (int z = 0; z < splits; z++, p += size) {
      V part;
      load(part, p);
      add(v, part);
    }
    add(v, b);
    activate(v, activation);
    if (y) store(y + i, v);
    else store(y_f32 + i, v);
    col += ahead;
    if (col >= cols) col -= cols;
  }
}

template <class E>
__device__ __forceinline__ void sum(const float* partial, const float* bias, E* y, float* y_f32, int splits, int rows,
                                    int cols, int activation) {
  if (cols % 4 == 0) sum_as<float4>(partial, bias, y, y_f32, splits, rows, cols, activation);
  else sum_as<float>(partial, bias, y, y_f32, splits, rows, cols, activation);
}
}  // namespace split_sum

// extents: partial = (long long)splits * rows * cols; bias = cols; y = (long long)rows * cols; y_f32 = (long long)rows * cols
extern "C" __global__ void __launch_bounds__(256) split_sum_bf16(
    const float* partial, const float* bias, tile::bf16* y, float* y_f32, int splits, int rows, int cols, int activation) {
  split_sum::sum(partial, bias, y, y_f32, splits, rows, cols, activation);
}
// extents: partial = (long long)splits * rows * cols; bias = cols; y = (long long)rows * cols; y_f32 = (long long)rows * cols
extern "C" __global__ void __launch_bounds__(256) split_sum_f32(
    const float* partial, const float* bias, float* y, float* y_f32, int splits, int rows, int cols, int activation) {
  split_sum::sum(partial, bias, y, y_f32, splits, rows, cols, activation);
}
