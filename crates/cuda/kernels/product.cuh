// product.cuh - C[m][n] = sum over k of A[m][k] * B[k][n], where A and B need not exist as matrices: an operand is a
// functor that knows where its elements lie (implicit GEMM), an epilogue what becomes of the sums.
//
// Arithmetic  Bf16: bf16 elements, tensor cores. Tf32: float elements rounded to tf32, tensor cores. F32: float, FFMA.
//             All accumulate in f32.
// Tiling      block 128 x BN, 256 threads = 8 warps: BN = 128: 2 x 4 warps of 64 x 32; BN = 64: 4 x 2 warps of 32 x 32.
//             A step is 64 bytes of k: 32 bf16 or 16 floats. All arithmetics own the outputs of mma.m16n8 fragments.
// Aligned     16-byte chunks by cp.async into a ring of 4 stages; one block barrier a step: the stage refilled after
//             the barrier is the one consumed before it. Chunks outside an operand are zero-filled.
// Any         elements one by one: fetched into registers before the arithmetic of half a step, put into the other one of
//             2 stages after it. Rows' places are decoded once, into a table in shared memory.
// Shared      tiles as they lie in memory, k-major ([row][64 bytes]) or n-major ([k][128 or 64 columns]), swizzled by
// memory      16-byte chunks: c of row r sits at c ^ f(r), so that neither ldmatrix nor the plain loads of n-major
//             floats meet in a bank. The sums go through shared memory to leave as whole rows.
//             Dynamic: 64 KiB for BN = 128, 48 KiB for BN = 64 aligned, 32 KiB for Any.
// Grid        (ceil(M / 128), ceil(N / BN), splits): part z sums steps [z * steps_per_split, (z+1) * steps_per_split).
#pragma once
#include "element.cuh"
#include "geometry.cuh"

namespace product {
using tile::bf16;
constexpr int THREADS = 256, BM = 128, STEP_BYTES = 64;

struct Bf16 {
  typedef bf16 E;
  static constexpr bool TENSOR = true;
};
struct Tf32 {
  typedef float E;
  static constexpr bool TENSOR = true;
};
struct F32 {
  typedef float E;
  static constexpr bool TENSOR = false;
};
template <class E> constexpr int CHUNK = 16 / (int)sizeof(E);  // elements of 16 bytes
template <class E> constexpr int BK = STEP_BYTES / (int)sizeof(E);

// Element offsets of a chunk in a tile. k-major rows are 64 bytes: two of them fill the banks, hence row / 2.
template <class E>
__device__ __forceinline__ int at_k(int row, int chunk) {
  return (row * 4 + (chunk ^ ((row >> 1) & 3))) * CHUNK<E>;
}
// n-major rows of R columns fill the banks. bf16: ldmatrix reads a chunk of 8 successive k. float: the lanes of a
// fragment read 4 successive k of 8 columns, that is of two chunks.
template <class E, int R>
__device__ __forceinline__ int at_n(int k, int chunk) {
  return k * R + (chunk ^ (sizeof(E) == 2 ? k & 7 : (k & 3) * 2)) * CHUNK<E>;
}
template <class E, int R, bool K_MAJOR>
__device__ __forceinline__ int at(int row, int k) {  // of one element
  constexpr int V = CHUNK<E>;
  return K_MAJOR ? at_k<E>(row, k / V) + k % V : at_n<E, R>(k, row / V) + row % V;
}

// The tile of R rows (or columns) of an operand, loaded by chunks. An operand has
//   E, K_MAJOR         its elements; whether they are contiguous in k or in the other index
//   Place place(row)   what is worth knowing of a row before the loop
//   const E* at(Place, k)   the element, null where it is zero; of whole chunks the first element decides
template <class Operand, int R>
struct Chunks {
  typedef typename Operand::E E;
  static constexpr int V = CHUNK<E>, PASSES = R / 64;
  static constexpr bool K_MAJOR = Operand::K_MAJOR;
  static constexpr int ACROSS = K_MAJOR ? 4 : R / V;  // chunks of a row of the tile

  const Operand& operand;
  typename Operand::Place places[K_MAJOR ? PASSES : 1];

