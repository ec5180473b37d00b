// launch.cpp - modules, kernels and launches.
#include "state.h"

// ---- modules ----
// The rule for machine code: sm_XY runs on capability X.Z with Z >= Y; with a suffix (sm_90a) on X.Y alone.
static int accepted(int arch, bool exact, const char* what) {
  int cc = S().set.capability;
  bool cubin = !strcmp(what, "cubin");
  if (exact ? arch == cc : cubin ? arch / 10 == cc / 10 && arch <= cc : arch <= cc) return OK;
  say("%s for sm_%d%s on a device of capability %d.%d", what, arch, exact ? "a" : "", cc / 10, cc % 10);
  return NO_BINARY;
}
static int load(Module** out, const void* image) {
  TRY(ready_context());
  const unsigned char* p = (const unsigned char*)image;
  Module m{current(), "", false};
  if (!memcmp(p, "\177ELF", 4)) {
    uint64_t shoff;
    uint16_t shentsize, shnum;
    uint32_t flags;
    memcpy(&shoff, p + 40, 8); memcpy(&flags, p + 48, 4); memcpy(&shentsize, p + 58, 2); memcpy(&shnum, p + 60, 2);
    bool newer = p[8] >= 8;  // version of the ELF ABI: tells where the architecture is
    TRY(accepted(newer ? flags >> 8 & 0xff : flags & 0xff, flags & (newer ? 0x8 : 0x800), "cubin"));
    m.elf = true;
    m.image.assign((const char*)p, shoff + (uint64_t)shentsize * shnum);
  } else {
    m.image = (const char*)p;
    size_t t = m.image.find(".target sm_");
    if (t == std::string::npos) { say("module image is neither a cubin nor PTX"); return INVALID_IMAGE; }
    char* end;
    int arch = (int)strtol(m.image.c_str() + t + 11, &end, 10);
    TRY(accepted(arch, *end == 'a', "PTX"));
  }
  *out = S().modules.add(m);
  return OK;
}
API(cuModuleLoadData, (Module** m, const void* image)) { ENTER; return load(m, image); }
API(cuModuleLoadDataEx, (Module** m, const void* image, unsigned, int*, void**)) { ENTER; return load(m, image); }
API(cuModuleUnload, (Module* m)) {
  ENTER;
  return S().modules.drop(m) ? OK : INVALID_HANDLE;
}
API(cuModuleGetFunction, (Function** f, Module* m, const char* name)) {
  ENTER;
  if (!S().modules.has(m)) return INVALID_HANDLE;
  std::string key = m->elf ? std::string(".text.") + name + '\0' : std::string(".entry ") + name + "(";
  if (m->image.find(key) == std::string::npos) { say("the module has no kernel %s", name); return NOT_FOUND; }
  auto i = mock_kernels().find(name);
  if (i == mock_kernels().end()) { say("kernel %s was not compiled into the mock", name); return NOT_FOUND; }
  *f = S().functions.add(Function{m->context, &i->second});
  return OK;
}
API(cuFuncSetAttribute, (Function* f, int a, int v)) {  // 8: dynamic shared memory, 9: share of the L1 cache
  ENTER;
  if (!S().functions.has(f)) return INVALID_HANDLE;
  if (a == 9) return OK;
  if (a != 8 || v < 0 || v > 232448) return INVALID_VALUE;
  f->dynamic_limit = v;
  return OK;
}
API(cuFuncGetAttribute, (int* v, int a, Function* f)) {
  ENTER;
  if (!S().functions.has(f)) return INVALID_HANDLE;
  *v = a == 0 ? f->kernel->max_threads : a == 8 ? f->dynamic_limit : 0;
  return OK;
}
API(cuFuncSetCacheConfig, (Function*, int)) { ENTER; return OK; }
API(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int* n, Function*, int threads, size_t shared)) {
  ENTER;
  *n = (int)std::min<size_t>(std::min(32, 2048 / std::max(threads, 1)), 233472 / (shared + 1024));
  return OK;
}

// ---- launches ----
static int check_dimensions(const Function& f, dim3 grid, dim3 block, unsigned shared) {
  const Kernel& k = *f.kernel;
  uint64_t threads = (uint64_t)block.x * block.y * block.z;
  if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535 || !threads ||
      threads > 1024 || block.z > 64) {
    say("%s: bad launch dimensions: grid %u x %u x %u, block %u x %u x %u", k.name, grid.x, grid.y, grid.z, block.x,
        block.y, block.z);
    return INVALID_VALUE;
  }
  if (threads > k.max_threads) {
    say("%s: %llu threads, __launch_bounds__ says %u", k.name, (Print)threads, k.max_threads);
    return OUT_OF_RESOURCES;
  }
  if (shared > f.dynamic_limit) {
    say("%s: %u bytes of dynamic shared memory, the limit is %u until cuFuncSetAttribute raises it", k.name, shared,
        f.dynamic_limit);
    return INVALID_VALUE;
  }
  return OK;
}

