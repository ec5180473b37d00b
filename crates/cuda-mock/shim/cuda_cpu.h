// cuda_cpu.h - runs CUDA C++ kernels on the CPU, for tests on a machine without a GPU.
//
// Compile a .cu file with   g++ -std=c++17 -x c++ -include cuda_cpu.h kernel.cu
// and start a kernel with   cuda_cpu::launch(kernel, grid, block, dynamic_smem_bytes, args...).
//
// Model
//   * One fiber per CUDA thread, one block at a time, one OS thread at a time (launches are serialised by a mutex).
//   * A thread runs until it meets a block barrier or a warp-collective operation; then another thread is chosen.
//     Order (CUDA_CPU_ORDER or cuda_cpu::set_order): forward, reverse, random:SEED. Between two barriers one warp runs
//     as far as it can before the next one starts, so a missing barrier is met with the largest possible skew.
//   * Static and dynamic shared memory is filled with 0xFF (NaN as f32, bf16 and f64) before every block.
//   * Detected and reported as cuda_cpu::Error (thrown by launch, never inside a fiber): barrier divergence, barrier
//     after thread exit, threads at different barriers, warp operations with wrong masks or of different kinds,
//     deadlock, misaligned or non-shared operands of the tile operations, stack overflow, and with
//     install_fault_handler() every access to an address that the handler's owner calls illegal.
//   * Works under -fsanitize=address,undefined (fiber switches are announced to ASan; dynamic shared memory has its
//     exact size, so ASan sees overruns).
// Limits: x86-64 Linux; no real concurrency, no memory model; no __shared__ in templates or inline functions
//   (section attribute); no recursion deeper than the fiber stack; warp size 32; no textures, no dynamic parallelism.
#pragma once
#define CUDA_CPU 1

#include <algorithm>
#include <climits>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define CUDA_CPU_ASAN 1
#else
#define CUDA_CPU_ASAN 0
#endif

