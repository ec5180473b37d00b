// map_norm.cu - local response normalisation within each map, and its gradient.
//
// Formula   y[p] = x[p] * s[p]^-beta,  s[p] = k + alpha * sum of x[q]^2 over the positions q of the same map within
//           size / 2 rows and columns of p, clipped
//           terms[q] = dy[q] * x[q] * s[q]^(-beta - 1)
//           dx[p] = dy[p] * s[p]^-beta - 2 alpha beta x[p] * sum over the same positions q of terms[q]
// Layout    all [images][side][side][maps]; terms are f32 whatever the elements are.
// Tiling    a thread takes 8 maps (maps % 8 == 0), or one, of a position; L1 serves the neighbours. The gradient is two
//           kernels, since a term is wanted by all positions around it.
// Cost      per value and window of 5x5: forward 2 elements of traffic, 52 FLOP; terms 2 elements + 4 bytes, 54 FLOP;
//           gradient 3 elements + 4 bytes, 80 FLOP. Each element of x is converted 26 times.
// Grid      x = min(ceil(images * side^2 * maps / V / 256), 4096) blocks of 256, V = 8 if maps % 8 == 0 else 1; no
//           dynamic shared memory. Any smaller number does.
#include "norm.cuh"

namespace map_norm_detail {
// Calls visit(position of the batch) for the neighbours of a position, in row order.
template <class Visit>
__device__ __forceinline__ void neighbours(int position, int side, int size, Visit visit) {
  const vec::Place at(position, side);
  const int reach = size / 2;
  const int first_y = max(0, at.y - reach), end_y = min(side, at.y + reach + 1);
  const int first_x = max(0, at.x - reach), end_x = min(side, at.x + reach + 1);
  for (int y = first_y; y < end_y; y++)
    for (int x = first_x; x < end_x; x++) visit((long long)position + (y - at.y) * side + x - at.x);
}

// s of V maps from `map` on.
template <int V, class E>
__device__ __forceinline__ void sums(const Norm& n, const E* x, int position, int side, int maps, int map,
                                     float (&s)[V]) {
#pragma unroll
  for (int i = 0; i < V; i++) s[i] = 0.f;
  neighbours(position, side, n.size, [&](long long q) {
    float v[V];
    vec::load<V>(x + q * maps + map, v);
#pragma unroll
    for (int i = 0; i < V; i++) s[i] += v[i] * v[i];
  });
#pragma unroll
  for (int i = 0; i < V; i++) s[i] = n.k + n.alpha * s[i];
}

template <int V, class E>
__device__ __forceinline__ void forward(const E* x, E* y, int images, int side, int maps, const Norm n) {
  const int positions = images * side * side;
  for (vec::Walk at(maps / V); at.inside(positions); at.next()) {
    const long long here = (long long)at.row * maps + at.vector * V;
    float s[V], v[V];
    sums<V>(n, x, at.row, side, maps, at.vector * V, s);
    vec::load<V>(x + here, v);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] *= normalise::power(s[i], n.beta);
    vec::store<V>(y + here, v);
  }
}

template <int V, class E>
__device__ __forceinline__ void terms(const E* x, const E* dy, float* t, int images, int side, int maps, const Norm n) {
  const int positions = images * side * side;
  for (vec::Walk at(maps / V); at.inside(positions); at.next()) {
    const long long here = (long long)at.row * maps + at.vector * V;
    float s[V], v[V], d[V];
    sums<V>(n, x, at.row, side, maps, at.vector * V, s);
    vec::load<V>(x + here, v);
    vec::load<V>(dy + here, d);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] *= d[i] * normalise::power(s[i], n.beta) / s[i];
    vec::store<V>(t + here, v);
  }
}

