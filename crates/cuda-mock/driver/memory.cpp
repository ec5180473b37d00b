// memory.cpp - device and pinned memory. Each device has its own range of addresses; each allocation ends at a guard
// page, is filled with 0xFF (NaN), and its addresses are not used again before mock_reset.
#include "state.h"

// ---- lookup ----
Device* device_of(Ptr p) {
  for (auto& d : S().devices) if (p >= d->base && p < d->base + SPAN) return d.get();
  return nullptr;
}
Alloc* alloc_of(Ptr p) {
  Device* d = device_of(p);
  auto& in = d ? d->allocs : S().pinned;
  auto i = in.upper_bound(p);
  if (i == in.begin()) return nullptr;
  Alloc& a = (--i)->second;
  return p < a.lo + std::max<uint64_t>(a.size, 1) ? &a : nullptr;
}
bool is_pinned(const void* p, uint64_t n) {
  if (device_of((Ptr)p)) return false;
  Alloc* a = alloc_of((Ptr)p);
  return a && (Ptr)p + n <= a->lo + a->size;
}
int usable(Ptr p, uint64_t n, Device* from, const char* what) {
  Alloc* a = alloc_of(p);
  Device* d = device_of(p);
  if (!d || !a || p + n > a->lo + a->size || !a->live || a->freeing) {
    say("%s: 0x%llx + %llu is not inside a live allocation", what, (Print)p, (Print)n);
    return INVALID_VALUE;
  }
  if (d != from && !from->peers.count(d->id)) {
    say("%s: memory of device %d used from device %d", what, d->id, from->id);
    return PEER_NOT_ENABLED;
  }
  return OK;
}
bool still_live(Ptr p, const char* what) {
  Alloc* a = alloc_of(p);
  if (a && a->live) return true;
  say("%s: use after free of 0x%llx", what, (Print)p);
  return false;
}

// ---- address ranges ----
// Wherever the process has room: what else lives in it (Node's heap, a sanitizer's shadow) is not known here.
Ptr range_of(int number) {
  static Ptr ranges[MAX_DEVICES + 1];
  Ptr& range = ranges[number];
  if (range) return range;
  void* p = mmap(nullptr, SPAN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    say("no room for %llu bytes of addresses: %s", (Print)SPAN, strerror(errno));
    return 0;
  }
  return range = (Ptr)p;
}
void forget_memory() {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  for (auto& d : S().devices) mmap((void*)d->base, d->next - d->base, PROT_NONE, flags, -1, 0);
  for (auto& [p, a] : S().pinned) free((void*)p);
  S().pinned.clear();
}

// ---- allocations ----
static uint64_t rounded(uint64_t size) { return (size + 255) & ~255ull; }

static int allocate(Device* d, uint64_t size, Ptr* out) {
  const uint64_t capacity = S().set.memory_mb << 20;
  uint64_t need = rounded(size), pages = (need + PAGE - 1) / PAGE * PAGE;
  if (need < size || d->used + need > capacity) run_all(nullptr);  // queued releases may give memory back
  if (need < size || d->used + need > capacity) {
    say("device %d is out of memory: %llu of %llu bytes in use, %llu wanted", d->id, (Print)d->used, (Print)capacity,
        (Print)size);
    return OUT_OF_MEMORY;
  }
  if (d->next + pages + PAGE > d->base + SPAN) { say("device %d is out of addresses", d->id); return OUT_OF_MEMORY; }
  Alloc a{};
  a.map_lo = d->next; a.map_len = pages; a.size = size; a.live = true;
  a.lo = a.map_lo + pages - need;  // the guard page follows
  if (mprotect((void*)a.map_lo, pages, PROT_READ | PROT_WRITE)) return OUT_OF_MEMORY;
  d->next += pages + PAGE;
  memset((void*)a.map_lo, 0xff, pages);
  memset((char*)a.lo + size, CANARY, need - size);
  d->used += need;
  d->allocs[a.lo] = a;
  *out = a.lo;
  return OK;
}
static int release(Device* d, Alloc& a) {
  int e = OK;
  for (uint64_t i = a.size; i < rounded(a.size) && !e; i++)
    if (((unsigned char*)a.lo)[i] != CANARY) {
      say("bytes behind the allocation of %llu bytes at 0x%llx (device %d) were overwritten", (Print)a.size,
          (Print)a.lo, d->id);
      e = d->sticky = ILLEGAL_ADDRESS;
    }
  madvise((void*)a.map_lo, a.map_len, MADV_DONTNEED);
  mprotect((void*)a.map_lo, a.map_len, PROT_NONE);
  a.live = false;
  a.seen.clear();
  d->used -= rounded(a.size);
  return e;
}
static int freeable(Ptr p, Alloc** out) {
  Alloc* a = alloc_of(p);
  *out = a;
  if (device_of(p) && a && a->lo == p && a->live && !a->freeing) return OK;
  say("free of 0x%llx, which is not a live allocation", (Print)p);
  return INVALID_VALUE;
}

