// pool.cu - maximum and mean over windows clipped at the right and bottom border, and their gradients.
//
// Formula   max: y[oy, ox] = the first largest x, in row order, of the window from (oy, ox) * stride; a NaN counts only
//           where the window begins with it. avg: the mean over the positions of the window inside the image.
//           gradients: the first largest gets all of dy; every position of the window gets dy / positions; where x is the
//           output of an activation, times its derivative.
// Layout    x, dx [images][input][input][maps]; y, dy [images][output][output][maps].
// Tiling    a thread takes 8 maps (maps % 8 == 0), or one, of a position: of the output forward; of the input backward,
//           where it visits the windows that hold it and, for the maximum, searches each again.
// Cost      for windows of 3x3 with stride 2, per input value: 1 + 1/4 elements of traffic forward, 9/4 operations and
//           conversions; backward avg 1 + 1/4 elements and 9/4 of each, max 2 + 1/4 elements and 81/4 of each, as each
//           of the 9/4 windows is searched. L1 serves the overlap.
// Grid      x = min(ceil(positions * maps / V / 256), 4096) blocks of 256, V = 8 if maps % 8 == 0 else 1, positions =
//           images * output^2 forward, images * input^2 backward; no dynamic shared memory. Any smaller number does.
#include "vector.cuh"

namespace pool_detail {
struct Pool {
  int images, input, output, maps, size, stride;
};

template <int V, bool MAX, class E>
__device__ __forceinline__ void forward(const E* x, E* y, const Pool p) {
  const int positions = p.images * p.output * p.output;
  for (vec::Walk at(p.maps / V); at.inside(positions); at.next()) {
    const vec::Place o(at.row, p.output);
    const int top = o.y * p.stride, left = o.x * p.stride;
    const int rows = min(p.size, p.input - top), columns = min(p.size, p.input - left);
    float result[V];
#pragma unroll
    for (int i = 0; i < V; i++) result[i] = 0.f;
    for (int wy = 0; wy < rows; wy++) {
      const E* a = vec::at(x, p.input, p.maps, o.image, top + wy, left) + at.vector * V;
      for (int wx = 0; wx < columns; wx++, a += p.maps) {
        float v[V];
        vec::load<V>(a, v);
#pragma unroll
        for (int i = 0; i < V; i++)
          if (MAX)
            result[i] = wy + wx == 0 || v[i] > result[i] ? v[i] : result[i];
          else
            result[i] += v[i];
      }
    }
    if (!MAX) {
      const float share = 1.f / (float)(rows * columns);
#pragma unroll
      for (int i = 0; i < V; i++) result[i] *= share;
    }
    vec::store<V>(y + (long long)at.row * p.maps + at.vector * V, result);
  }
}

// x is read for the maximum and for an activation.
template <int V, bool MAX, class E>
__device__ __forceinline__ void gradient(const E* x, const E* dy, E* dx, const Pool p, int activation) {
  const int positions = p.images * p.input * p.input;
  for (vec::Walk at(p.maps / V); at.inside(positions); at.next()) {
    const vec::Place o(at.row, p.input);
    const int last_y = min(o.y / p.stride, p.output - 1), last_x = min(o.x / p.stride, p.output - 1);
    float sum[V];
#pragma unroll
    for (int i = 0; i < V; i++) sum[i] = 0.f;
#pragma unroll 1  // most positions are in one or two windows
    for (int oy = last_y; oy >= 0 && o.y - oy * p.stride < p.size; oy--)
#pragma unroll 1
      for (int ox = last_x; ox >= 0 && o.x - ox * p.stride < p.size; ox--) {
        const int top = oy * p.stride, left = ox * p.stride;
        const int rows = min(p.size, p.input - top), columns = min(p.size, p.input - left);
        const E* slope = vec::at(dy, p.output, p.maps, o.image, oy, ox) + at.vector * V;
        float d[V];
        if (MAX) {
          float best[V];
          unsigned mine = 0;  // bit i: the first largest of map i so far is this thread's position
#pragma unroll
          for (int i = 0; i < V; i++) best[i] = 0.f;
          for (int wy = 0; wy < rows; wy++) {
            const E* a = vec::at(x, p.input, p.maps, o.image, top + wy, left) + at.vector * V;
            for (int wx = 0; wx < columns; wx++, a += p.maps) {
              const unsigned here = top + wy == o.y && left + wx == o.x ? (1u << V) - 1 : 0;
              float v[V];
              vec::load<V>(a, v);
#pragma unroll
              for (int i = 0; i < V; i++)
                if (wy + wx == 0 || v[i] > best[i]) best[i] = v[i], mine = (mine & ~(1u << i)) | (here & 1u << i);
            }
          }
          vec::load<V>(slope, d);
#pragma unroll
          for (int i = 0; i < V; i++)
            if (mine >> i & 1) sum[i] += d[i];
        } else {
          vec::load<V>(slope, d);
          const float share = 1.f / (float)(rows * columns);
#pragma unroll
          for (int i = 0; i < V; i++) sum[i] += d[i] * share;
        }
      }
    const long long here = (long long)at.row * p.maps + at.vector * V;
    if (activation) {
      float v[V];
      vec::load<V>(x + here, v);
#pragma unroll
      for (int i = 0; i < V; i++) sum[i] = element::activate_gradient(v[i], sum[i], activation);
    }
    vec::store<V>(dx + here, sum);
  }
}

template <bool MAX, class E>
__device__ __forceinline__ void forward(const E* x, E* y, const Pool p) {
  p.maps % 8 == 0 ? forward<8, MAX>(x, y, p) : forward<1, MAX>(x, y, p);
}
template <bool MAX, class E>
__device__ __forceinline__ void gradient(const E* x, const E* dy, E* dx, const Pool p, int activation) {
  p.maps % 8 == 0 ? gradient<8, MAX>(x, dy, dx, p, activation) : gradient<1, MAX>(x, dy, dx, p, activation);
}
}  // namespace pool_detail