// ---- language extensions -------------------------------------------------------------------------------------------
#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("cuda_cpu_shared"), used))

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct uint3 { unsigned x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
inline float2 make_float2(float a, float b) { return {a, b}; }
inline float4 make_float4(float a, float b, float c, float d) { return {a, b, c, d}; }
inline uint2 make_uint2(unsigned a, unsigned b) { return {a, b}; }
inline uint4 make_uint4(unsigned a, unsigned b, unsigned c, unsigned d) { return {a, b, c, d}; }

// ---- fibers --------------------------------------------------------------------------------------------------------
extern "C" void cuda_cpu_switch(void** save_sp, void* load_sp);
asm(R"(.pushsection .text.cuda_cpu_switch,"axG",@progbits,cuda_cpu_switch,comdat
.weak cuda_cpu_switch
.hidden cuda_cpu_switch
.type cuda_cpu_switch,@function
cuda_cpu_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp,(%rdi); movq %rsi,%rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.size cuda_cpu_switch,.-cuda_cpu_switch
.popsection
)");
// Bounds of the section that holds all static __shared__ variables of this program or shared library.
extern "C" {
extern char __start_cuda_cpu_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_cuda_cpu_shared[] __attribute__((weak, visibility("hidden")));
}

namespace cuda_cpu {

struct Error : std::runtime_error { using std::runtime_error::runtime_error; };

enum class Order { Forward, Reverse, Random };

struct Stats {  // counters of the last launch
  uint64_t switches = 0, barriers = 0, collectives = 0, mma = 0, ldmatrix = 0;
  uint64_t ldmatrix_conflicts = 0;  // extra shared-memory passes beyond one per 8x8 matrix
  uint64_t cp_async = 0;
};

struct CpAsync { void* dst; const void* src; unsigned bytes; };

enum State : uint8_t { READY, AT_BARRIER, AT_WARP, DONE };

struct Fiber {
  void* sp; char* stack; void* fake_stack;
  uint3 tid; unsigned linear;
  State state;
  int kind; unsigned mask; void* arg;           // warp-collective operation the thread waits in
  const char* file; int line;                   // source position of the barrier the thread waits at
  std::vector<CpAsync> copies; std::vector<unsigned> groups;  // cp.async: pending copies, end index of each group
};

constexpr size_t STACK = CUDA_CPU_ASAN ? 256 << 10 : 64 << 10, GUARD = 4096;
constexpr unsigned MAX_THREADS = 1024, MAX_WARPS = 32;

struct Engine {
  std::mutex lock;
  Fiber fiber[MAX_THREADS];
  char* stacks = nullptr;
  unsigned n = 0, warps = 0, done = 0, at_barrier = 0;
  unsigned ready_warps = 0, ready[MAX_WARPS], waiting[MAX_WARPS];
  void* main_sp = nullptr; void* main_fake = nullptr; const void* main_bottom = nullptr; size_t main_size = 0;
  void (*body)(void*) = nullptr; void* body_arg = nullptr;
  const char* kernel = "?";
  std::string error;
  Order order = Order::Forward; uint64_t seed = 1, rng = 1; bool order_set = false;
  char* smem = nullptr; size_t smem_bytes = 0;
  bool running = false;
  bool (*is_illegal)(uintptr_t) = nullptr;
  bool handler_installed = false;
  Stats stats;
};
inline Engine E;
inline Fiber* cur = nullptr;
inline uint3 block_idx;
inline dim3 block_dim, grid_dim;

inline uint64_t next_random() {
  E.rng ^= E.rng << 13; E.rng ^= E.rng >> 7; E.rng ^= E.rng << 17;
  return E.rng;
}
inline void set_order(Order o, uint64_t seed = 1) { E.order = o; E.seed = seed; E.order_set = true; }
inline void order_from_env() {
  if (E.order_set) return;
  E.order_set = true;
  const char* s = getenv("CUDA_CPU_ORDER");
  if (!s || !*s || !strcmp(s, "forward")) E.order = Order::Forward;
  else if (!strcmp(s, "reverse")) E.order = Order::Reverse;
  else if (!strncmp(s, "random", 6)) {
    E.order = Order::Random;
    if (s[6] == ':') E.seed = strtoull(s + 7, nullptr, 10);
  }
  else { fprintf(stderr, "CUDA_CPU_ORDER: forward, reverse or random:SEED expected, got %s\n", s); exit(2); }
}

inline unsigned pick_bit(unsigned m) {
  switch (E.order) {
    case Order::Forward: return __builtin_ctz(m);
    case Order::Reverse: return 31 - __builtin_clz(m);
    default: {
      unsigned k = next_random() % __builtin_popcount(m);
      while (k--) m &= m - 1;
      return __builtin_ctz(m);
    }
  }
}
inline Fiber* pick() {
  if (!E.ready_warps) return nullptr;
  unsigned w = pick_bit(E.ready_warps);
  return &E.fiber[w * 32 + pick_bit(E.ready[w])];
}
inline void set_ready(Fiber* f) {
  unsigned w = f->linear / 32;
  f->state = READY; E.ready[w] |= 1u << f->linear % 32; E.ready_warps |= 1u << w;
}
inline void clear_ready(Fiber* f) {
  unsigned w = f->linear / 32;
  if (!(E.ready[w] &= ~(1u << f->linear % 32))) E.ready_warps &= ~(1u << w);
}

// Switches from `cur` (or from the scheduler when from == nullptr) to `to` (the scheduler when nullptr).
inline void jump(Fiber* from, Fiber* to, bool dying = false) {
  (void)dying;
  E.stats.switches++;
  void** save = from ? &from->sp : &E.main_sp;
  void* load = to ? to->sp : E.main_sp;
  cur = to;
#if CUDA_CPU_ASAN
  void** fake = dying ? nullptr : from ? &from->fake_stack : &E.main_fake;
  __sanitizer_start_switch_fiber(fake, to ? to->stack : E.main_bottom, to ? STACK - GUARD : E.main_size);
#endif
  cuda_cpu_switch(save, load);
#if CUDA_CPU_ASAN
  __sanitizer_finish_switch_fiber(from ? from->fake_stack : E.main_fake, nullptr, nullptr);
#endif
}
// Gives the processor away; the caller has set its state. Never returns to a DONE fiber.
inline void give_way(Fiber* self, bool dying = false) {
  clear_ready(self);
  Fiber* next = pick();
  if (next == self) { cur = self; return; }
  jump(self, next, dying);
}

inline std::string where(const Fiber* f) {
  char b[160];
  snprintf(b, sizeof b, "kernel %s, block (%u,%u,%u), thread (%u,%u,%u)", E.kernel, block_idx.x, block_idx.y,
           block_idx.z, f->tid.x, f->tid.y, f->tid.z);
  return b;
}
__attribute__((noinline)) inline void set_error(const char* a, const char* b, const char* c, const char* d) {
  E.error = std::string(a) + b + c + d + ": " + where(cur);
}
// Ends the launch with an error; called inside a fiber, does not return. (No destructor runs on the abandoned stack, so
// the text must not own memory.)
[[noreturn]] inline void fail(const char* a, const char* b = "", const char* c = "", const char* d = "") {
  set_error(a, b, c, d);
  jump(cur, nullptr);
  abort();
}
inline void fiber_entry() {
#if CUDA_CPU_ASAN
  const void* b; size_t s;
  __sanitizer_finish_switch_fiber(nullptr, &b, &s);
  if (!E.main_bottom) { E.main_bottom = b; E.main_size = s; }
#endif
  Fiber* self = cur;
  E.body(E.body_arg);
  // It would arrive in shared memory that has another use by then.
  if (!self->copies.empty()) fail("cp.async: the thread ended without waiting for a copy");
  self->state = DONE; E.done++;
  give_way(self, true);
  abort();
}

// ---- scheduling ----------------------------------------------------------------------------------------------------
inline void barrier(const char* file, int line) {
  Fiber* f = cur;
  f->state = AT_BARRIER; f->file = file; f->line = line;
  E.at_barrier++;
  give_way(f);
}

enum Kind { SYNCWARP, SHFL, VOTE, MMA_BF16, MMA_TF32, LDMATRIX, LDMATRIX_T };
inline const char* kind_name(int k) {
  static const char* n[] = {"__syncwarp", "__shfl", "vote", "mma bf16", "mma tf32", "ldmatrix", "ldmatrix.trans"};
  return n[k];
}
// A warp-collective operation: every lane named in mask brings `arg`; the last one to come runs fn(args, mask), where
// args[lane] is the lane's argument, and all of them go on.
template <class F>
inline void collective(int kind, unsigned mask, void* arg, F fn) {
  Fiber* f = cur;
  unsigned w = f->linear / 32, lane = f->linear % 32;
  if (!(mask >> lane & 1)) fail(kind_name(kind), ": the mask does not name the calling lane");
  f->kind = kind; f->mask = mask; f->arg = arg; f->state = AT_WARP;
  E.waiting[w] |= 1u << lane;
  if ((E.waiting[w] & mask) != mask) { give_way(f); return; }
  void* args[32];
  for (unsigned l = 0; l < 32; l++) {
    args[l] = nullptr;
    if (!(mask >> l & 1)) continue;
    Fiber& o = E.fiber[w * 32 + l];
    if (o.kind != kind || o.mask != mask)
      fail("divergent warp operation: ", kind_name(kind), o.mask != mask ? " meets, with another mask, " : " meets ",
           kind_name(o.kind));
    args[l] = o.arg;
  }
  E.stats.collectives++;
  fn(args, mask);
  E.waiting[w] &= ~mask;
  for (unsigned m = mask; m; m &= m - 1) set_ready(&E.fiber[w * 32 + __builtin_ctz(m)]);
}

inline void run_block() {
  const unsigned n = E.n;
  E.done = E.at_barrier = E.ready_warps = 0;
  if (__start_cuda_cpu_shared) memset(__start_cuda_cpu_shared, 0xff, __stop_cuda_cpu_shared - __start_cuda_cpu_shared);
  if (E.smem_bytes) memset(E.smem, 0xff, E.smem_bytes);
  for (unsigned w = 0; w < E.warps; w++) E.ready[w] = E.waiting[w] = 0;
  for (unsigned i = 0; i < n; i++) {
    Fiber& f = E.fiber[i];
    f.linear = i; f.tid = {i % block_dim.x, i / block_dim.x % block_dim.y, i / (block_dim.x * block_dim.y)};
    f.copies.clear(); f.groups.clear(); f.fake_stack = nullptr;
#if CUDA_CPU_ASAN
    // frames of the previous thread, which never returned
    __asan_unpoison_memory_region(f.stack + STACK - GUARD - 4096, 4096);
#endif
    void** s = (void**)(f.stack + STACK - GUARD - 64);
    *--s = nullptr;                       // keeps rsp % 16 == 8 at the entry
    *--s = (void*)fiber_entry;
    for (int k = 0; k < 6; k++) *--s = nullptr;
    f.sp = s;
    set_ready(&f);
  }
  for (;;) {
    if (Fiber* f = pick()) jump(nullptr, f);
    if (!E.error.empty()) return;
    if (E.ready_warps) continue;
    if (E.done == n) return;
    if (E.at_barrier && E.at_barrier + E.done == n) {
      const Fiber* first = nullptr;
      for (unsigned i = 0; i < n; i++) {
        Fiber& f = E.fiber[i];
        if (f.state != AT_BARRIER) continue;
        if (!first) first = &f;
        if (f.line != first->line || strcmp(f.file, first->file)) {
          E.error = "barrier divergence: threads wait at " + std::string(f.file) + ":" + std::to_string(f.line) +
                    " and at line " + std::to_string(first->line) + ": " + where(&f);
          return;
        }
      }
      if (E.done) {
        E.error = "barrier divergence: " + std::to_string(E.done) + " of " + std::to_string(n) +
                  " threads exited before the barrier at " + first->file + ":" + std::to_string(first->line) + ": " +
                  where(first);
        return;
      }
      E.stats.barriers++; E.at_barrier = 0;
      for (unsigned i = 0; i < n; i++) set_ready(&E.fiber[i]);
      continue;
    }
    for (unsigned i = 0; i < n; i++)
      if (E.fiber[i].state == AT_WARP) {
        Fiber& f = E.fiber[i];
        char m[16];
        snprintf(m, sizeof m, "0x%08x", f.mask);
        E.error = std::string("deadlock: ") + kind_name(f.kind) + " with mask " + m + " waits for lanes that " +
                  (E.at_barrier ? "wait at a block barrier or exited: " : "exited or wait elsewhere: ") + where(&f);
        return;
      }
    E.error = "deadlock: kernel " + std::string(E.kernel);
    return;
  }
}

inline void run_grid(const char* name, dim3 grid, dim3 block, size_t smem, void (*body)(void*), void* arg) {
  std::lock_guard<std::mutex> guard(E.lock);
  order_from_env();
  uint64_t n = (uint64_t)block.x * block.y * block.z;
  if (!n || n > MAX_THREADS) throw Error("launch: block of " + std::to_string(n) + " threads");
  if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535) throw Error("launch: bad grid");
  if (smem > 227 << 10) throw Error("launch: more than 227 KiB of dynamic shared memory");
  if (!E.stacks) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    E.stacks = (char*)mmap(nullptr, MAX_THREADS * STACK, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (E.stacks == MAP_FAILED) throw Error("launch: no memory for stacks");
    for (unsigned i = 0; i < MAX_THREADS; i++) {
      mprotect(E.stacks + i * STACK, GUARD, PROT_NONE);
      E.fiber[i].stack = E.stacks + i * STACK + GUARD;
    }
  }
  E.kernel = name; E.n = n; E.warps = (n + 31) / 32; E.body = body; E.body_arg = arg;
  E.error.clear(); E.stats = Stats();
  E.smem_bytes = smem; E.smem = nullptr; E.main_bottom = nullptr;
  E.rng = E.seed * 0x9E3779B97F4A7C15ull | 1;
  grid_dim = grid; block_dim = block;
  if (smem && posix_memalign((void**)&E.smem, 1024, smem)) throw Error("launch: no memory");
  E.running = true;
  const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
  for (uint64_t i = 0; i < blocks && E.error.empty(); i++) {
    uint64_t b = E.order == Order::Reverse ? blocks - 1 - i : i;
    block_idx = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / ((uint64_t)grid.x * grid.y))};
    run_block();
  }
  E.running = false; cur = nullptr;
  free(E.smem); E.smem = nullptr;
  if (!E.error.empty()) {
#if CUDA_CPU_ASAN
    for (unsigned i = 0; i < E.n; i++) __asan_unpoison_memory_region(E.fiber[i].stack, STACK - GUARD);
#endif
    throw Error(E.error);
  }
}

