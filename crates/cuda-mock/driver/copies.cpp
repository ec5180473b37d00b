// copies.cpp - copies and fills. Pageable host memory is read at issue and written before the call returns, as the
// driver promises; pinned memory is touched only when the copy runs.
#include "state.h"

static Range reads(Ptr p, uint64_t n) { return {p, p + n, false}; }
static Range writes(Ptr p, uint64_t n) { return {p, p + n, true}; }

static int to_device(Ptr d, const void* source, size_t n, Stream* s, OpP* op) {
  if (!n) return OK;
  TRY(usable(d, n, s->context->device, "copy to device"));
  std::vector<Range> ranges = {writes(d, n)};
  const void* from = source;
  std::shared_ptr<std::vector<char>> staged;
  if (is_pinned(source, n)) {
    ranges.push_back(reads((Ptr)source, n));
  } else {
    TRY(no_capture(s));
    staged = std::make_shared<std::vector<char>>((const char*)source, (const char*)source + n);
    from = staged->data();
  }
  return enqueue(s, "copy H2D", ranges, [=] {
    (void)staged;
    if (!still_live(d, "copy H2D")) return (int)ILLEGAL_ADDRESS;
    memcpy((void*)d, from, n);
    return (int)OK;
  }, op);
}
static int to_host(void* d, Ptr source, size_t n, Stream* s, OpP* op) {
  if (!n) return OK;
  TRY(usable(source, n, s->context->device, "copy from device"));
  bool pinned = is_pinned(d, n);
  if (!pinned) TRY(no_capture(s));
  std::vector<Range> ranges = {reads(source, n)};
  if (pinned) ranges.push_back(writes((Ptr)d, n));
  OpP o;
  TRY(enqueue(s, "copy D2H", ranges, [=] {
    if (!still_live(source, "copy D2H")) return (int)ILLEGAL_ADDRESS;
    memcpy(d, (void*)source, n);
    return (int)OK;
  }, &o));
  if (op) *op = o;
  return pinned ? OK : host_wait(o);
}
static int between(Ptr d, Ptr source, size_t n, Stream* s, const char* label) {
  if (!n) return OK;
  TRY(usable(d, n, s->context->device, label));
  TRY(usable(source, n, s->context->device, label));
  return enqueue(s, label, {writes(d, n), reads(source, n)}, [=] {
    if (!still_live(d, label) || !still_live(source, label)) return (int)ILLEGAL_ADDRESS;
    memmove((void*)d, (void*)source, n);
    return (int)OK;
  });
}
template <class T>
static int fill(Ptr d, T value, size_t n, Stream* s) {
  if (!n) return OK;
  TRY(usable(d, n * sizeof(T), s->context->device, "memset"));
  return enqueue(s, "memset", {writes(d, n * sizeof(T))}, [=] {
    if (!still_live(d, "memset")) return (int)ILLEGAL_ADDRESS;
    std::fill_n((T*)d, n, value);
    return (int)OK;
  });
}
#define STREAM(handle) \
  ENTER;               \
  Stream* s;           \
  TRY(stream_of(handle, &s))

API(cuMemcpyHtoDAsync_v2, (Ptr d, const void* p, size_t n, void* h)) {
  STREAM(h);
  return to_device(d, p, n, s, nullptr);
}
API(cuMemcpyDtoHAsync_v2, (void* d, Ptr p, size_t n, void* h)) { STREAM(h); return to_host(d, p, n, s, nullptr); }
API(cuMemcpyDtoDAsync_v2, (Ptr d, Ptr p, size_t n, void* h)) { STREAM(h); return between(d, p, n, s, "copy D2D"); }
API(cuMemcpyHtoD_v2, (Ptr d, const void* p, size_t n)) {
  STREAM(nullptr);
  OpP o;
  TRY(to_device(d, p, n, s, &o));
  return host_wait(o);
}
API(cuMemcpyDtoH_v2, (void* d, Ptr p, size_t n)) {
  STREAM(nullptr);
  OpP o;
  TRY(to_host(d, p, n, s, &o));
  return host_wait(o);
}
API(cuMemcpyDtoD_v2, (Ptr d, Ptr p, size_t n)) { STREAM(nullptr); return between(d, p, n, s, "copy D2D"); }
API(cuMemcpyPeerAsync, (Ptr d, Context* dc, Ptr p, Context* sc, size_t n, void* h)) {
  STREAM(h);
  if (!device_of(d) || device_of(d) != dc->device || !device_of(p) || device_of(p) != sc->device) {
    say("peer copy: a pointer does not belong to the context given with it");
    return INVALID_VALUE;
  }
  if (s->context != dc && s->context != sc) return INVALID_CONTEXT;
  return between(d, p, n, s, "copy peer");
}
API(cuMemsetD8Async, (Ptr d, unsigned char v, size_t n, void* h)) { STREAM(h); return fill(d, v, n, s); }
API(cuMemsetD8_v2, (Ptr d, unsigned char v, size_t n)) { STREAM(nullptr); return fill(d, v, n, s); }
API(cuMemsetD32Async, (Ptr d, unsigned v, size_t n, void* h)) { STREAM(h); return fill(d, v, n, s); }
API(cuMemsetD32_v2, (Ptr d, unsigned v, size_t n)) { STREAM(nullptr); return fill(d, v, n, s); }