  __device__ __forceinline__ Chunks(const Operand& o, int row0) : operand(o) {
    if constexpr (K_MAJOR) {
#pragma unroll
      for (int i = 0; i < PASSES; i++) places[i] = o.place(row0 + (int)threadIdx.x / 4 + i * (THREADS / 4));
    } else {
      places[0] = o.place(row0 + (int)threadIdx.x % ACROSS * V);
    }
  }
  __device__ __forceinline__ void load(E* s, int step) const {
    const int chunk = (int)threadIdx.x % ACROSS, line = (int)threadIdx.x / ACROSS;
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
      const int l = line + i * (THREADS / ACROSS);
      const int k = step * BK<E> + (K_MAJOR ? chunk * V : l);
      const E* p = operand.at(places[K_MAJOR ? i : 0], k);
      const int offset = K_MAJOR ? at_k<E>(l, chunk) : at_n<E, R>(l, chunk);
      tile::cp_async16(s + offset, p ? p : operand.base, p ? 16 : 0);
    }
  }
};

// The same tile, loaded element by element: successive threads take successive elements in memory. In two halves, to hold
// few elements in registers.
template <class Operand, int R>
struct Elements {
  typedef typename Operand::E E;
  typedef typename Operand::Place Place;
  static constexpr bool K_MAJOR = Operand::K_MAJOR;
  static constexpr int ACROSS = K_MAJOR ? BK<E> : R, PASSES = R * BK<E> / THREADS / 2;

  const Operand& operand;
  const Place* table;  // k-major: of the R rows
  Place place;         // n-major: of this thread's column
  E values[PASSES];

  __device__ __forceinline__ Elements(const Operand& o, int row0, Place* t) : operand(o), table(t) {
    if constexpr (K_MAJOR) {
      if (threadIdx.x < R) t[threadIdx.x] = o.place(row0 + (int)threadIdx.x);
      __syncthreads();
    } else {
      place = o.place(row0 + (int)threadIdx.x % R);
    }
  }
  __device__ __forceinline__ void fetch(int step, int half) {
    const int first = (int)threadIdx.x % ACROSS, line = (int)threadIdx.x / ACROSS;
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
      const int l = line + (half * PASSES + i) * (THREADS / ACROSS);
      const E* p = K_MAJOR ? operand.at(table[l], step * BK<E> + first) : operand.at(place, step * BK<E> + l);
      values[i] = p ? *p : E(0);
    }
  }
  __device__ __forceinline__ void put(E* s, int half) const {
    const int first = (int)threadIdx.x % ACROSS, line = (int)threadIdx.x / ACROSS;
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
      const int l = line + (half * PASSES + i) * (THREADS / ACROSS);
      s[K_MAJOR ? at<E, R, true>(l, first) : at<E, R, false>(first, l)] = values[i];
    }
  }
};

// Fragments of a 16 x (32 bytes of k) piece of A, and of two neighbouring (32 bytes of k) x 8 pieces of B.
// A row of 8 16-bit values that ldmatrix moves is as well one of 4 floats: k-major tiles are read alike.
template <class Math, int R, bool K_MAJOR>
__device__ __forceinline__ void fragment_a(unsigned (&r)[4], const typename Math::E* s, int row, int kk, int lane) {
  typedef typename Math::E E;
  if constexpr (K_MAJOR) {  // matrices: rows 0-7, rows 8-15, then the same rows at the next chunk of k
    tile::ldmatrix_x4(r, s + at_k<E>(row + (lane & 15), kk * 2 + (lane >> 4)));
  } else if constexpr (sizeof(E) == 2) {
    tile::ldmatrix_x4_trans(
        r, s + at_n<E, R>(kk * 16 + (lane & 7) + (lane >> 4) * 8, (row >> 3) + ((lane >> 3) & 1)));
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++)
      r[i] = __float_as_uint(s[at<E, R, false>(row + (i & 1) * 8 + (lane >> 2), kk * 8 + (i >> 1) * 4 + (lane & 3))]);
  }
}
template <class Math, int R, bool K_MAJOR>
__device__ __forceinline__ void fragments_b(unsigned (&r)[4], const typename Math::E* s, int col, int kk, int lane) {
  typedef typename Math::E E;
  if constexpr (K_MAJOR) {  // matrices: (n, k), (n, next chunk of k), (n + 8, k), (n + 8, next chunk)
    tile::ldmatrix_x4(r, s + at_k<E>(col + (lane & 7) + (lane >> 4) * 8, kk * 2 + ((lane >> 3) & 1)));
  } else if constexpr (sizeof(E) == 2) {
    tile::ldmatrix_x4_trans(r, s + at_n<E, R>(kk * 16 + (lane & 15), (col >> 3) + (lane >> 4)));
  } else {
#pragma unroll
    for (int i = 0; i < 4; i++)
      r[i] = __float_as_uint(s[at<E, R, false>(col + (i >> 1) * 8 + (lane >> 2), kk * 8 + (i & 1) * 4 + (lane & 3))]);
  }
}
__device__ __forceinline__ void round_to_tf32(unsigned (&r)[4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) r[i] = tile::f32_to_tf32(__uint_as_float(r[i]));
}