template <int V, class E>
__device__ __forceinline__ void gradient(const E* x, const E* dy, const float* t, E* dx, int images, int side, int maps,
                                         const Norm n) {
  const int positions = images * side * side;
  const float factor = 2.f * n.alpha * n.beta;
  for (vec::Walk at(maps / V); at.inside(positions); at.next()) {
    const long long here = (long long)at.row * maps + at.vector * V;
    float s[V], v[V], d[V];
    sums<V>(n, x, at.row, side, maps, at.vector * V, s);
    vec::load<V>(dy + here, d);
#pragma unroll
    for (int i = 0; i < V; i++) d[i] *= normalise::power(s[i], n.beta), s[i] = 0.f;
    neighbours(at.row, side, n.size, [&](long long q) {
      vec::load<V>(t + q * maps + at.vector * V, v);
#pragma unroll
      for (int i = 0; i < V; i++) s[i] += v[i];
    });
    vec::load<V>(x + here, v);
#pragma unroll
    for (int i = 0; i < V; i++) d[i] -= factor * v[i] * s[i];
    vec::store<V>(dx + here, d);
  }
}
}  // namespace map_norm_detail

// extents: x = (long long)images * side * side * maps; y = (long long)images * side * side * maps
extern "C" __global__ void __launch_bounds__(256, 3) map_norm_bf16(
    const tile::bf16* x, tile::bf16* y, int images, int side, int maps, int size, float k, float alpha, float beta) {
  using namespace map_norm_detail;
  const Norm n{size, k, alpha, beta};
  maps % 8 == 0 ? forward<8>(x, y, images, side, maps, n) : forward<1>(x, y, images, side, maps, n);
}
// extents: x = (long long)images * side * side * maps; y = (long long)images * side * side * maps
extern "C" __global__ void __launch_bounds__(256, 3) map_norm_f32(
    const float* x, float* y, int images, int side, int maps, int size, float k, float alpha, float beta) {
  using namespace map_norm_detail;
  const Norm n{size, k, alpha, beta};
  maps % 8 == 0 ? forward<8>(x, y, images, side, maps, n) : forward<1>(x, y, images, side, maps, n);
}
// extents: x = (long long)images * side * side * maps; dy = (long long)images * side * side * maps; terms = (long long)images * side * side * maps
extern "C" __global__ void __launch_bounds__(256, 3) map_norm_terms_bf16(
    const tile::bf16* x, const tile::bf16* dy, float* terms, int images, int side, int maps, int size, float k,
    float alpha, float beta) {
  namespace detail = map_norm_detail;
  const Norm n{size, k, alpha, beta};
  maps % 8 == 0
      ? detail::terms<8>(x, dy, terms, images, side, maps, n)
      : detail::terms<1>(x, dy, terms, images, side, maps, n);
}
// extents: x = (long long)images * side * side * maps; dy = (long long)images * side * side * maps; terms = (long long)images * side * side * maps
extern "C" __global__ void __launch_bounds__(256, 3) map_norm_terms_f32(
    const float* x, const float* dy, float* terms, int images, int side, int maps, int size, float k, float alpha,
    float beta) {
  namespace detail = map_norm_detail;
  const Norm n{size, k, alpha, beta};
  maps % 8 == 0
      ? detail::terms<8>(x, dy, terms, images, side, maps, n)
      : detail::terms<1>(x, dy, terms, images, side, maps, n);
}
// extents: x = (long long)images * side * side * maps; dy = (long long)images * side * side * maps; terms = (long long)images * side * side * maps; dx = (long long)images * side * side * maps
extern "C" __global__ void __launch_bounds__(256, 3) map_norm_gradient_bf16(
    const tile::bf16* x, const tile::bf16* dy, const float* terms, tile::bf16* dx, int images, int side, int maps,
    int size, float k, float alpha, float beta) {
  using namespace map_norm_detail;
  const Norm n{size, k, alpha, beta};
  maps % 8 == 0
      ? gradient<8>(x, dy, terms, dx, images, side, maps, n)
      : gradient<1>(x, dy, terms, dx, images, side, maps, n);
}
// extents: x = (long long)images * side * side * maps; dy = (long long)images * side * side * maps; terms = (long long)images * side * side * maps; dx = (long long)images * side * side * maps
extern "C" __global__ void __launch_bounds__(256, 3) map_norm_gradient_f32(
    const float* x, const float* dy, const float* terms, float* dx, int images, int side, int maps, int size, float k,
    float alpha, float beta) {
  using namespace map_norm_detail;
  const Norm n{size, k, alpha, beta};
  maps % 8 == 0
      ? gradient<8>(x, dy, terms, dx, images, side, maps, n)
      : gradient<1>(x, dy, terms, dx, images, side, maps, n);
}
