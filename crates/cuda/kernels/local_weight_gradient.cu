// local_weight_gradient.cu - gradient of a locally connected layer's weights: a product for each output position.
//
// Formula  dw[oy, ox, ky, kx, c, o] = sum over n of x[n, oy*stride + ky - pad, ox*stride + kx - pad, c] * dy[n, oy, ox, o];
//          zero for taps outside the image.
// Layout   x, dy NHWC; dw as w, floats; tiles, grid: local.cuh.
// Product  for each of output^2 positions M = taps^2 * in_maps, N = out_maps, K = images.
// Aligned  out_maps % V == 0 and in_maps % V == 0, V = 8 (bf16) or 4 (float).
// Cost     2 M N K FLOP a position; x is read taps^2 / stride^2 times (mostly from the caches) and ceil(N / 64) times, dy
//          ceil(M / 128) times, dw written once: 4 bytes a weight, which the learning rule reads again.
#include "local.cuh"

namespace local {
template <class Math, bool ALIGNED>
__device__ __forceinline__ void weight_gradient(const typename Math::E* x, const typename Math::E* dy, float* dw,
                                                const Geometry& g) {
  typedef typename Math::E E;
  const int rows = g.taps * g.taps_x * g.in_maps;
  const Share share(rows);
  const WindowsAcrossAt<E> a(x, g, share, rows);
  const MapsAt<E> b{dy + share.position * g.out_maps, g.images, g.out_maps, biases(g)};
  float* own = dw + (long long)share.position * rows * g.out_maps;
  run<Math, 64, ALIGNED>(a, b, g.images, ALL, StoreAt<float>(share, rows, g.out_maps, own, g.out_maps));
}
}  // namespace local

// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = local::weights(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_weight_gradient_bf16(
    const tile::bf16* x, const tile::bf16* dy, float* dw, Geometry g) {
  local::weight_gradient<product::Bf16, true>(x, dy, dw, g);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = local::weights(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_weight_gradient_bf16_any(
    const tile::bf16* x, const tile::bf16* dy, float* dw, Geometry g) {
  local::weight_gradient<product::Bf16, false>(x, dy, dw, g);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = local::weights(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_weight_gradient_tf32(
    const float* x, const float* dy, float* dw, Geometry g) {
  local::weight_gradient<product::Tf32, true>(x, dy, dw, g);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = local::weights(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_weight_gradient_tf32_any(
    const float* x, const float* dy, float* dw, Geometry g) {
  local::weight_gradient<product::Tf32, false>(x, dy, dw, g);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = local::weights(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_weight_gradient_f32_any(
    const float* x, const float* dy, float* dw, Geometry g) {
  local::weight_gradient<product::F32, false>(x, dy, dw, g);
}
