// conv_weight_gradient.cu - gradient of a convolution (and of dense layers) with respect to its weights, an implicit
// GEMM, and the same product with momentum SGD in its epilogue, where the gradient need not exist in memory.
//
// Formula  dw[ky, kx, c, o] = sum over n, oy, ox of x[n, oy*stride + ky - pad, ox*stride + kx - pad, c] * dy[n, oy, ox, o];
//          weight_gradient_update: v <- momentum v - decay rate w - rate dw, w <- w + v, copy <- w (null: no copy),
//          nothing at all once *diverged is not zero.
// Layout   x, dy NHWC; dw, w, v, copy [taps][taps_x][in_maps][out_maps]; dw or partial [split][M][out_maps], floats:
//          exactly one is given.
// Product  M = taps * taps_x * in_maps, N = out_maps, K = images * output^2; tiles and grid: product.cuh. The update
//          takes no splits: it is for products with many tiles, such as those of large dense layers.
// Aligned  as conv_forward: out_maps % V == 0 and in_maps % V == 0, or the image.
// Cost     2 M N K FLOP; x is read taps^2 / stride^2 times (mostly from the caches) and ceil(N / BN) times, dy
//          ceil(M / 128) times; dw written once, or w and v read and written, copy written: 18 bytes a weight.
#include "product.cuh"
#include "state.cuh"

namespace conv_weight_gradient {
using namespace product;

// Momentum SGD with the sums as the gradient.
template <class E>
struct Update {
  int rows, cols;
  float* w;
  float* v;
  E* copy;
  Descent descent;

  __device__ __forceinline__ void begin(int) {}
  __device__ __forceinline__ void row(int m, int n, float4 d) const {
    const long long at = (long long)m * cols + n;
    if (cols % 4 == 0) {
      float4 a = element::load4(w + at), b = element::load4(v + at);
      descent.step(a.x, b.x, d.x);
      descent.step(a.y, b.y, d.y);
      descent.step(a.z, b.z, d.z);
      descent.step(a.w, b.w, d.w);
      element::store4(w + at, a);
      element::store4(v + at, b);
      if (copy) element::store4(copy + at, a);
    } else {
      one(at, d.x);
      if (n + 1 < cols) one(at + 1, d.y);
      if (n + 2 < cols) one(at + 2, d.z);
      if (n + 3 < cols) one(at + 3, d.w);
    }
  }
  __device__ __forceinline__ void one(long long at, float d) const {
    float a = w[at], b = v[at];
    descent.step(a, b, d);
    w[at] = a;
    v[at] = b;
    if (copy) element::store(copy + at, a);
  }
};

template <class Math, int BN, bool ALIGNED, class Epilogue>
__device__ __forceinline__ void sum(const typename Math::E* x, const typename Math::E* dy, const Geometry& g,
                                    int steps_per_split, const Epilogue& epilogue) {
  typedef typename Math::E E;
  const int depth = g.images * g.output * g.output;
  const WindowsAcross<E> a{x, g, epilogue.rows, depth};
  const Rows<E> b{dy, depth, g.out_maps};
  run<Math, BN, ALIGNED>(a, b, depth, steps_per_split, epilogue);
}

template <class Math, int BN, bool ALIGNED>
__device__ __forceinline__ void gradient(const typename Math::E* x, const typename Math::E* dy, float* dw, float* partial,
                                         const Geometry& g, int steps_per_split) {
  const int rows = g.taps * g.taps_x * g.in_maps;
  float* raw = part(partial, rows, g.out_maps);
  sum<Math, BN, ALIGNED>(x, dy, g, steps_per_split, Store<float>(rows, g.out_maps, raw ? raw : dw));
}

template <class Math, int BN, bool ALIGNED>
__device__ __forceinline__ void update(const typename Math::E* x, const typename Math::E* dy, float* w, float* v,
                                       typename Math::E* copy, const State* state, const unsigned* diverged,
                                       float rate_factor, float own_decay, const Geometry& g) {
  if (*diverged) return;
  const int rows = g.taps * g.taps_x * g.in_maps, all = 0x7fffffff;
  sum<Math, BN, ALIGNED>(x, dy, g, all, Update<typename Math::E>{
      rows, g.out_maps, w, v, copy, Descent(state, rate_factor, own_decay)});
}
}  // namespace conv_weight_gradient

// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = geometry::weights(g); partial = geometry::weights(g) * geometry::parts((long long)g.images * g.output * g.output, 32, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_weight_gradient_bf16(
    const tile::bf16* x, const tile::bf16* dy, float* dw, float* partial, Geometry g, int steps_per_split) {
  conv_weight_gradient::gradient<product::Bf16, 128, true>(x, dy, dw, partial, g, steps_per_split);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = geometry::weights(g); partial = geometry::weights(g) * geometry::parts((long long)g.images * g.output * g.output, 32, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_weight_gradient_bf16_n64(
    const tile::bf16* x, const tile::bf16* dy, float* dw, float* partial, Geometry g, int steps_per_split) {
  conv_weight_gradient::gradient<product::Bf16, 64, true>(x, dy, dw, partial, g, steps_per_split);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = geometry::weights(g); partial = geometry::weights(g) * geometry::parts((long long)g.images * g.output * g.output, 32, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_weight_gradient_bf16_any(
    const tile::bf16* x, const tile::bf16* dy, float* dw, float* partial, Geometry g, int steps_per_split) {
  conv_weight_gradient::gradient<product::Bf16, 64, false>(x, dy, dw, partial, g, steps_per_split);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = geometry::weights(g); partial = geometry::weights(g) * geometry::parts((long long)g.images * g.output * g.output, 16, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_weight_gradient_tf32(
    const float* x, const float* dy, float* dw, float* partial, Geometry g, int steps_per_split) {
  conv_weight_gradient::gradient<product::Tf32, 128, true>(x, dy, dw, partial, g, steps_per_split);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = geometry::weights(g); partial = geometry::weights(g) * geometry::parts((long long)g.images * g.output * g.output, 16, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_weight_gradient_tf32_any(
    const float* x, const float* dy, float* dw, float* partial, Geometry g, int steps_per_split) {
  conv_weight_gradient::gradient<product::Tf32, 64, false>(x, dy, dw, partial, g, steps_per_split);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); dw = geometry::weights(g); partial = geometry::weights(g) * geometry::parts((long long)g.images * g.output * g.output, 16, steps_per_split)
extern "C" __global__ void __launch_bounds__(256, 2) conv_weight_gradient_f32_any(
    const float* x, const float* dy, float* dw, float* partial, Geometry g, int steps_per_split) {
  conv_weight_gradient::gradient<product::F32, 64, false>(x, dy, dw, partial, g, steps_per_split);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); w = geometry::weights(g); v = geometry::weights(g); copy = geometry::weights(g); state = 1; diverged = 1
extern "C" __global__ void __launch_bounds__(256, 2) weight_gradient_update_bf16(
    const tile::bf16* x, const tile::bf16* dy, float* w, float* v, tile::bf16* copy, const State* state, const unsigned* diverged,
    float rate_factor, float own_decay, Geometry g) {
  conv_weight_gradient::update<product::Bf16, 128, true>(x, dy, w, v, copy, state, diverged, rate_factor,
                                                           own_decay, g);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); w = geometry::weights(g); v = geometry::weights(g); copy = geometry::weights(g); state = 1; diverged = 1
extern "C" __global__ void __launch_bounds__(256, 2) weight_gradient_update_bf16_n64(
    const tile::bf16* x, const tile::bf16* dy, float* w, float* v, tile::bf16* copy, const State* state, const unsigned* diverged,
    float rate_factor, float own_decay, Geometry g) {
  conv_weight_gradient::update<product::Bf16, 64, true>(x, dy, w, v, copy, state, diverged, rate_factor,
                                                           own_decay, g);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); w = geometry::weights(g); v = geometry::weights(g); copy = geometry::weights(g); state = 1; diverged = 1
extern "C" __global__ void __launch_bounds__(256, 2) weight_gradient_update_bf16_any(
    const tile::bf16* x, const tile::bf16* dy, float* w, float* v, tile::bf16* copy, const State* state, const unsigned* diverged,
    float rate_factor, float own_decay, Geometry g) {
  conv_weight_gradient::update<product::Bf16, 64, false>(x, dy, w, v, copy, state, diverged, rate_factor,
                                                           own_decay, g);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); w = geometry::weights(g); v = geometry::weights(g); copy = geometry::weights(g); state = 1; diverged = 1
extern "C" __global__ void __launch_bounds__(256, 2) weight_gradient_update_tf32(
    const float* x, const float* dy, float* w, float* v, float* copy, const State* state, const unsigned* diverged,
    float rate_factor, float own_decay, Geometry g) {
  conv_weight_gradient::update<product::Tf32, 128, true>(x, dy, w, v, copy, state, diverged, rate_factor,
                                                           own_decay, g);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); w = geometry::weights(g); v = geometry::weights(g); copy = geometry::weights(g); state = 1; diverged = 1
extern "C" __global__ void __launch_bounds__(256, 2) weight_gradient_update_tf32_any(
    const float* x, const float* dy, float* w, float* v, float* copy, const State* state, const unsigned* diverged,
    float rate_factor, float own_decay, Geometry g) {
  conv_weight_gradient::update<product::Tf32, 64, false>(x, dy, w, v, copy, state, diverged, rate_factor,
                                                           own_decay, g);
}
// extents: x = geometry::inputs(g); dy = geometry::outputs(g); w = geometry::weights(g); v = geometry::weights(g); copy = geometry::weights(g); state = 1; diverged = 1
extern "C" __global__ void __launch_bounds__(256, 2) weight_gradient_update_f32_any(
    const float* x, const float* dy, float* w, float* v, float* copy, const State* state, const unsigned* diverged,
    float rate_factor, float own_decay, Geometry g) {
  conv_weight_gradient::update<product::F32, 64, false>(x, dy, w, v, copy, state, diverged, rate_factor,
                                                           own_decay, g);
}
