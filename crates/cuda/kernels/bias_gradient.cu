// bias_gradient.cu - gradient of a bias: column sums of dy, in parts that split_sum adds up.
//
// Formula  partial[b][c] = sum over rows r in [b * rows_per_block, (b + 1) * rows_per_block) of dy[r][c].
// Layout   dy [rows][cols] row major; partial [ceil(rows / rows_per_block)][cols] floats.
// Tiling   a block sums 64 columns: 16 threads across, of 4 columns each, 16 rows at a time, whose sums are then added in
//          order. Grid (ceil(cols / 64), ceil(rows / rows_per_block)), 256 threads, 4 KiB of shared memory.
// Cost     dy is read once; 1 FLOP an element.
#include "element.cuh"

namespace bias_gradient {
constexpr int ACROSS = 16, LINES = 16, COLS = ACROSS * 4;

template <class E>
__device__ __forceinline__ void sum(const E* dy, float* partial, int rows, int cols, int rows_per_block, float* sums) {
  const int across = (int)threadIdx.x % ACROSS, line = (int)threadIdx.x / ACROSS;
  const int c = (int)blockIdx.x * COLS + across * 4;
  const long long begin = (long long)blockIdx.y * rows_per_block;
  const int count = (int)(rows - begin < rows_per_block ? rows - begin : rows_per_block);
  float4 s = make_float4(0.f, 0.f, 0.f, 0.f);
  if (c < cols) {
    const E* p = dy + ((begin + line) * cols + c);
    const bool whole = cols % 4 == 0;
#pragma unroll 4
    for (int r = line; r < count; r += LINES, p += (long long)LINES * cols) {
      float4 v = make_float4(0.f, 0.f, 0.f, 0.f);
      if (whole) {
        v = element::load4(p);
      } else {
        v.x = element::load(p);
        if (c + 1 < cols) v.y = element::load(p + 1);
        if (c + 2 < cols) v.z = element::load(p + 2);
        if (c + 3 < cols) v.w = element::load(p + 3);
      }
      s.x += v.x, s.y += v.y, s.z += v.z, s.w += v.w;
    }
  }
  element::store4(sums + line * COLS + across * 4, s);
  __syncthreads();
  const int col = (int)blockIdx.x * COLS + (int)threadIdx.x;
  if (threadIdx.x < COLS && col < cols) {
    float total = 0.f;
#pragma unroll
    for (int l = 0; l < LINES; l++) total += sums[l * COLS + threadIdx.x];
    partial[(long long)blockIdx.y * cols + col] = total;
  }
}
}  // namespace bias_gradient

// extents: dy = (long long)rows * cols; partial = ((long long)rows + rows_per_block - 1) / rows_per_block * cols
extern "C" __global__ void __launch_bounds__(256) bias_gradient_bf16(
    const tile::bf16* dy, float* partial, int rows, int cols, int rows_per_block) {
  __shared__ __align__(16) float sums[bias_gradient::LINES * bias_gradient::COLS];
  bias_gradient::sum(dy, partial, rows, cols, rows_per_block, sums);
}
// extents: dy = (long long)rows * cols; partial = ((long long)rows + rows_per_block - 1) / rows_per_block * cols
extern "C" __global__ void __launch_bounds__(256) bias_gradient_f32(
    const float* dy, float* partial, int rows, int cols, int rows_per_block) {
  __shared__ __align__(16) float sums[bias_gradient::LINES * bias_gradient::COLS];
  bias_gradient::sum(dy, partial, rows, cols, rows_per_block, sums);
}