__device__ __forceinline__ float component(float4 v, int k) { return k == 0 ? v.x : k == 1 ? v.y : k == 2 ? v.z : v.w; }

// acc += the products of half a step's tiles (kk = 0, 1), for a warp's 16 MT x 32 outputs at (row, col) of the block's.
template <class Math, int BN, bool A_K, bool B_K, int MT>
__device__ __forceinline__ void multiply(float (&acc)[MT][4][4], const typename Math::E* sa, const typename Math::E* sb,
                                         int row, int col, int kk, int lane) {
  typedef typename Math::E E;
  if constexpr (Math::TENSOR) {
    unsigned a[MT][4], b[2][4];
#pragma unroll
    for (int i = 0; i < MT; i++) fragment_a<Math, BM, A_K>(a[i], sa, row + i * 16, kk, lane);
#pragma unroll
    for (int j = 0; j < 2; j++) fragments_b<Math, BN, B_K>(b[j], sb, col + j * 16, kk, lane);
    if constexpr (sizeof(E) == 4) {
#pragma unroll
      for (int i = 0; i < MT; i++) round_to_tf32(a[i]);
      round_to_tf32(b[0]);
      round_to_tf32(b[1]);
    }
#pragma unroll
    for (int i = 0; i < MT; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const unsigned pair[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
        if constexpr (sizeof(E) == 2) tile::mma_bf16_16816(acc[i][j], a[i], pair);
        else tile::mma_tf32_1688(acc[i][j], a[i], pair);
      }
  } else {
    // Rows row + i*8 + lane/4, columns col + j/2*8 + lane%4*2 + j%2; 4 values of k at a time. In n-major tiles they lie
    // at i ^ k (j/2 ^ k) instead of i: at_n(), written so that all but the lane's place is a constant of the unrolled loop.
    const int g = lane >> 2, t = lane & 3;
#pragma unroll 1
    for (int chunk = kk * 2; chunk < kk * 2 + 2; chunk++) {
      float4 a4[A_K ? MT * 2 : 1], b4[B_K ? 8 : 1];  // k-major: all 4 at once
      if constexpr (A_K) {
#pragma unroll
        for (int i = 0; i < MT * 2; i++) a4[i] = element::load4(sa + at_k<E>(row + i * 8 + g, chunk));
      }
      if constexpr (B_K) {
#pragma unroll
        for (int j = 0; j < 8; j++) b4[j] = element::load4(sb + at_k<E>(col + j / 2 * 8 + t * 2 + j % 2, chunk));
      }
#pragma unroll
      for (int k = 0; k < 4; k++) {
        float a[MT * 2], b[8];
#pragma unroll
        for (int i = 0; i < MT * 2; i++) {
          if constexpr (A_K) a[i] = component(a4[i], k);
          else a[i] = sa[chunk * 4 * BM + row + g + (k * BM + (i ^ k) * 8)];
        }
#pragma unroll
        for (int j = 0; j < 8; j += 2) {
          if constexpr (B_K) {
            b[j] = component(b4[j], k);
            b[j + 1] = component(b4[j + 1], k);
          } else {
            const float2 v =
                *reinterpret_cast<const float2*>(sb + (chunk * 4 * BN + col + t * 2) + (k * BN + (j / 2 ^ k) * 8));
            b[j] = v.x;
            b[j + 1] = v.y;
          }
        }
#pragma unroll
        for (int i = 0; i < MT * 2; i++)
#pragma unroll
          for (int j = 0; j < 8; j++) acc[i / 2][j / 2][i % 2 * 2 + j % 2] += a[i] * b[j];
      }
    }
  }
}

// The kernel's body. depth: terms of a sum. An epilogue has begin(n), called once with the first of the 4 columns that
// the thread is going to write, and row(m, n, sums) for columns n .. n + 4; m < epilogue.rows, n < epilogue.cols.
template <class Math, int BN, bool ALIGNED, class A, class B, class Epilogue>
__device__ __forceinline__ void run(const A& a, const B& b, int depth, int steps_per_split, Epilogue epilogue) {
  typedef typename Math::E E;
  constexpr int STAGES = ALIGNED ? 4 : 2, A_ELEMENTS = BM * BK<E>, STAGE = (BM + BN) * BK<E>;
  constexpr int MT = BN / 32, WARPS_N = BN / 32;
  DYN_SMEM(E, smem);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int row = warp / WARPS_N * (MT * 16), col = warp % WARPS_N * 32;
  const int m0 = (int)blockIdx.x * BM, n0 = (int)blockIdx.y * BN;
  const int steps = (depth + BK<E> - 1) / BK<E>;
  const int first = min((int)blockIdx.z * steps_per_split, steps), last = min(first + steps_per_split, steps);

  float acc[MT][4][4] = {};
  if constexpr (ALIGNED) {
    const Chunks<A, BM> from_a(a, m0);
    const Chunks<B, BN> from_b(b, n0);
    auto load = [&](int step) {
      if (step < last) {
        E* s = smem + step % STAGES * STAGE;
        from_a.load(s, step);
        from_b.load(s + A_ELEMENTS, step);
      }
      tile::cp_async_commit();  // an empty group at the end keeps the count of pending groups constant
    };
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) load(first + s);
#pragma unroll 1
    for (int step = first; step < last; step++) {
      tile::cp_async_wait<STAGES - 2>();
      __syncthreads();
      load(step + STAGES - 1);
      const E* s = smem + step % STAGES * STAGE;
#pragma unroll
      for (int kk = 0; kk < 2; kk++)
        multiply<Math, BN, A::K_MAJOR, B::K_MAJOR>(acc, s, s + A_ELEMENTS, row, col, kk, lane);
    }
  } else {
    auto* table_a = reinterpret_cast<typename A::Place*>(smem + STAGES * STAGE);
    Elements<A, BM> from_a(a, m0, table_a);
    Elements<B, BN> from_b(b, n0, reinterpret_cast<typename B::Place*>(table_a + BM));
    if (first < last) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        from_a.fetch(first, half);
        from_b.fetch(first, half);
        from_a.put(smem, half);
        from_b.put(smem + A_ELEMENTS, half);
      }
    }
