// lrn.cu - local response normalisation across maps, and its gradient.
//
// Formula   y[i] = x[i] * s[i]^-beta,  s[i] = k + alpha * sum of x[j]^2 over the maps j, |i - j| <= size / 2, clipped
//           dx[j] = dy[j] * s[j]^-beta - 2 alpha beta x[j] * sum over those maps i of x[i] * dy[i] * s[i]^(-beta - 1)
// Layout    [rows][maps], a row is a position of an image.
// Tiling    size 5, beta 3/4, maps % 8 == 0: a thread takes 8 maps of a row and reads 2 more on either side (norm.cuh).
//           The gradient needs h of those 2 as well: it comes from the neighbouring lanes, so 30 lanes of a warp store
//           and the outer two only compute. Else a warp takes a row and a thread a map; the gradient then costs size^2.
// Cost      forward 2 elements of traffic, about 12 FLOP a value; gradient 3 elements, about 30. Each element is
//           converted once on the way in (halo: 1.5 times) and once on the way out.
// Grid      lrn:          x = min(ceil(rows * maps / 8 / 256), 4096) blocks of 256, no dynamic shared memory
//           lrn_gradient: x = min(ceil(rows * maps / 8 / 240), 4096) blocks of 256, no dynamic shared memory
//           Any other number of blocks gives the same result.
#include "norm.cuh"

namespace lrn_detail {
template <class E>
__device__ __forceinline__ void forward(const E* x, E* y, int rows, int maps, const Norm n) {
  if (normalise::narrow(n, maps)) {
    const int vectors = maps / 8;
    for (vec::Walk at(vectors); at.inside(rows); at.next()) {
      float v[12], b[8];
      normalise::load_halo(x + (long long)at.row * maps, at.vector, vectors, v);
      normalise::forward(n, v, b);
      vec::store<8>(y + (long long)at.row * maps + at.vector * 8, b);
    }
    return;
  }
  const int warps = gridDim.x * (blockDim.x / 32), lane = threadIdx.x % 32;
  for (long long row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; row < rows; row += warps) {
    const E* a = x + row * maps;
    for (int map = lane; map < maps; map += 32)
      element::store(y + row * maps + map,
                     element::load(a + map) * normalise::power(normalise::sum(n, a, map, maps), n.beta));
  }
}

template <class E>
__device__ __forceinline__ void gradient(const E* x, const E* dy, E* dx, int rows, int maps, const Norm n) {
  const int warps = gridDim.x * (blockDim.x / 32), lane = threadIdx.x % 32;
  const int warp = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (normalise::narrow(n, maps)) {
    const int vectors = maps / 8;
    // Lane 0 of the first warp would begin before the matrix: all count from one row earlier.
    vec::Walk at(vectors, warp * normalise::USEFUL + lane + vectors - 1, warps * normalise::USEFUL);
    const long long end = (long long)rows * vectors;
    for (long long base = warp * normalise::USEFUL; base < end; base += warps * normalise::USEFUL, at.next()) {
      const int row = at.row - 1;
      const long long first = (long long)row * maps;
      const bool inside = row >= 0 && row < rows;
      float v[12], db[8], da[8];
#pragma unroll
      for (int i = 0; i < 12; i++) v[i] = 0.f;
#pragma unroll
      for (int i = 0; i < 8; i++) db[i] = 0.f;
      if (inside) {
        normalise::load_halo(x + first, at.vector, vectors, v);
        vec::load<8>(dy + first + at.vector * 8, db);
      }
      normalise::gradient(n, v, db, at.vector == 0, at.vector == vectors - 1, da);
      if (inside && lane > 0 && lane < 31) vec::store<8>(dx + first + at.vector * 8, da);
    }
    return;
  }
  for (long long row = warp; row < rows; row += warps) {
    const E *a = x + row * maps, *db = dy + row * maps;
    for (int map = lane; map < maps; map += 32)
      element::store(dx + row * maps + map,
                     normalise::gradient(n, a, map, maps, [=](int m) { return element::load(db + m); }));
  }
}
}  // namespace lrn_detail

// extents: x = (long long)rows * maps; y = (long long)rows * maps
extern "C" __global__ void __launch_bounds__(256) lrn_bf16(
    const tile::bf16* x, tile::bf16* y, int rows, int maps, int size, float k, float alpha, float beta) {
  lrn_detail::forward(x, y, rows, maps, Norm{size, k, alpha, beta});
}
// extents: x = (long long)rows * maps; y = (long long)rows * maps
extern "C" __global__ void __launch_bounds__(256) lrn_f32(
    const float* x, float* y, int rows, int maps, int size, float k, float alpha, float beta) {
  lrn_detail::forward(x, y, rows, maps, Norm{size, k, alpha, beta});
}
// extents: x = (long long)rows * maps; dy = (long long)rows * maps; dx = (long long)rows * maps
extern "C" __global__ void __launch_bounds__(256) lrn_gradient_bf16(
    const tile::bf16* x, const tile::bf16* dy, tile::bf16* dx, int rows, int maps, int size, float k, float alpha,
    float beta) {
  lrn_detail::gradient(x, dy, dx, rows, maps, Norm{size, k, alpha, beta});
}
// extents: x = (long long)rows * maps; dy = (long long)rows * maps; dx = (long long)rows * maps
extern "C" __global__ void __launch_bounds__(256) lrn_gradient_f32(
    const float* x, const float* dy, float* dx, int rows, int maps, int size, float k, float alpha, float beta) {
  lrn_detail::gradient(x, dy, dx, rows, maps, Norm{size, k, alpha, beta});
}