// The bytes that the launch may touch, for each pointer that is not null. `exact` stays true when all are declared.
static int pieces_of(const Kernel& k, const Values& values, Device* d, std::vector<Piece>& out, bool& exact) {
  std::map<size_t, Extent> extents;
  for (auto& e : k.extents(values)) extents[e.argument] = e;
  for (size_t i = 0; i < k.arguments.size(); i++) {
    const Argument& a = k.arguments[i];
    Ptr p;
    if (!a.pointer) continue;
    memcpy(&p, values[i], sizeof p);
    if (!p) continue;
    auto e = extents.find(i);
    Alloc* in = alloc_of(p);
    Device* owner = device_of(p);
    if (owner && owner != d && !d->peers.count(owner->id)) {
      say("%s (device %d): argument %s is memory of device %d", k.name, d->id, a.name, owner->id);
      return ILLEGAL_ADDRESS;
    }
    if (e == extents.end()) {
      exact = false;
      if (!in || !in->live || in->freeing) {
        say("%s (device %d): argument %s, 0x%llx, is in no live allocation", k.name, d->id, a.name, (Print)p);
        return ILLEGAL_ADDRESS;
      }
      out.push_back({p, in->lo + in->size, a.written, i});
      continue;
    }
    if (e->second.count < 0) {
      say("%s (device %d): argument %s has an extent of %lld elements", k.name, d->id, a.name, e->second.count);
      return ILLEGAL_ADDRESS;
    }
    uint64_t bytes = (uint64_t)e->second.count * e->second.element;
    if (bytes && (!in || !in->live || in->freeing || p + bytes > in->lo + in->size)) {
      uint64_t left = in && in->live && !in->freeing ? in->lo + in->size - p : 0;
      say("%s (device %d): argument %s needs %llu bytes, its allocation has %llu from there", k.name, d->id, a.name,
          (Print)bytes, (Print)left);
      return ILLEGAL_ADDRESS;
    }
    if (p % e->second.alignment) {
      say("%s (device %d): argument %s is misaligned", k.name, d->id, a.name);
      return 716;
    }
    out.push_back({p, p + bytes, a.written, i});
  }
  return OK;
}

API(cuLaunchKernel, (Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                     unsigned shared, void* h, void** params, void** extra)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  if (!S().functions.has(f)) return INVALID_HANDLE;
  const Kernel& k = *f->kernel;
  const dim3 grid(gx, gy, gz), block(bx, by, bz);
  Device* d = s->context->device;
  if (f->context != s->context) {
    say("%s: function of device %d, stream of device %d", k.name, f->context->device->id, d->id);
    return INVALID_HANDLE;
  }
  if (s->context != current()) {
    say("%s: stream of device %d, which is not the thread's current one", k.name, d->id);
    return INVALID_CONTEXT;
  }
  if (extra) return INVALID_VALUE;
  TRY(check_dimensions(*f, grid, block, shared));
  auto values = std::make_shared<std::vector<std::vector<char>>>();
  Values given;
  for (size_t i = 0; i < k.arguments.size(); i++) {
    values->emplace_back((char*)params[i], (char*)params[i] + k.arguments[i].size);
    given.push_back(values->back().data());
  }
  cuda_cpu::grid_dim = grid;    // extents may speak of gridDim
  cuda_cpu::block_dim = block;
  std::vector<Piece> pieces;
  bool exact = true;
  if (int e = pieces_of(k, given, d, pieces, exact)) return d->sticky = e;
  std::vector<Range> ranges;
  for (auto& p : pieces) ranges.push_back({p.lo, p.hi, p.written});
  return enqueue(s, k.name, ranges, [=, &k] {
    for (auto& p : pieces) if (p.lo < p.hi && !still_live(p.lo, k.name)) return (int)ILLEGAL_ADDRESS;
    if (exact && S().set.isolate) return run_isolated(k, grid, block, shared, *values, pieces, d);
    Values args;
    for (auto& v : *values) args.push_back(v.data());
    try {
      k.run(grid, block, shared, args);
      return (int)OK;
    } catch (cuda_cpu::Error& e) {
      say("%s (device %d)", e.what(), d->id);
      return (int)(strstr(e.what(), "illegal address") ? ILLEGAL_ADDRESS : LAUNCH_FAILED);
    }
  });
}
