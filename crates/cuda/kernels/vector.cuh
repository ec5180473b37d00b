// vector.cuh - eight (or one) neighbouring elements as floats, and the walk of a grid over the vectors of a matrix.
//
// Eight elements are 16 bytes of bf16 or twice 16 bytes of f32. Kernels that work on the maps of a position have a body
// for V = 8, taken where the number of maps is a multiple of 8, and the same body for V = 1. Pointers are aligned to 16
// bytes at element 0, so every eighth element is.
#pragma once
#include "element.cuh"

namespace vec {
using tile::bf16;

__device__ __forceinline__ bool aligned(const void* p) { return ((unsigned long long)p & 15) == 0; }

__device__ __forceinline__ void unpack(unsigned pair, float& low, float& high) {
  low = __uint_as_float(pair << 16);
  high = __uint_as_float(pair & 0xffff0000u);
}

template <int V>
__device__ __forceinline__ void load(const float* p, float (&v)[V]) {
  if constexpr (V == 1) {
    v[0] = *p;
  } else {
    const float4 a = *reinterpret_cast<const float4*>(p), b = *reinterpret_cast<const float4*>(p + 4);
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
  }
}
template <int V>
__device__ __forceinline__ void load(const bf16* p, float (&v)[V]) {
  if constexpr (V == 1) {
    v[0] = tile::bf16_to_f32(*p);
  } else {
    const uint4 r = *reinterpret_cast<const uint4*>(p);
    unpack(r.x, v[0], v[1]), unpack(r.y, v[2], v[3]), unpack(r.z, v[4], v[5]), unpack(r.w, v[6], v[7]);
  }
}
// Two neighbours, from an even element.
__device__ __forceinline__ void load_pair(const float* p, float& low, float& high) {
  const float2 r = *reinterpret_cast<const float2*>(p);
  low = r.x, high = r.y;
}
__device__ __forceinline__ void load_pair(const bf16* p, float& low, float& high) {
  unpack(*reinterpret_cast<const unsigned*>(p), low, high);
}

template <int V>
__device__ __forceinline__ void store(float* p, const float (&v)[V]) {
  if constexpr (V == 1) {
    *p = v[0];
  } else {
    *reinterpret_cast<float4*>(p) = make_float4(v[0], v[1], v[2], v[3]);
    *reinterpret_cast<float4*>(p + 4) = make_float4(v[4], v[5], v[6], v[7]);
  }
}
template <int V>
__device__ __forceinline__ void store(bf16* p, const float (&v)[V]) {
  if constexpr (V == 1)
    *p = tile::f32_to_bf16(v[0]);
  else
    *reinterpret_cast<uint4*>(p) = make_uint4(tile::pack_bf16x2(v[0], v[1]), tile::pack_bf16x2(v[2], v[3]),
                                              tile::pack_bf16x2(v[4], v[5]), tile::pack_bf16x2(v[6], v[7]));
}

// Deals the vectors of a matrix [rows][vectors] to threads in turn. Divides once, not at every step.
struct Walk {
  int row, vector;  // of this thread now
  int vectors, row_step, vector_step;

  __device__ __forceinline__ Walk(int vectors, unsigned start, unsigned step) : vectors(vectors) {
    row = (int)(start / (unsigned)vectors);
    vector = (int)(start - (unsigned)row * (unsigned)vectors);
    row_step = (int)(step / (unsigned)vectors);
    vector_step = (int)(step - (unsigned)row_step * (unsigned)vectors);
  }
  // One vector a thread of the grid.
  __device__ __forceinline__ explicit Walk(int vectors)
      : Walk(vectors, blockIdx.x * blockDim.x + threadIdx.x, gridDim.x * blockDim.x) {}
  __device__ __forceinline__ bool inside(int rows) const { return (unsigned)row < (unsigned)rows; }
  __device__ __forceinline__ void next() {
    row += row_step;
    vector += vector_step;
    if (vector >= vectors) vector -= vectors, row++;
  }
};

// A position of a batch of square maps.
struct Place {
  int image, y, x;
  __device__ __forceinline__ Place(int position, int side) {
    const unsigned line = (unsigned)position / (unsigned)side;
    image = (int)(line / (unsigned)side);
    y = (int)(line - (unsigned)image * (unsigned)side);
    x = (int)((unsigned)position - line * (unsigned)side);
  }
};

// Element 0 of the maps at a position.
template <class E>
__device__ __forceinline__ E* at(E* p, int side, int maps, int image, int y, int x) {
  return p + (((long long)image * side + y) * side + x) * maps;
}
}  // namespace vec