#pragma unroll 1
    for (int step = first; step < last; step++) {
      const E* now = smem + (step - first) % 2 * STAGE;
      E* next = smem + (step - first + 1) % 2 * STAGE;
      __syncthreads();
#pragma unroll
      for (int half = 0; half < 2; half++) {
        if (step + 1 < last) {
          from_a.fetch(step + 1, half);
          from_b.fetch(step + 1, half);
        }
        multiply<Math, BN, A::K_MAJOR, B::K_MAJOR>(acc, now, now + A_ELEMENTS, row, col, half, lane);
        if (step + 1 < last) {
          from_a.put(next, half);
          from_b.put(next + A_ELEMENTS, half);
        }
      }
    }
  }

  // Fragments hold pairs of columns, 8 rows to a register: swizzled by 8 columns, 4 rows do not meet in a bank.
  float* sums = reinterpret_cast<float*>(smem);
  __syncthreads();
#pragma unroll
  for (int i = 0; i < MT; i++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const int r = row + i * 16 + h * 8 + (lane >> 2), c = col + j * 8 + (lane & 3) * 2;
        *reinterpret_cast<float2*>(sums + r * BN + (c ^ (r & 3) * 8)) = make_float2(acc[i][j][2 * h], acc[i][j][2 * h + 1]);
      }
  __syncthreads();
  const int c = (int)threadIdx.x * 4 % BN, n = n0 + c;
  if (n >= epilogue.cols) return;
  epilogue.begin(n);
