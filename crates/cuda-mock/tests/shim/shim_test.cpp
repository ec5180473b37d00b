// shim_test.cpp - the shim itself: wrapper emulation against straightforward references, and one deliberately broken
// kernel for each kind of defect the shim must report.
#include "tile_selftest.cu"
#include "check.h"
using cuda_cpu::launch_named;
#define RUN(k, grid, block, smem, ...) launch_named(#k, k, grid, block, smem, __VA_ARGS__)

// ---- broken kernels ----
__global__ void broken_missing_barrier(float* o) {
  __shared__ float s[64];
  s[threadIdx.x] = (float)threadIdx.x;
  o[threadIdx.x] = s[63 - threadIdx.x];
}
__global__ void broken_missing_syncwarp(float* o) {
  __shared__ float s[32];
  s[threadIdx.x] = (float)threadIdx.x;
  o[threadIdx.x] = s[31 - threadIdx.x];
}
__global__ void broken_barrier_in_branch(int* o) {
  if (threadIdx.x < 32) __syncthreads();
  else { o[0] = 1; __syncthreads(); }
}
__global__ void broken_early_exit(int* o) {
  if (threadIdx.x == 5) return;
  __syncthreads();
  o[threadIdx.x] = 1;
}
__global__ void broken_mask(int* o) { if (threadIdx.x < 16) o[threadIdx.x] = __shfl_sync(~0u, (int)threadIdx.x, 0); }
__global__ void broken_kind(int* o) {
  if (threadIdx.x & 1) o[threadIdx.x] = __shfl_sync(~0u, 1, 0);
  else __syncwarp();
}
__global__ void broken_deadlock(int* o) {
  if (threadIdx.x < 16) __syncthreads();
  else o[0] = (int)__ballot_sync(~0u, 1);
}
__global__ void broken_not_named(int* o) { o[0] = __shfl_sync(1u, 1, 0); }
__global__ void broken_missing_wait(const float* in, float* o) {
  __shared__ __align__(16) float s[128];
  tile::cp_async16(s + threadIdx.x * 4, in + threadIdx.x * 4, 16);
  tile::cp_async_commit();
  __syncwarp();
  for (int i = 0; i < 4; i++) o[threadIdx.x * 4 + i] = s[threadIdx.x * 4 + i];
  tile::cp_async_wait<0>();
}
__global__ void broken_never_waited_for(const float* in) {
  __shared__ __align__(16) float s[4];
  tile::cp_async16(s, in, 16);
  tile::cp_async_commit();
}
__global__ void broken_uninitialised_shared(float* o) {
  DYN_SMEM(float, d);
  __shared__ float s[32];
  o[threadIdx.x] = d[threadIdx.x] + s[threadIdx.x];
}
__global__ void broken_misaligned(const float* in, float* o) {
  DYN_SMEM(char, d);
  tile::cp_async16(d + 4, in, 16);
  o[0] = 0;
}
__global__ void broken_not_shared(const float* in, float* o) { tile::cp_async16(o, in, 16); }
__global__ void broken_smem_overrun(float* o) {
  DYN_SMEM(float, d);
  d[threadIdx.x + 1] = 1;
  o[threadIdx.x] = d[threadIdx.x + 1];
}
static volatile int recursion_depth = 100000;
__attribute__((noinline)) int dig(int n) {
  volatile char pad[512];
  pad[0] = (char)n;
  return n == 0 ? 0 : dig(n - 1) + pad[0];
}
__global__ void broken_stack(int* o) { o[0] = dig(recursion_depth); }

// ---- sound kernels ----
__global__ void votes_and_shuffles(unsigned* o) {
  const int l = threadIdx.x & 31;
  unsigned b = __ballot_sync(~0u, l % 3 == 0);
  int up = __shfl_up_sync(~0u, l, 1), down = __shfl_down_sync(~0u, l, 2, 16);
  int x = __shfl_xor_sync(~0u, l, 5), bc = __shfl_sync(~0u, l, 7, 8);
  double d = __shfl_xor_sync(~0u, (double)l + 0.5, 31);
  int half = l < 16 ? __shfl_xor_sync(0xffffu, l, 1) : __shfl_xor_sync(0xffff0000u, l, 3);  // two groups at once
  unsigned ok = b == 0x49249249u && up == (l ? l - 1 : 0) && down == ((l % 16) + 2 < 16 ? l + 2 : l) && x == (l ^ 5) &&
                bc == (l & ~7) + 7 && d == 31 - l + 0.5 && half == (l < 16 ? l ^ 1 : l ^ 3);
  o[threadIdx.x] = ok;
}
__global__ void block_sum(const int* in, int* out, int n) {
  __shared__ int total;
  const int t = threadIdx.y * blockDim.x + threadIdx.x;
  if (t == 0) total = 0;
  __syncthreads();
  for (int i = t; i < n; i += blockDim.x * blockDim.y) atomicAdd(&total, in[i]);
  __syncthreads();
  if (t == 0) atomicAdd(out, total);
}

