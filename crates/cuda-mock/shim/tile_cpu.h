// tile_cpu.h - the CPU side of tile.cuh: exact emulation of each wrapper's data movement and fragment layout.
//
// Arithmetic: products of bf16 or tf32 operands are exact in f32; the 16 (or 8) products of one output are summed in
// f32 in order of k and then added to the accumulator. The hardware sums in another, undocumented order, so results
// agree within rounding, not bit for bit.
#pragma once
#include "cuda_cpu.h"

namespace tile {
typedef unsigned short bf16;

namespace emu {
typedef float f8 __attribute__((vector_size(32)));

// Fragment layouts, g = lane / 4, t = lane % 4 (PTX ISA, "Matrix fragments for mma.m16n8k16 / m16n8k8"):
//   C, D 16x8 f32 : reg 0,1 -> (g, 2t), (g, 2t+1)      reg 2,3 -> (g+8, 2t), (g+8, 2t+1)
//   A 16x16 bf16  : reg 0 -> (g, 2t..2t+1)  reg 1 -> (g+8, 2t..)  reg 2 -> (g, 2t+8..)  reg 3 -> (g+8, 2t+8..)
//   B 16x8 bf16   : reg 0 -> (2t..2t+1, g)  reg 1 -> (2t+8.., g)
//   A 16x8 tf32   : reg 0 -> (g, t)  reg 1 -> (g+8, t)  reg 2 -> (g, t+4)  reg 3 -> (g+8, t+4)
//   B 8x8 tf32    : reg 0 -> (t, g)  reg 1 -> (t+4, g)
struct MmaArg { float* d; const unsigned *a, *b; };
inline float lo(unsigned r) { return __uint_as_float(r << 16); }
inline float hi(unsigned r) { return __uint_as_float(r & 0xffff0000u); }
inline float tf(unsigned r) { return __uint_as_float(r & 0xffffe000u); }  // the 13 low bits are not read

template <int K>
inline void multiply(const float (&A)[16][K], const f8 (&B)[K], void** args) {
  for (int i = 0; i < 16; i++) {
    f8 s = {};
    for (int k = 0; k < K; k++) s += A[i][k] * B[k];
    for (int t = 0; t < 4; t++) {
      float* d = ((MmaArg*)args[(i % 8) * 4 + t])->d + (i / 8) * 2;
      d[0] += s[2 * t];
      d[1] += s[2 * t + 1];
    }
  }
}
inline void mma_bf16(void** args, unsigned) {
  float A[16][16]; f8 B[16];
  for (int l = 0; l < 32; l++) {
    const MmaArg& x = *(MmaArg*)args[l];
    int g = l / 4, t = l % 4;
    A[g][2 * t] = lo(x.a[0]);      A[g][2 * t + 1] = hi(x.a[0]);
    A[g + 8][2 * t] = lo(x.a[1]);  A[g + 8][2 * t + 1] = hi(x.a[1]);
    A[g][2 * t + 8] = lo(x.a[2]);  A[g][2 * t + 9] = hi(x.a[2]);
    A[g + 8][2 * t + 8] = lo(x.a[3]); A[g + 8][2 * t + 9] = hi(x.a[3]);
    B[2 * t][g] = lo(x.b[0]);      B[2 * t + 1][g] = hi(x.b[0]);
    B[2 * t + 8][g] = lo(x.b[1]);  B[2 * t + 9][g] = hi(x.b[1]);
  }
  cuda_cpu::E.stats.mma++;
  multiply<16>(A, B, args);
}
inline void mma_tf32(void** args, unsigned) {
  float A[16][8]; f8 B[8];
  for (int l = 0; l < 32; l++) {
    const MmaArg& x = *(MmaArg*)args[l];
    int g = l / 4, t = l % 4;
    A[g][t] = tf(x.a[0]); A[g + 8][t] = tf(x.a[1]); A[g][t + 4] = tf(x.a[2]); A[g + 8][t + 4] = tf(x.a[3]);
    B[t][g] = tf(x.b[0]); B[t + 4][g] = tf(x.b[1]);
  }
  cuda_cpu::E.stats.mma++;
  multiply<8>(A, B, args);
}

// Lane 8*j + i brings the address of row i (8 values of 16 bits) of matrix j; register j of lane l gets the values
// 2t and 2t+1 of row g, or, transposed, the values g of rows 2t and 2t+1.
struct LdArg { unsigned* r; const unsigned short* row; };
template <bool TRANS>
inline void ldmatrix(void** args, unsigned) {
  for (int j = 0; j < 4; j++) {
    const unsigned short* row[8];
    for (int i = 0; i < 8; i++) row[i] = ((LdArg*)args[8 * j + i])->row;
    unsigned use[8] = {}, worst = 0;  // shared memory serves 8 groups of 16 bytes per pass
    for (int i = 0; i < 8; i++) {
      bool seen = false;
      for (int k = 0; k < i; k++) seen |= row[k] == row[i];
      if (!seen) worst = std::max(worst, ++use[((uintptr_t)row[i] >> 4) & 7]);
    }
    cuda_cpu::E.stats.ldmatrix_conflicts += worst - 1;
    for (int l = 0; l < 32; l++) {
      int g = l / 4, t = l % 4;
      unsigned a = TRANS ? row[2 * t][g] : row[g][2 * t], b = TRANS ? row[2 * t + 1][g] : row[g][2 * t + 1];
      ((LdArg*)args[l])->r[j] = a | b << 16;
    }
  }
  cuda_cpu::E.stats.ldmatrix++;
}
inline void check_shared(const void* p, const char* what) {
  if ((uintptr_t)p % 16) cuda_cpu::fail(what, ": shared address not aligned to 16 bytes");
  if (!cuda_cpu::is_shared(p, 16)) cuda_cpu::fail(what, ": address outside shared memory");
}
}  // namespace emu

inline void mma_bf16_16816(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  emu::MmaArg x{d, a, b};
  cuda_cpu::collective(cuda_cpu::MMA_BF16, ~0u, &x, emu::mma_bf16);
}
inline void mma_tf32_1688(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  emu::MmaArg x{d, a, b};
  cuda_cpu::collective(cuda_cpu::MMA_TF32, ~0u, &x, emu::mma_tf32);
}
inline void ldmatrix_x4(unsigned (&r)[4], const void* row) {
  emu::check_shared(row, "ldmatrix");
  emu::LdArg x{r, (const unsigned short*)row};
  cuda_cpu::collective(cuda_cpu::LDMATRIX, ~0u, &x, emu::ldmatrix<false>);
}
inline void ldmatrix_x4_trans(unsigned (&r)[4], const void* row) {
  emu::check_shared(row, "ldmatrix");
  emu::LdArg x{r, (const unsigned short*)row};
  cuda_cpu::collective(cuda_cpu::LDMATRIX_T, ~0u, &x, emu::ldmatrix<true>);
}

// cp.async at its worst: the destination turns to 0xFF when the copy is issued, and the bytes arrive only when the
// issuing thread waits for their group. Early reads, early overwrites and missing waits or barriers all yield NaN.
inline void cp_async16(void* smem, const void* gmem, unsigned src_bytes) {
  emu::check_shared(smem, "cp.async");
  if (src_bytes > 16) cuda_cpu::fail("cp.async: src-size above 16");
  if ((uintptr_t)gmem % 16) cuda_cpu::fail("cp.async: global address not aligned to 16 bytes");
  memset(smem, 0xff, 16);
  cuda_cpu::cur->copies.push_back({smem, gmem, src_bytes});
  cuda_cpu::E.stats.cp_async++;
}
inline void cp_async_commit() { cuda_cpu::cur->groups.push_back(cuda_cpu::cur->copies.size()); }
template <int N>
inline void cp_async_wait() {  // waits until at most the N newest groups are pending
  auto& c = cuda_cpu::cur->copies;
  auto& g = cuda_cpu::cur->groups;
  if (g.size() <= (size_t)N) return;
  size_t groups = g.size() - N, end = g[groups - 1];
  for (size_t i = 0; i < end; i++) {
    char b[16] = {};
    if (c[i].bytes) memcpy(b, c[i].src, c[i].bytes);
    memcpy(c[i].dst, b, 16);
  }
  c.erase(c.begin(), c.begin() + end);
  g.erase(g.begin(), g.begin() + groups);
  for (auto& e : g) e -= end;
}

inline float bf16_to_f32(bf16 h) { return __uint_as_float((unsigned)h << 16); }
inline bf16 f32_to_bf16(float f) {  // round to nearest even; every NaN becomes 0x7FFF
  unsigned u = __float_as_uint(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return (bf16)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
inline unsigned pack_bf16x2(float low, float high) { return f32_to_bf16(low) | (unsigned)f32_to_bf16(high) << 16; }
inline unsigned f32_to_tf32(float f) {  // cvt.rna: nearest, ties away from zero, 10 mantissa bits
  unsigned u = __float_as_uint(f);
  if ((u & 0x7f800000u) == 0x7f800000u) return (u & 0x7fffffu) ? 0x7fffffffu : u;
  return (u + 0x1000u) & 0xffffe000u;
}
}  // namespace tile

#define DYN_SMEM(T, name) T* name = (T*)cuda_cpu::E.smem