#pragma unroll 1
  for (int r = (int)threadIdx.x * 4 / BN; r < BM; r += THREADS * 4 / BN) {
    if (m0 + r >= epilogue.rows) break;
    epilogue.row(m0 + r, n, element::load4(sums + r * BN + (c ^ (r & 3) * 8)));
  }
}

// ---- operands ------------------------------------------------------------------------------------------------------

constexpr int OUTSIDE = -(1 << 30);  // a coordinate from which no tap leads into an image

struct __align__(16) Position {
  long long offset;
  int y, x;
};

// A matrix [depth][cols] of which the product sums over the rows: weights forward, dy for the weights' gradient.
template <class Element>
struct Rows {
  typedef Element E;
  typedef int Place;
  static constexpr bool K_MAJOR = false;
  const E* base;
  int depth, cols;

  __device__ __forceinline__ int place(int col) const { return col; }
  __device__ __forceinline__ const E* at(int col, int k) const {
    return k < depth && col < cols ? base + ((long long)k * cols + col) : nullptr;
  }
};

// Windows of x: row = (image, oy, ox), k = (ky, kx, c).
template <class Element>
struct Windows {
  typedef Element E;
  typedef Position Place;
  static constexpr bool K_MAJOR = true;
  const E* base;
  const Geometry& g;
  int rows, depth;

  __device__ __forceinline__ Position place(int row) const {
    if (row >= rows) return Position{0, OUTSIDE, OUTSIDE};
    const int image = split(row, g.by_output_positions), oy = split(row, g.by_output);
    const int y = oy * g.stride - g.pad, x = row * g.stride - g.pad;
    return Position{(((long long)image * g.input + y) * g.input + x) * g.in_maps, y, x};
  }
  __device__ __forceinline__ const E* at(const Position& p, int k) const {
    int c = k;
    const int ky = split(c, g.by_row), kx = split(c, g.by_in_maps);
    const bool inside = k < depth && (unsigned)(p.y + ky) < (unsigned)g.input && (unsigned)(p.x + kx) < (unsigned)g.input;
    return inside ? base + (p.offset + ((ky * g.input + kx) * g.in_maps + c)) : nullptr;
  }
};

// The same windows the other way round: row = (ky, kx, c), k = (image, oy, ox).
template <class Element>
struct WindowsAcross {
  typedef Element E;
  typedef Position Place;
  static constexpr bool K_MAJOR = false;
  const E* base;
  const Geometry& g;
  int rows, depth;

  __device__ __forceinline__ Position place(int row) const {
    if (row >= rows) return Position{0, OUTSIDE, OUTSIDE};
    const int y = split(row, g.by_row) - g.pad, x = split(row, g.by_in_maps) - g.pad;
    return Position{((long long)y * g.input + x) * g.in_maps + row, y, x};
  }
  __device__ __forceinline__ const E* at(const Position& p, int k) const {
    int ox = k;
    const int image = split(ox, g.by_output_positions), y = split(ox, g.by_output) * g.stride, x = ox * g.stride;
    const bool inside = k < depth && (unsigned)(p.y + y) < (unsigned)g.input && (unsigned)(p.x + x) < (unsigned)g.input;
    const int position = (image * g.input + y) * g.input + x;
    return inside ? base + ((long long)position * g.in_maps + p.offset) : nullptr;
  }
};

// dy where an input position took part: row = (image, iy, ix), k = (ky, kx, o).
template <class Element>
struct Takers {
  typedef Element E;
  typedef Position Place;
  static constexpr bool K_MAJOR = true;
  const E* base;
  const Geometry& g;
  int rows, depth;
  unsigned reciprocal;  // ceil(2^32 / stride), which divides sides exactly; unused for stride 1

