// element.cuh - elements of storage (float, or bf16 as its raw 16 bits) as float, one by one or four at a time.
#pragma once
#include "tile.cuh"

namespace element {
using tile::bf16;

__device__ __forceinline__ float load(const float* p) { return *p; }
__device__ __forceinline__ float load(const bf16* p) { return tile::bf16_to_f32(*p); }
__device__ __forceinline__ void store(float* p, float v) { *p = v; }
__device__ __forceinline__ void store(bf16* p, float v) { *p = tile::f32_to_bf16(v); }

// Four neighbours; the address is a multiple of 4 elements.
__device__ __forceinline__ float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ __forceinline__ float4 load4(const bf16* p) {
  const uint2 r = *reinterpret_cast<const uint2*>(p);
  return make_float4(__uint_as_float(r.x << 16), __uint_as_float(r.x & 0xffff0000u),
                     __uint_as_float(r.y << 16), __uint_as_float(r.y & 0xffff0000u));
}
__device__ __forceinline__ void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }
__device__ __forceinline__ void store4(bf16* p, float4 v) {
  *reinterpret_cast<uint2*>(p) = make_uint2(tile::pack_bf16x2(v.x, v.y), tile::pack_bf16x2(v.z, v.w));
}

// 0 none, 1 relu, 2 tanh. Unlike fmaxf, the comparison keeps NaN.
__device__ __forceinline__ float activate(float v, int activation) {
  if (activation == 1) return v < 0.f ? 0.f : v;
  if (activation == 2) return tanhf(v);
  return v;
}
// The derivative of an activation at its output y, times g.
__device__ __forceinline__ float activate_gradient(float y, float g, int activation) {
  if (activation == 1) return y > 0.f ? g : 0.f;
  if (activation == 2) return g * (1.f - y * y);
  return g;
}
}  // namespace element