template <class... P, class... A>
void launch_named(const char* name, void (*k)(P...), dim3 grid, dim3 block, size_t smem, A... a) {
  static_assert(sizeof...(P) == sizeof...(A), "number of kernel arguments");
  struct Call { void (*k)(P...); std::tuple<P...> args; } call{k, std::tuple<P...>(static_cast<P>(a)...)};
  run_grid(name, grid, block, smem, [](void* c) { std::apply(((Call*)c)->k, ((Call*)c)->args); }, &call);
}
template <class... P, class... A>
void launch(void (*k)(P...), dim3 grid, dim3 block, size_t smem, A... a) {
  launch_named("(direct)", k, grid, block, smem, a...);
}

inline bool is_shared(const void* p, size_t n) {
  const char* c = (const char*)p;
  return (c >= E.smem && c + n <= E.smem + E.smem_bytes) ||
         (__start_cuda_cpu_shared && c >= __start_cuda_cpu_shared && c + n <= __stop_cuda_cpu_shared);
}

// ---- illegal addresses ---------------------------------------------------------------------------------------------
inline char fault_text[96];
inline uintptr_t fault_address = 0;
[[noreturn]] inline void fault_trampoline() { fail(fault_text); }
inline struct sigaction old_segv;
inline void on_segv(int sig, siginfo_t* si, void* ctx) {
  uintptr_t a = (uintptr_t)si->si_addr;
  if (E.running && cur) {
    uintptr_t lo = (uintptr_t)cur->stack - GUARD;
    bool overflow = a >= lo && a < lo + GUARD;
    if (overflow || (E.is_illegal && E.is_illegal(a))) {
      fault_address = a;
      const char* format = overflow ? "stack overflow" : "illegal address 0x%llx";
      snprintf(fault_text, sizeof fault_text, format, (unsigned long long)a);
      ucontext_t* u = (ucontext_t*)ctx;  // go on in fault_trampoline on the (now unused) fiber stack
      u->uc_mcontext.gregs[REG_RIP] = (greg_t)fault_trampoline;
      u->uc_mcontext.gregs[REG_RSP] = (greg_t)(((uintptr_t)cur->stack + STACK - GUARD - 128) & ~(uintptr_t)15) - 8;
      return;
    }
  }
  if (old_segv.sa_flags & SA_SIGINFO) old_segv.sa_sigaction(sig, si, ctx);
  else { signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); }
}
// Turns faults inside kernels, at addresses for which illegal() is true, into an Error of that launch.
inline void install_fault_handler(bool (*illegal)(uintptr_t)) {
  E.is_illegal = illegal;
  if (E.handler_installed) return;
  E.handler_installed = true;
  stack_t ss{};
  if (sigaltstack(nullptr, &ss) || (ss.ss_flags & SS_DISABLE)) {
    ss.ss_size = 64 << 10; ss.ss_sp = malloc(ss.ss_size); ss.ss_flags = 0;
    sigaltstack(&ss, nullptr);
  }
  struct sigaction sa{};
  sa.sa_sigaction = on_segv; sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaction(SIGSEGV, &sa, &old_segv);
}