template <class F>
static void expect_error(const char* name, const char* text, F f) {
  std::string got = "no error";
  try { f(); } catch (cuda_cpu::Error& e) { got = e.what(); }
  report(name, got.find(text) != std::string::npos, got);
}
template <class F>
static void expect_wrong(const char* name, F right) {
  int bad = bad_orders(right);
  report(name, bad > 0, fmt("wrong in %g of 5 orders", bad));
}

int main() {
  Rng r;
  {  // mma bf16
    std::vector<tile::bf16> A(256), B(128);
    std::vector<float> C(128);
    for (auto& v : A) v = tile::f32_to_bf16(r.pm1());
    for (auto& v : B) v = tile::f32_to_bf16(r.pm1());
    RUN(selftest_mma_bf16, 1, 32, 0, A.data(), B.data(), C.data());
    double e = 0;
    for (int i = 0; i < 16; i++) for (int j = 0; j < 8; j++) {
      double s = 0;
      for (int k = 0; k < 16; k++) s += (double)tile::bf16_to_f32(A[i * 16 + k]) * tile::bf16_to_f32(B[k * 8 + j]);
      e = fmax(e, fabs(s - C[i * 8 + j]));
    }
    report("mma m16n8k16 bf16", e < 1e-6, fmt("max error %.1e", e));
  }
  for (int round = 0; round < 2; round++) {  // mma tf32: raw operands are truncated, converted ones rounded
    std::vector<float> A(128), B(64), C(128);
    for (auto& v : A) v = r.pm1();
    for (auto& v : B) v = r.pm1();
    RUN(selftest_mma_tf32, 1, 32, 0, A.data(), B.data(), C.data(), round);
    auto q = [&](float f) {
      double m = fabs((double)f), u = ldexp(1.0, ilogb(m) - 10), n = round ? floor(m / u + 0.5) : floor(m / u);
      return copysign(n * u, f);
    };
    double e = 0;
    for (int i = 0; i < 16; i++) for (int j = 0; j < 8; j++) {
      double s = 0;
      for (int k = 0; k < 8; k++) s += q(A[i * 8 + k]) * q(B[k * 8 + j]);
      e = fmax(e, fabs(s - C[i * 8 + j]));
    }
    report(round ? "mma m16n8k8 tf32, f32_to_tf32 (ties away)" : "mma m16n8k8 tf32, raw bits (truncated)", e < 1e-6,
           fmt("max error %.1e", e));
  }
  for (int rows : {16, 11}) {
    Aligned<tile::bf16> in(256);
    std::vector<unsigned> out(256);
    for (int i = 0; i < 256; i++) in[i] = (tile::bf16)(i + 1);
    RUN(selftest_ldmatrix, 1, 32, 0, in.p, out.data(), rows);
    bool ok = true;
    auto at = [&](int row, int col) { return row < rows ? (unsigned)in[row * 16 + col] : 0u; };
    for (int l = 0; l < 32; l++) for (int j = 0; j < 4; j++) {
      int r0 = (j & 1) * 8, c0 = (j >> 1) * 8, g = l / 4, t = l % 4;
      ok &= out[l * 4 + j] == (at(r0 + g, c0 + 2 * t) | at(r0 + g, c0 + 2 * t + 1) << 16);
      ok &= out[128 + l * 4 + j] == (at(r0 + 2 * t, c0 + g) | at(r0 + 2 * t + 1, c0 + g) << 16);
    }
    report("ldmatrix x4 and .trans, cp.async with zero-fill", ok, fmt("%g rows", rows));
  }
  {
    std::vector<float> x(32), red(2);
    std::vector<tile::bf16> bf(32);
    std::vector<unsigned> pk(16), tf(32);
    for (auto& v : x) v = r.pm1() * 1000;
    x[0] = __uint_as_float(0x3f808000); x[1] = __uint_as_float(0x3f818000); x[4] = __uint_as_float(0x7f7fffff);
    x[2] = NAN; x[3] = INFINITY;
    RUN(selftest_convert, 1, 32, 0, x.data(), bf.data(), pk.data(), tf.data(), red.data());
    bool ok = bf[0] == 0x3f80 && bf[1] == 0x3f82 && bf[2] == 0x7fff && bf[3] == 0x7f80 && bf[4] == 0x7f80;
    ok &= red[0] == 496 && red[1] == 31;
    for (int i = 0; i < 16; i++) ok &= pk[i] == (bf[2 * i] | (unsigned)bf[2 * i + 1] << 16);
    ok &= std::isnan(__uint_as_float(tf[2])) && tf[3] == 0x7f800000;
    report("bf16 / tf32 conversions, warp_sum, warp_max", ok);
  }
  {
    std::vector<unsigned> o(96);
    int bad = bad_orders([&] {
      std::fill(o.begin(), o.end(), 0);
      RUN(votes_and_shuffles, 1, 96, 0, o.data());
      for (unsigned v : o) if (!v) return false;
      return true;
    });
    report("ballot, shuffles with widths, half-warp masks, 5 orders", !bad);
    std::vector<int> in(1000, 3);
    int out = 0;
    bad = bad_orders([&] {
      out = 0;
      RUN(block_sum, dim3(2, 3), dim3(16, 4), 0, in.data(), &out, 1000);
      return out == 18000;
    });
    report("atomicAdd on shared and global memory, 5 orders", !bad);
  }
  std::vector<float> f(256);
  std::vector<int> n(256);
  Aligned<float> in(128);
  for (int i = 0; i < 128; i++) in[i] = (float)i;
  expect_wrong("missing __syncthreads gives wrong results", [&] {
    RUN(broken_missing_barrier, 1, 64, 0, f.data());
    for (int i = 0; i < 64; i++) if (f[i] != 63 - i) return false;
    return true;
  });
  expect_wrong("missing __syncwarp gives wrong results", [&] {
    RUN(broken_missing_syncwarp, 1, 32, 0, f.data());
    for (int i = 0; i < 32; i++) if (f[i] != 31 - i) return false;
    return true;
  });
  expect_wrong("missing cp.async wait gives wrong results", [&] {
    RUN(broken_missing_wait, 1, 32, 0, in.p, f.data());
    for (int i = 0; i < 128; i++) if (f[i] != i) return false;
    return true;
  });
  RUN(broken_uninitialised_shared, 1, 32, 128, f.data());
  report("unwritten shared memory reads as NaN", std::isnan(f[0]) && std::isnan(f[31]));
  expect_error("barriers at different lines", "barrier divergence", [&] {
    RUN(broken_barrier_in_branch, 1, 64, 0, n.data());
  });
  expect_error("barrier after thread exit", "barrier divergence", [&] { RUN(broken_early_exit, 1, 64, 0, n.data()); });
  expect_error("shuffle mask names an exited lane", "deadlock", [&] { RUN(broken_mask, 1, 32, 0, n.data()); });
  expect_error("lanes in different warp operations", "divergent warp operation", [&] {
    RUN(broken_kind, 1, 32, 0, n.data());
  });
  expect_error("warp operation against block barrier", "deadlock", [&] { RUN(broken_deadlock, 1, 32, 0, n.data()); });
  expect_error("caller not in the mask", "does not name", [&] { RUN(broken_not_named, 1, 32, 0, n.data()); });
  expect_error("misaligned cp.async", "not aligned", [&] { RUN(broken_misaligned, 1, 1, 64, in.p, f.data()); });
  expect_error("cp.async that nobody waits for", "without waiting", [&] { RUN(broken_never_waited_for, 1, 1, 0, in.p); });
  Aligned<float> al(64);
  expect_error("cp.async to global memory", "outside shared", [&] { RUN(broken_not_shared, 1, 1, 64, in.p, al.p); });
  expect_error("block too large", "block of 2048", [&] { RUN(broken_early_exit, 1, 2048, 0, n.data()); });
#if !CUDA_CPU_ASAN
  cuda_cpu::install_fault_handler([](uintptr_t a) { return a < 4096; });
  expect_error("stack overflow", "stack overflow", [&] { RUN(broken_stack, 1, 1, 0, n.data()); });
  expect_error("null pointer", "illegal address 0x0", [&] { RUN(block_sum, 1, 32, 0, n.data(), (int*)nullptr, 32); });
#endif
  if (getenv("SMEM_OVERRUN")) RUN(broken_smem_overrun, 1, 32, 128, f.data());  // ASan must stop this
  // the shim still works after all these failures
  std::vector<int> in2(1000, 3);
  int out = 0;
  RUN(block_sum, dim3(2, 3), dim3(16, 4), 0, in2.data(), &out, 1000);
  report("sound kernel after the failures", out == 18000);
  return failures != 0;
}