API(cuMemGetInfo_v2, (size_t* free_, size_t* total)) {
  ENTER;
  TRY(ready_context());
  *total = S().set.memory_mb << 20;
  *free_ = *total - std::min<size_t>(*total, current()->device->used);
  return OK;
}
API(cuMemAlloc_v2, (Ptr* p, size_t n)) {
  ENTER;
  TRY(ready_context());
  if (!n) return INVALID_VALUE;
  if (any_capture()) return CAPTURE_UNSUPPORTED;
  return allocate(current()->device, n, p);
}
API(cuMemFree_v2, (Ptr p)) {
  ENTER;
  TRY(ready_context());
  if (!p) return OK;
  if (any_capture()) return CAPTURE_UNSUPPORTED;
  Alloc* a;
  TRY(freeable(p, &a));
  TRY(run_all(current()));
  return release(device_of(p), *a);
}
API(cuMemAllocAsync, (Ptr* p, size_t n, void* h)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  TRY(no_capture(s));  // memory that a graph owns is not modelled
  *p = 0;
  if (!n) return OK;
  TRY(allocate(s->context->device, n, p));
  Ptr q = *p;
  return enqueue(s, "alloc", {{q, q + n, true}}, [q, n] { memset((void*)q, 0xff, n); return OK; });
}
API(cuMemFreeAsync, (Ptr p, void* h)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  TRY(no_capture(s));
  if (!p) return OK;
  Alloc* a;
  TRY(freeable(p, &a));
  a->freeing = true;
  return enqueue(s, "free", {{p, p + a->size, true}}, [p] { return release(device_of(p), *alloc_of(p)); });
}

// ---- pinned memory ----
static int pin(void** p, size_t n) {
  TRY(ready_context());
  if (posix_memalign(p, PAGE, std::max<size_t>(n, 1))) return OUT_OF_MEMORY;
  memset(*p, 0xff, n);
  Alloc a{};
  a.lo = (Ptr)*p; a.size = n; a.live = true;
  S().pinned[a.lo] = a;
  return OK;
}
API(cuMemHostAlloc, (void** p, size_t n, unsigned)) { ENTER; return pin(p, n); }
API(cuMemAllocHost_v2, (void** p, size_t n)) { ENTER; return pin(p, n); }
API(cuMemFreeHost, (void* p)) {
  ENTER;
  if (!S().pinned.count((Ptr)p)) return INVALID_VALUE;
  run_all(nullptr);  // a copy may still use it
  S().pinned.erase((Ptr)p);
  free(p);
  return OK;
}
API(cuMemHostGetDevicePointer_v2, (Ptr* d, void* p, unsigned)) {
  ENTER;
  if (!is_pinned(p, 1)) return INVALID_VALUE;
  *d = (Ptr)p;
  return OK;
}

// ---- pools: nothing is kept, so there is nothing to trim ----
API(cuDeviceGetDefaultMemPool, (void** pool, int d)) { ENTER; *pool = (void*)(size_t)(d + 1); return OK; }
API(cuMemPoolSetAttribute, (void*, int, void*)) { ENTER; return OK; }
API(cuMemPoolTrimTo, (void*, size_t)) { ENTER; return OK; }
