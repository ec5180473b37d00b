// registry.h - the table through which the driver finds the kernels; generated code fills it (src/building.rs).
#pragma once
#include <functional>
#include <map>
#include "cuda_cpu.h"

struct Extent {       // what a pointer argument may touch
  size_t argument;
  long long count;    // elements
  size_t element;     // bytes of one
  size_t alignment;   // of one
};
typedef std::vector<Extent> Extents;
typedef std::vector<const void*> Values;  // of the arguments

struct Argument {
  const char* name;
  unsigned size;
  bool pointer, written;  // written: pointer to non-const
};
struct Kernel {
  const char* name;
  unsigned max_threads;   // from __launch_bounds__, 1024 without it
  std::vector<Argument> arguments;
  std::function<void(dim3, dim3, size_t, const Values&)> run;
  std::function<Extents(const Values&)> extents;
};
std::map<std::string, Kernel>& mock_kernels();

struct RegisterKernel {
  template <class... P>
  RegisterKernel(const char* name, void (*kernel)(P...), unsigned max_threads, std::vector<const char*> names,
                 Extents (*extents)(P...)) {
    Kernel k{name, max_threads, {}, {}, {}};
    size_t i = 0;
    (k.arguments.push_back(argument<P>(names[i++])), ...);
    k.run = [=](dim3 grid, dim3 block, size_t shared, const Values& values) {
      run(name, kernel, grid, block, shared, values, std::index_sequence_for<P...>());
    };
    k.extents = [=](const Values& values) { return evaluate(extents, values, std::index_sequence_for<P...>()); };
    mock_kernels()[name] = k;
  }

 private:
  template <class P>
  static Argument argument(const char* name) {
    constexpr bool pointer = std::is_pointer<P>::value;
    return {name, sizeof(P), pointer, pointer && !std::is_const<std::remove_pointer_t<P>>::value};
  }
  template <class... P, size_t... I>
  static void run(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, const Values& v,
                  std::index_sequence<I...>) {
    cuda_cpu::launch_named(name, kernel, grid, block, shared, *(const P*)v[I]...);
  }
  template <class... P, size_t... I>
  static Extents evaluate(Extents (*extents)(P...), const Values& v, std::index_sequence<I...>) {
    return extents(*(const P*)v[I]...);
  }
};
