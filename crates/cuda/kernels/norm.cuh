// norm.cuh - what the kernels of local response normalisation share: b = a * s^-beta, s = k + alpha * sum of squares.
//
// Krizhevsky's window of five maps with beta = 3/4 has a path of its own (`narrow`): a thread takes eight maps of a
// position and the two maps on either side, all in registers. Every other window, and maps that are no multiple of
// eight, go the plain way: a warp a position, a thread a map, neighbours through L1.
#pragma once
#include "vector.cuh"

struct Norm {
  int size;
  float k, alpha, beta;
};

namespace normalise {
constexpr int LANES = 32, USEFUL = 30;  // of a warp whose outer lanes serve only their neighbours

__device__ __forceinline__ bool narrow(const Norm& n, int maps) {
  return n.size / 2 == 2 && n.beta == .75f && maps % 8 == 0;
}

// s^(-1/2), from which the narrow path makes its powers. A sum that overflowed counts as a large one: 0 * infinity
// would be NaN. The comparison, unlike fminf, keeps NaN.
__device__ __forceinline__ float inverse_root(float s) { return rsqrtf(s > 3e38f ? 3e38f : s); }
// s^(-3/4) from r = s^(-1/2): r * sqrt(r), the root as r / sqrt(r) since only 1 / sqrt is a single instruction.
__device__ __forceinline__ float three_quarters(float r) { return r * (r * rsqrtf(r)); }
// s^-beta
__device__ __forceinline__ float power(float s, float beta) {
  return beta == .75f ? three_quarters(inverse_root(s)) : powf(s, -beta);
}

// ---- the narrow path -----------------------------------------------------------------------------------------------
// Maps 8 * vector - 2 .. 8 * vector + 10 of the position at `row`; those outside are zero.
template <class E>
__device__ __forceinline__ void load_halo(const E* row, int vector, int vectors, float (&v)[12]) {
  const E* p = row + vector * 8;
  float own[8];
  vec::load<8>(p, own);
#pragma unroll
  for (int i = 0; i < 8; i++) v[i + 2] = own[i];
  v[0] = v[1] = v[10] = v[11] = 0.f;
  if (vector > 0) vec::load_pair(p - 2, v[0], v[1]);
  if (vector < vectors - 1) vec::load_pair(p + 8, v[10], v[11]);
}
// out[i] = v[i] + ... + v[i + 4]
__device__ __forceinline__ void sums_of_five(const float (&v)[12], float (&out)[8]) {
  float pair[10];
#pragma unroll
  for (int i = 0; i < 10; i++) pair[i] = v[i] + v[i + 1];
#pragma unroll
  for (int i = 0; i < 8; i++) out[i] = pair[i] + pair[i + 2] + v[i + 4];
}
// s of the eight inner maps.
__device__ __forceinline__ void sums_of_squares(const Norm& n, const float (&v)[12], float (&s)[8]) {
  float square[12];
#pragma unroll
  for (int i = 0; i < 12; i++) square[i] = v[i] * v[i];
  sums_of_five(square, s);
#pragma unroll
  for (int i = 0; i < 8; i++) s[i] = n.k + n.alpha * s[i];
}
// b of the eight inner maps.
__device__ __forceinline__ void forward(const Norm& n, const float (&v)[12], float (&b)[8]) {
  sums_of_squares(n, v, b);
#pragma unroll
  for (int i = 0; i < 8; i++) b[i] = v[i + 2] * three_quarters(inverse_root(b[i]));
}
// da of the eight inner maps from db; all lanes of the warp, whose neighbours hold the neighbouring vectors of the same
// position unless this is its first or last. Lanes 0 and 31 get nothing useful.
//   da[j] = db[j] * s[j]^-beta - 2 alpha beta a[j] * sum over the neighbours i of h[i],  h = a * db * s^(-beta - 1)
__device__ __forceinline__ void gradient(const Norm& n, const float (&v)[12], const float (&db)[8], bool first,
                                         bool last, float (&da)[8]) {
  float s[8], h[12];
  sums_of_squares(n, v, s);
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const float r = inverse_root(s[i]);
    da[i] = db[i] * three_quarters(r);
    h[i + 2] = v[i + 2] * da[i] * (r * r);
  }
  h[0] = __shfl_up_sync(0xffffffffu, h[8], 1);
  h[1] = __shfl_up_sync(0xffffffffu, h[9], 1);
  h[10] = __shfl_down_sync(0xffffffffu, h[2], 1);
  h[11] = __shfl_down_sync(0xffffffffu, h[3], 1);
  if (first) h[0] = h[1] = 0.f;
  if (last) h[10] = h[11] = 0.f;
  sums_of_five(h, s);
  const float factor = 2.f * n.alpha * n.beta;
#pragma unroll
  for (int i = 0; i < 8; i++) da[i] -= factor * v[i + 2] * s[i];
}

// ---- the plain way -------------------------------------------------------------------------------------------------
// s of one map of the position at `row`.
template <class E>
__device__ __forceinline__ float sum(const Norm& n, const E* row, int map, int maps) {
  const int reach = n.size / 2, end = min(maps, map + reach + 1);
  float squares = 0.f;
  for (int m = max(0, map - reach); m < end; m++) {
    const float v = element::load(row + m);
    squares += v * v;
  }
  return n.k + n.alpha * squares;
}
// da of one map; db(m) is the output's gradient of map m of the position. O(size^2).
template <class E, class Gradient>
__device__ __forceinline__ float gradient(const Norm& n, const E* row, int map, int maps, Gradient db) {
  const int reach = n.size / 2, end = min(maps, map + reach + 1);
  float direct = 0.f, shared = 0.f;
#pragma unroll 1  // the body is large
  for (int m = max(0, map - reach); m < end; m++) {
    const float s = sum(n, row, m, maps), d = db(m) * power(s, n.beta);
    if (m == map) direct = d;
    shared += element::load(row + m) * d / s;
  }
  return direct - 2.f * n.alpha * n.beta * element::load(row + map) * shared;
}
}  // namespace normalise