  __device__ __forceinline__ Takers(const E* dy, const Geometry& geometry, int r, int d)
      : base(dy), g(geometry), rows(r), depth(d), reciprocal(0xffffffffu / (unsigned)geometry.stride + 1) {}
  __device__ __forceinline__ Position place(int row) const {
    if (row >= rows) return Position{0, OUTSIDE, OUTSIDE};
    const int image = split(row, g.by_input_positions), iy = split(row, g.by_input);
    return Position{(long long)image * g.output * g.output * g.out_maps, iy + g.pad, row + g.pad};
  }
  // Below zero it is huge, hence no output either.
  __device__ __forceinline__ unsigned by_stride(unsigned n) const {
    return g.stride == 1 ? n : (unsigned)((unsigned long long)n * reciprocal >> 32);
  }
  __device__ __forceinline__ const E* at(const Position& p, int k) const {
    int o = k;
    const int tap = split(o, g.by_out_maps), ky = quotient(tap, g.by_taps_x), kx = tap - ky * g.taps_x;
    const unsigned y = p.y - ky, x = p.x - kx, oy = by_stride(y), ox = by_stride(x);
    const bool inside = k < depth && oy < (unsigned)g.output && ox < (unsigned)g.output &&
                        oy * g.stride == y && ox * g.stride == x;
    return inside ? base + (p.offset + ((int)(oy * g.output + ox) * g.out_maps + o)) : nullptr;
  }
};

// Weights with the sum over outputs: col = c, k = (ky, kx, o).
template <class Element>
struct WeightsAcross {
  typedef Element E;
  typedef int Place;
  static constexpr bool K_MAJOR = true;
  const E* base;
  const Geometry& g;
  int depth;

  __device__ __forceinline__ int place(int col) const { return col; }
  __device__ __forceinline__ const E* at(int col, int k) const {
    int o = k;
    const int tap = split(o, g.by_out_maps);
    return k < depth && col < g.in_maps ? base + ((long long)(tap * g.in_maps + col) * g.out_maps + o) : nullptr;
  }
};

// ---- epilogues -----------------------------------------------------------------------------------------------------

// Stores columns n .. n + 4 of a row of `cols`.
template <class E>
__device__ __forceinline__ void store_row(E* y, int m, int n, int cols, float4 v) {
  E* p = y + ((long long)m * cols + n);
  if (cols % 4 == 0) {
    element::store4(p, v);
  } else {
    element::store(p, v.x);
    if (n + 1 < cols) element::store(p + 1, v.y);
    if (n + 2 < cols) element::store(p + 2, v.z);
    if (n + 3 < cols) element::store(p + 3, v.w);
  }
}

// Into y or, where elements are not floats, as floats into raw; with bias (null: none) and activation.
template <class E>
struct Store {
  int rows, cols;
  E* y;
  float* raw;
  const float* bias;
  int activation;
  float4 b;

  __device__ __forceinline__ Store(int rows_, int cols_, E* y_, float* raw_ = nullptr, const float* bias_ = nullptr,
                                   int activation_ = 0)
      : rows(rows_), cols(cols_), y(y_), raw(raw_), bias(bias_), activation(activation_) {}
  __device__ __forceinline__ void begin(int n) {
    b = make_float4(0.f, 0.f, 0.f, 0.f);
    if (!bias) return;
    b.x = bias[n];
    if (n + 1 < cols) b.y = bias[n + 1];
    if (n + 2 < cols) b.z = bias[n + 2];
    if (n + 3 < cols) b.w = bias[n + 3];
  }
  __device__ __forceinline__ void row(int m, int n, float4 v) const {
    using element::activate;
    v = make_float4(activate(v.x + b.x, activation), activate(v.y + b.y, activation), activate(v.z + b.z, activation),
                    activate(v.w + b.w, activation));
    if (sizeof(E) == 4 || y) store_row(y, m, n, cols, v);
    else store_row(raw, m, n, cols, v);
  }
};

// The part of this block's split in `partial`, if there are parts.
__device__ __forceinline__ float* part(float* partial, int rows, int cols) {
  return partial ? partial + (long long)blockIdx.z * rows * cols : nullptr;
}
}  // namespace product