// extents: x = (long long)images * input * input * maps; y = (long long)images * output * output * maps
extern "C" __global__ void __launch_bounds__(256) max_pool_bf16(
    const tile::bf16* x, tile::bf16* y, int images, int input, int output, int maps, int size, int stride) {
  pool_detail::forward<true>(x, y, {images, input, output, maps, size, stride});
}
// extents: x = (long long)images * input * input * maps; y = (long long)images * output * output * maps
extern "C" __global__ void __launch_bounds__(256) max_pool_f32(
    const float* x, float* y, int images, int input, int output, int maps, int size, int stride) {
  pool_detail::forward<true>(x, y, {images, input, output, maps, size, stride});
}
// extents: x = (long long)images * input * input * maps; y = (long long)images * output * output * maps
extern "C" __global__ void __launch_bounds__(256) avg_pool_bf16(
    const tile::bf16* x, tile::bf16* y, int images, int input, int output, int maps, int size, int stride) {
  pool_detail::forward<false>(x, y, {images, input, output, maps, size, stride});
}
// extents: x = (long long)images * input * input * maps; y = (long long)images * output * output * maps
extern "C" __global__ void __launch_bounds__(256) avg_pool_f32(
    const float* x, float* y, int images, int input, int output, int maps, int size, int stride) {
  pool_detail::forward<false>(x, y, {images, input, output, maps, size, stride});
}
// extents: x = (long long)images * input * input * maps; dy = (long long)images * output * output * maps; dx = (long long)images * input * input * maps
extern "C" __global__ void __launch_bounds__(256, 3) max_pool_gradient_bf16(
    const tile::bf16* x, const tile::bf16* dy, tile::bf16* dx, int images, int input, int output, int maps, int size, int stride,
    int activation) {
  pool_detail::gradient<true>(x, dy, dx, {images, input, output, maps, size, stride}, activation);
}
// extents: x = (long long)images * input * input * maps; dy = (long long)images * output * output * maps; dx = (long long)images * input * input * maps
extern "C" __global__ void __launch_bounds__(256, 3) max_pool_gradient_f32(
    const float* x, const float* dy, float* dx, int images, int input, int output, int maps, int size, int stride,
    int activation) {
  pool_detail::gradient<true>(x, dy, dx, {images, input, output, maps, size, stride}, activation);
}
// extents: x = (long long)images * input * input * maps; dy = (long long)images * output * output * maps; dx = (long long)images * input * input * maps
extern "C" __global__ void __launch_bounds__(256) avg_pool_gradient_bf16(
    const tile::bf16* x, const tile::bf16* dy, tile::bf16* dx, int images, int input, int output, int maps, int size, int stride,
    int activation) {
  pool_detail::gradient<false>(x, dy, dx, {images, input, output, maps, size, stride}, activation);
}
// extents: x = (long long)images * input * input * maps; dy = (long long)images * output * output * maps; dx = (long long)images * input * input * maps
extern "C" __global__ void __launch_bounds__(256) avg_pool_gradient_f32(
    const float* x, const float* dy, float* dx, int images, int input, int output, int maps, int size, int stride,
    int activation) {
  pool_detail::gradient<false>(x, dy, dx, {images, input, output, maps, size, stride}, activation);
}