// ---- shuffles ------------------------------------------------------------------------------------------------------
template <class T>
inline T exchange(unsigned mask, T v, unsigned source) {
  static_assert(sizeof(T) <= 8, "shuffle of a large type");
  struct Arg { T v; unsigned source; T result; } a{v, source, v};
  collective(SHFL, mask, &a, [](void** args, unsigned m) {
    for (unsigned r = m; r; r &= r - 1) {
      Arg* x = (Arg*)args[__builtin_ctz(r)];
      if (args[x->source]) x->result = ((Arg*)args[x->source])->v;
      else memset(&x->result, 0xff, sizeof(T));  // value of a lane outside the mask: undefined
    }
  });
  return a.result;
}
inline unsigned vote(unsigned mask, bool p) {
  struct Arg { bool p; unsigned r; } a{p, 0};
  collective(VOTE, mask, &a, [](void** args, unsigned m) {
    unsigned b = 0;
    for (unsigned r = m; r; r &= r - 1) b |= unsigned(((Arg*)args[__builtin_ctz(r)])->p) << __builtin_ctz(r);
    for (unsigned r = m; r; r &= r - 1) ((Arg*)args[__builtin_ctz(r)])->r = b;
  });
  return a.r;
}
inline unsigned lane() { return cur->linear % 32; }
}  // namespace cuda_cpu

