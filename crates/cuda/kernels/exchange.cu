// exchange.cu - the maps of two towers side by side, and back: the sum of their shares of a gradient.
//
// Formula   gather:  out[row] = a[row] followed by b[row], each `maps` long; without b only a[row]
//           scatter: out[row][i] = a[row * a_pitch + a_first + i] (+ b[row * b_pitch + b_first + i])
// Layout    rows of maps; scatter reads a part of each row of a and b and writes rows without gaps.
// Tiling    gather: 16 bytes a thread where maps allow it, bits as they are. scatter: 8 elements a thread where maps,
//           pitches and first maps are multiples of 8. Else one element.
// Cost      gather: 2 elements of traffic a value, no conversion. scatter: 2 (with b 3) elements, one conversion each.
// Grid      x = min(ceil(values / 8 / 256), 4096) blocks of 256, no dynamic shared memory, where gather has rows * maps
//           values (twice that with b) and scatter rows * maps. Any smaller number does.
#include "vector.cuh"

namespace exchange_detail {
// T: an element, or as many of them as are 16 bytes; `maps` counts these.
template <class T>
__device__ __forceinline__ void gather(const T* a, const T* b, T* out, int rows, int maps) {
  const int pitch = b ? 2 * maps : maps;
  for (vec::Walk at(pitch); at.inside(rows); at.next()) {
    const bool second = at.vector >= maps;
    const T* from = (second ? b : a) + (long long)at.row * maps + (second ? at.vector - maps : at.vector);
    out[(long long)at.row * pitch + at.vector] = *from;
  }
}
template <class E>
__device__ __forceinline__ void gather_rows(const E* a, const E* b, E* out, int rows, int maps) {
  constexpr int V = 16 / (int)sizeof(E);
  if (maps % V == 0 && vec::aligned(a) && vec::aligned(b) && vec::aligned(out))
    gather(reinterpret_cast<const uint4*>(a), reinterpret_cast<const uint4*>(b), reinterpret_cast<uint4*>(out), rows,
           maps / V);
  else
    gather(a, b, out, rows, maps);
}

template <int V, class E>
__device__ __forceinline__ void scatter(const E* a, int a_pitch, int a_first, const E* b, int b_pitch, int b_first,
                                        E* out, int rows, int maps) {
  for (vec::Walk at(maps / V); at.inside(rows); at.next()) {
    float v[V], w[V];
    vec::load<V>(a + (long long)at.row * a_pitch + a_first + at.vector * V, v);
    if (b) {
      vec::load<V>(b + (long long)at.row * b_pitch + b_first + at.vector * V, w);
#pragma unroll
      for (int i = 0; i < V; i++) v[i] += w[i];
    }
    vec::store<V>(out + (long long)at.row * maps + at.vector * V, v);
  }
}
template <class E>
__device__ __forceinline__ void scatter_rows(const E* a, int a_pitch, int a_first, const E* b, int b_pitch,
                                             int b_first, E* out, int rows, int maps) {
  const bool together = (maps | a_pitch | a_first) % 8 == 0 && (!b || (b_pitch | b_first) % 8 == 0) &&
                        vec::aligned(a) && vec::aligned(b) && vec::aligned(out);
  together ? scatter<8>(a, a_pitch, a_first, b, b_pitch, b_first, out, rows, maps)
           : scatter<1>(a, a_pitch, a_first, b, b_pitch, b_first, out, rows, maps);
}
}  // namespace exchange_detail

// extents: a = (long long)rows * maps; b = (long long)rows * maps; out = (long long)rows * maps * (b ? 2 : 1)
extern "C" __global__ void __launch_bounds__(256) gather_bf16(
    const tile::bf16* a, const tile::bf16* b, tile::bf16* out, int rows, int maps) {
  exchange_detail::gather_rows(a, b, out, rows, maps);
}
// extents: a = (long long)rows * maps; b = (long long)rows * maps; out = (long long)rows * maps * (b ? 2 : 1)
extern "C" __global__ void __launch_bounds__(256) gather_f32(
    const float* a, const float* b, float* out, int rows, int maps) {
  exchange_detail::gather_rows(a, b, out, rows, maps);
}
// extents: a = (long long)(rows - 1) * a_pitch + a_first + maps; b = (long long)(rows - 1) * b_pitch + b_first + maps; out = (long long)rows * maps
extern "C" __global__ void __launch_bounds__(256) scatter_bf16(
    const tile::bf16* a, int a_pitch, int a_first, const tile::bf16* b, int b_pitch, int b_first, tile::bf16* out,
    int rows, int maps) {
  exchange_detail::scatter_rows(a, a_pitch, a_first, b, b_pitch, b_first, out, rows, maps);
}
// extents: a = (long long)(rows - 1) * a_pitch + a_first + maps; b = (long long)(rows - 1) * b_pitch + b_first + maps; out = (long long)rows * maps
extern "C" __global__ void __launch_bounds__(256) scatter_f32(
    const float* a, int a_pitch, int a_first, const float* b, int b_pitch, int b_first, float* out, int rows,
    int maps) {
  exchange_detail::scatter_rows(a, a_pitch, a_first, b, b_pitch, b_first, out, rows, maps);
}
