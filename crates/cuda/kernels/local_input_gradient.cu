// local_input_gradient.cu - gradient of a locally connected layer with respect to its input: a product for each input position.
//
// Formula  dx[n, iy, ix, c] = sum over ky, kx, o of dy[n, oy, ox, o] * w[oy, ox, ky, kx, c, o] with oy = (iy + pad - ky) /
//          stride and ox = (ix + pad - kx) / stride, over the taps for which both are whole and inside the output.
// Layout   dx, dy NHWC; w, tiles, grid: local.cuh. Positions that no window covers get zero.
// Product  for each of input^2 positions M = images, N = in_maps, K = taps^2 * out_maps.
// Aligned  out_maps % V == 0, V = 8 (bf16) or 4 (float). in_maps is free: whole chunks are only loaded, along o.
// Cost     2 M N K FLOP a position, those of taps outside for nothing; w is read ceil(M / 128) times, from memory once, dy
//          ceil(N / 64) * taps^2 / stride^2 times, mostly from the caches, dx written once.
#include "local.cuh"

namespace local {
template <class Math, bool ALIGNED>
__device__ __forceinline__ void input_gradient(const typename Math::E* dy, const typename Math::E* w, typename Math::E* dx,
                                               const Geometry& g) {
  typedef typename Math::E E;
  const int depth = g.taps * g.taps_x * g.out_maps;
  const Share share(g.images);
  const TakersAt<E> a(dy, g, share, depth);
  const WeightsAcrossAt<E> b{w, a};
  const long long pitch = (long long)g.input * g.input * g.in_maps;
  run<Math, 64, ALIGNED>(a, b, depth, ALL,
                         StoreAt<E>(share, g.images, g.in_maps, dx + share.position * g.in_maps, pitch));
}
}  // namespace local

// extents: dy = geometry::outputs(g); w = local::weights(g); dx = geometry::inputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_input_gradient_bf16(
    const tile::bf16* dy, const tile::bf16* w, tile::bf16* dx, Geometry g) {
  local::input_gradient<product::Bf16, true>(dy, w, dx, g);
}
// extents: dy = geometry::outputs(g); w = local::weights(g); dx = geometry::inputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_input_gradient_bf16_any(
    const tile::bf16* dy, const tile::bf16* w, tile::bf16* dx, Geometry g) {
  local::input_gradient<product::Bf16, false>(dy, w, dx, g);
}
// extents: dy = geometry::outputs(g); w = local::weights(g); dx = geometry::inputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_input_gradient_tf32(
    const float* dy, const float* w, float* dx, Geometry g) {
  local::input_gradient<product::Tf32, true>(dy, w, dx, g);
}
// extents: dy = geometry::outputs(g); w = local::weights(g); dx = geometry::inputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_input_gradient_tf32_any(
    const float* dy, const float* w, float* dx, Geometry g) {
  local::input_gradient<product::Tf32, false>(dy, w, dx, g);
}
// extents: dy = geometry::outputs(g); w = local::weights(g); dx = geometry::inputs(g)
extern "C" __global__ void __launch_bounds__(256, 2) local_input_gradient_f32_any(
    const float* dy, const float* w, float* dx, Geometry g) {
  local::input_gradient<product::F32, false>(dy, w, dx, g);
}
