// conv_forward.cu - convolution (and dense layers) as an implicit GEMM.
//
// Formula  y[n, oy, ox, o] = act(bias[o] + sum over ky, kx, c of x[n, oy*stride + ky - pad, ox*stride + kx - pad, c]
//          * w[ky, kx, c, o]); x is zero outside the image. act: 0 none, 1 relu, 2 tanh.
// Layout   x, y NHWC; w [taps][taps_x][in_maps][out_maps]; y in elements, y_f32 or partial [split][M][out_maps] as
//          floats: exactly one is given. Partial sums are raw, split_sum adds bias and activation.
// Product  M = images * output^2, N = out_maps, K = taps * taps_x * in_maps; tiles and grid: product.cuh.
// Aligned  out_maps % V == 0 and in_maps % V == 0, V = 8 (bf16) or 4 (float); or, bf16, the image: in_maps = 4, where a
//          chunk is two pixels, and stride, pad, taps_x and input are even, so that both are inside or outside.
// Cost     2 M N K FLOP; x is read ceil(N / BN) times and taps^2 / stride^2 times, the latter mostly from the caches,
//          w ceil(M / 128) times from L2, y written once.
#include "product.cuh"

namespace conv_forward {
using namespace product;

template <class Math, int BN, bool ALIGNED>
__device__ __forceinline__ void forward(const typename Math::E* x, const typename Math::E* w, const float* bias,
                                        typename Math::E* y, float* y_f32, float* partial, const Geometry& g,
                                        int activation, int steps_per_split) {
  typedef typename Math::E E;
  const int rows = g.images * g.output * g.output, depth = g.taps * g.taps_x * g.in_maps;
  const Windows<E> a{x, g, rows, depth};
  const Rows<E> b{w, depth, g.out_maps};
  float* raw = partial ? part(partial, rows, g.out_maps) : y_f32;
  if (partial) bias = nullptr, activation = 0;
  if constexpr (sizeof(E) == 4) {  // y is of floats, too: one kind of store
    if (raw) y = raw;
    run<Math, BN, ALIGNED>(a, b, depth, steps_per_split, Store<E>(rows, g.out_maps, y, nullptr, bias, activation));
  } else {
    run<Math, BN, ALIGNED>(a, b, depth, steps_per_split, Store<E>(rows, g.out_maps, y, raw, bias, activation));
  }
}
}  // namespace conv_forward

// extents: x = geometry::inputs(g); w = geometry::weights(g); bias = g.out_maps; y = geometry::outputs(g); y_f32 = geometry::outputs(g); partial = geometry::outputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.in_maps, 32, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_forward_bf16(
    const tile::bf16* x, const tile::bf16* w, const float* bias, tile::bf16* y, float* y_f32, float* partial, Geometry g,
    int activation, int steps_per_split) {
  conv_forward::forward<product::Bf16, 128, true>(x, w, bias, y, y_f32, partial, g, activation, steps_per_split);
}
// extents: x = geometry::inputs(g); w = geometry::weights(g); bias = g.out_maps; y = geometry::outputs(g); y_f32 = geometry::outputs(g); partial = geometry::outputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.in_maps, 32, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_forward_bf16_n64(
    const tile::bf16* x, const tile::bf16* w, const float* bias, tile::bf16* y, float* y_f32, float* partial, Geometry g,
    int activation, int steps_per_split) {
  conv_forward::forward<product::Bf16, 64, true>(x, w, bias, y, y_f32, partial, g, activation, steps_per_split);
}
// extents: x = geometry::inputs(g); w = geometry::weights(g); bias = g.out_maps; y = geometry::outputs(g); y_f32 = geometry::outputs(g); partial = geometry::outputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.in_maps, 32, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_forward_bf16_any(
    const tile::bf16* x, const tile::bf16* w, const float* bias, tile::bf16* y, float* y_f32, float* partial, Geometry g,
    int activation, int steps_per_split) {
  conv_forward::forward<product::Bf16, 64, false>(x, w, bias, y, y_f32, partial, g, activation, steps_per_split);
}
// extents: x = geometry::inputs(g); w = geometry::weights(g); bias = g.out_maps; y = geometry::outputs(g); y_f32 = geometry::outputs(g); partial = geometry::outputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.in_maps, 16, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_forward_tf32(
    const float* x, const float* w, const float* bias, float* y, float* y_f32, float* partial, Geometry g,
    int activation, int steps_per_split) {
  conv_forward::forward<product::Tf32, 128, true>(x, w, bias, y, y_f32, partial, g, activation, steps_per_split);
}
// extents: x = geometry::inputs(g); w = geometry::weights(g); bias = g.out_maps; y = geometry::outputs(g); y_f32 = geometry::outputs(g); partial = geometry::outputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.in_maps, 16, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_forward_tf32_any(
    const float* x, const float* w, const float* bias, float* y, float* y_f32, float* partial, Geometry g,
    int activation, int steps_per_split) {
  conv_forward::forward<product::Tf32, 64, false>(x, w, bias, y, y_f32, partial, g, activation, steps_per_split);
}
// extents: x = geometry::inputs(g); w = geometry::weights(g); bias = g.out_maps; y = geometry::outputs(g); y_f32 = geometry::outputs(g); partial = geometry::outputs(g) * geometry::parts((long long)g.taps * g.taps_x * g.in_maps, 16, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_forward_f32_any(
    const float* x, const float* w, const float* bias, float* y, float* y_f32, float* partial, Geometry g,
    int activation, int steps_per_split) {
  conv_forward::forward<product::F32, 64, false>(x, w, bias, y, y_f32, partial, g, activation, steps_per_split);
}
