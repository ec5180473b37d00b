// local_forward.cu - locally connected layers: a product for each output position.
//
// Formula  y[n, oy, ox, o] = act(bias[oy, ox, o] + sum over ky, kx, c of x[n, oy*stride + ky - pad, ox*stride + kx - pad, c]
//          * w[oy, ox, ky, kx, c, o]); x is zero outside the image. act: 0 none, 1 relu, 2 tanh.
// Layout   x, y NHWC; w, bias, tiles, grid: local.cuh.
// Product  for each of output^2 positions M = images, N = out_maps, K = taps^2 * in_maps.
// Aligned  out_maps % V == 0 and in_maps % V == 0, V = 8 (bf16) or 4 (float).
// Cost     2 M N K FLOP a position; w is read ceil(M / 128) times, from memory once: with few images its bytes are all there
//          is. x is read ceil(N / 64) * taps^2 / stride^2 times, mostly from the caches, y written once.
#include "local.cuh"

namespace local {
template <class Math, bool ALIGNED>
__device__ __forceinline__ void forward(const typename Math::E* x, const typename Math::E* w, const float* bias,
                                        typename Math::E* y, const Geometry& g, int activation) {
  typedef typename Math::E E;
  const int depth = g.taps * g.taps_x * g.in_maps;
  const Share share(g.images);
  const WindowsAt<E> a(x, g, share, depth);
  const Rows<E> b{w + (long long)share.position * depth * g.out_maps, depth, g.out_maps};
  const int column = share.position * g.out_maps;
  run<Math, 64, ALIGNED>(a, b, depth, ALL,
                         StoreAt<E>(share, g.images, g.out_maps, y + column, biases(g), bias + column, activation));
}
}  // namespace local

// extents: x = geometry::inputs(g); w = local::weights(g); bias = local::biases(g); y = geometry::outputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_forward_bf16(
    const tile::bf16* x, const tile::bf16* w, const float* bias, tile::bf16* y, Geometry g, int activation) {
  local::forward<product::Bf16, true>(x, w, bias, y, g, activation);
}
// extents: x = geometry::inputs(g); w = local::weights(g); bias = local::biases(g); y = geometry::outputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_forward_bf16_any(
    const tile::bf16* x, const tile::bf16* w, const float* bias, tile::bf16* y, Geometry g, int activation) {
  local::forward<product::Bf16, false>(x, w, bias, y, g, activation);
}
// extents: x = geometry::inputs(g); w = local::weights(g); bias = local::biases(g); y = geometry::outputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_forward_tf32(
    const float* x, const float* w, const float* bias, float* y, Geometry g, int activation) {
  local::forward<product::Tf32, true>(x, w, bias, y, g, activation);
}
// extents: x = geometry::inputs(g); w = local::weights(g); bias = local::biases(g); y = geometry::outputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_forward_tf32_any(
    const float* x, const float* w, const float* bias, float* y, Geometry g, int activation) {
  local::forward<product::Tf32, false>(x, w, bias, y, g, activation);
}
// extents: x = geometry::inputs(g); w = local::weights(g); bias = local::biases(g); y = geometry::outputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_forward_f32_any(
    const float* x, const float* w, const float* bias, float* y, Geometry g, int activation) {
  local::forward<product::F32, false>(x, w, bias, y, g, activation);
}
