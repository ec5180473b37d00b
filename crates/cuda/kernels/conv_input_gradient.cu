// conv_input_gradient.cu - gradient of a convolution (and of dense layers) with respect to its input, an implicit GEMM.
//
// Formula  dx[n, iy, ix, c] = sum over ky, kx, o of dy[n, (iy + pad - ky) / stride, (ix + pad - kx) / stride, o]
//          * w[ky, kx, c, o], over the taps for which both quotients are whole and inside the output.
// Layout   dx, dy NHWC; w [taps][taps_x][in_maps][out_maps]; dx in elements or, raw, partial [split][M][in_maps] as
//          floats: exactly one is given. Positions that no window covers get zero.
// Product  M = images * input^2, N = in_maps, K = taps * taps_x * out_maps; tiles and grid: product.cuh.
// Aligned  out_maps % V == 0, V = 8 (bf16) or 4 (float). in_maps is free: whole chunks are only loaded, along o.
// Cost     2 M N K FLOP, of which stride^2 - 1 out of stride^2 multiply zeros (the nets that we train have stride 1
//          wherever an input gradient is wanted); dy is read ceil(N / BN) times and taps^2 / stride^2 times, the latter
//          mostly from the caches, w ceil(M / 128) times from L2, dx written once.
#include "product.cuh"

namespace conv_input_gradient {
using namespace product;

template <class Math, int BN, bool ALIGNED>
__device__ __forceinline__ void gradient(const typename Math::E* dy, const typename Math::E* w, typename Math::E* dx,
                                         float* partial, const Geometry& g, int steps_per_split) {
  typedef typename Math::E E;
  const int rows = g.images * g.input * g.input, depth = g.taps * g.taps_x * g.out_maps;
  const Takers<E> a(dy, g, rows, depth);
  const WeightsAcross<E> b{w, g, depth};
  float* raw = part(partial, rows, g.in_maps);
  if constexpr (sizeof(E) == 4) {
    run<Math, BN, ALIGNED>(a, b, depth, steps_per_split, Store<E>(rows, g.in_maps, raw ? raw : dx));
  } else {
    run<Math, BN, ALIGNED>(a, b, depth, steps_per_split, Store<E>(rows, g.in_maps, dx, raw));
  }
}
}  // namespace conv_input_gradient

// extents: dy = geometry::outputs(g); w = geometry::weights(g); dx = geometry::inputs(g); partial = geometry::inputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.out_maps, 32, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_input_gradient_bf16(
    const tile::bf16* dy, const tile::bf16* w, tile::bf16* dx, float* partial, Geometry g, int steps_per_split) {
  conv_input_gradient::gradient<product::Bf16, 128, true>(dy, w, dx, partial, g, steps_per_split);
}
// extents: dy = geometry::outputs(g); w = geometry::weights(g); dx = geometry::inputs(g); partial = geometry::inputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.out_maps, 32, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_input_gradient_bf16_n64(
    const tile::bf16* dy, const tile::bf16* w, tile::bf16* dx, float* partial, Geometry g, int steps_per_split) {
  conv_input_gradient::gradient<product::Bf16, 64, true>(dy, w, dx, partial, g, steps_per_split);
}
// extents: dy = geometry::outputs(g); w = geometry::weights(g); dx = geometry::inputs(g); partial = geometry::inputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.out_maps, 32, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_input_gradient_bf16_any(
    const tile::bf16* dy, const tile::bf16* w, tile::bf16* dx, float* partial, Geometry g, int steps_per_split) {
  conv_input_gradient::gradient<product::Bf16, 64, false>(dy, w, dx, partial, g, steps_per_split);
}
// extents: dy = geometry::outputs(g); w = geometry::weights(g); dx = geometry::inputs(g); partial = geometry::inputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.out_maps, 16, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_input_gradient_tf32(
    const float* dy, const float* w, float* dx, float* partial, Geometry g, int steps_per_split) {
  conv_input_gradient::gradient<product::Tf32, 128, true>(dy, w, dx, partial, g, steps_per_split);
}
// extents: dy = geometry::outputs(g); w = geometry::weights(g); dx = geometry::inputs(g); partial = geometry::inputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.out_maps, 16, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_input_gradient_tf32_any(
    const float* dy, const float* w, float* dx, float* partial, Geometry g, int steps_per_split) {
  conv_input_gradient::gradient<product::Tf32, 64, false>(dy, w, dx, partial, g, steps_per_split);
}
// extents: dy = geometry::outputs(g); w = geometry::weights(g); dx = geometry::inputs(g); partial = geometry::inputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.out_maps, 16, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_input_gradient_f32_any(
    const float* dy, const float* w, float* dx, float* partial, Geometry g, int steps_per_split) {
  conv_input_gradient::gradient<product::F32, 64, false>(dy, w, dx, partial, g, steps_per_split);
}
