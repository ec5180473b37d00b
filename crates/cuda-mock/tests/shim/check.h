// check.h - small functions shared by the C++ tests.
#pragma once
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

inline int failures = 0;
inline void report(const char* name, bool ok, const std::string& detail = "") {
  printf("  %-4s %s%s%s\n", ok ? "ok" : "BAD", name, detail.empty() ? "" : "  ", detail.c_str());
  if (!ok) failures++;
}
inline std::string fmt(const char* f, double a, double b = 0, double c = 0) {
  char s[160]; snprintf(s, sizeof s, f, a, b, c); return s;
}
struct Rng {  // xorshift64*
  uint64_t s = 88172645463325252ull;
  double uniform() {
    s ^= s >> 12; s ^= s << 25; s ^= s >> 27;
    return double((s * 2685821657736338717ull) >> 11) / 9007199254740992.0;
  }
  float pm1() { return float(uniform() * 2 - 1); }
};
inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
template <class T>
struct Aligned {  // 256-byte aligned array without slack, so that ASan sees overruns
  T* p; size_t n;
  explicit Aligned(size_t n_) : n(n_) {
    if (posix_memalign((void**)&p, 256, std::max<size_t>(n * sizeof(T), 1))) abort();
    memset((void*)p, 0xff, n * sizeof(T));
  }
  ~Aligned() { free(p); }
  Aligned(const Aligned&) = delete;
  T& operator[](size_t i) { return p[i]; }
};
inline bool order_from_environment = false;
// Runs f under every thread order; returns the number of orders for which f() is false or throws.
template <class F>
int bad_orders(F f, std::string* why = nullptr) {
  int bad = 0;
  if (order_from_environment) {
    try { return !f(); } catch (cuda_cpu::Error& e) { if (why) *why = e.what(); return 1; }
  }
  for (int o = 0; o < 5; o++) {
    if (o == 0) cuda_cpu::set_order(cuda_cpu::Order::Forward);
    else if (o == 1) cuda_cpu::set_order(cuda_cpu::Order::Reverse);
    else cuda_cpu::set_order(cuda_cpu::Order::Random, o);
    try { if (!f()) { bad++; if (why && why->empty()) *why = "wrong result"; } }
    catch (cuda_cpu::Error& e) { bad++; if (why && why->empty()) *why = e.what(); }
  }
  cuda_cpu::set_order(cuda_cpu::Order::Forward);
  return bad;
}