#define threadIdx (cuda_cpu::cur->tid)
#define blockIdx cuda_cpu::block_idx
#define blockDim cuda_cpu::block_dim
#define gridDim cuda_cpu::grid_dim
constexpr int warpSize = 32;

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  cuda_cpu::barrier(file, line);
}
inline void __syncwarp(unsigned mask = ~0u) {
  cuda_cpu::collective(cuda_cpu::SYNCWARP, mask, nullptr, [](void**, unsigned) {});
}
template <class T> inline T __shfl_sync(unsigned m, T v, int src, int w = 32) {
  unsigned l = cuda_cpu::lane();
  return cuda_cpu::exchange(m, v, (l & ~(w - 1u)) | (src & (w - 1)));
}
template <class T> inline T __shfl_up_sync(unsigned m, T v, unsigned d, int w = 32) {
  unsigned l = cuda_cpu::lane();
  return cuda_cpu::exchange(m, v, (l % w) < d ? l : l - d);
}
template <class T> inline T __shfl_down_sync(unsigned m, T v, unsigned d, int w = 32) {
  unsigned l = cuda_cpu::lane();
  return cuda_cpu::exchange(m, v, (l % w) + d < (unsigned)w ? l + d : l);
}
template <class T> inline T __shfl_xor_sync(unsigned m, T v, int d, int w = 32) {
  unsigned l = cuda_cpu::lane(), s = l ^ d;
  return cuda_cpu::exchange(m, v, s / w <= l / w ? s : l);
}
inline unsigned __ballot_sync(unsigned m, int p) { return cuda_cpu::vote(m, p); }
inline int __any_sync(unsigned m, int p) { return cuda_cpu::vote(m, p) != 0; }
inline int __all_sync(unsigned m, int p) { return cuda_cpu::vote(m, p) == m; }

// One OS thread runs all fibers, so plain read-modify-write is atomic.
template <class T> inline T atomicAdd(T* p, T v) { T o = *p; *p = o + v; return o; }
template <class T> inline T atomicMax(T* p, T v) { T o = *p; *p = std::max(o, v); return o; }
template <class T> inline T atomicMin(T* p, T v) { T o = *p; *p = std::min(o, v); return o; }
template <class T> inline T atomicExch(T* p, T v) { T o = *p; *p = v; return o; }
template <class T> inline T atomicCAS(T* p, T c, T v) { T o = *p; if (o == c) *p = v; return o; }
inline void __threadfence() {}
inline void __threadfence_block() {}
template <class T> inline T __ldg(const T* p) { return *p; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline unsigned __float_as_uint(float f) { unsigned u; memcpy(&u, &f, 4); return u; }
inline float __uint_as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
