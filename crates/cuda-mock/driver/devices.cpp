// devices.cpp - initialisation, devices, contexts, peer access, names of errors.
#include "state.h"

namespace {
struct Current { Context* context = nullptr; uint64_t generation = 0; };
thread_local Current held;

bool known(int device) { return device >= 0 && device < (int)S().devices.size(); }
bool known(Context* c) {
  for (auto& each : S().contexts) if (each.get() == c) return true;
  return false;
}
void add_device(int id) {
  auto d = std::make_unique<Device>();
  d->id = id;
  d->base = range_of(id);
  d->next = d->base + PAGE;
  auto c = std::make_unique<Context>(Context{d.get(), nullptr, nullptr});
  for (Stream** p : {&c->legacy, &c->per_thread}) {
    Stream s{};
    s.context = c.get(); s.number = 0; s.lane = new_lane(); s.blocking = s.alive = true;
    *p = S().streams.add(s);
  }
  S().devices.push_back(std::move(d));
  S().contexts.push_back(std::move(c));
}
}  // namespace

Context* current() { return held.generation == S().generation ? held.context : nullptr; }
int ready_context() { return current() ? current()->device->sticky : (int)INVALID_CONTEXT; }

int stream_of(void* handle, Stream** out) {
  TRY(ready_context());
  Stream* s = handle == nullptr || handle == (void*)1 ? current()->legacy
              : handle == (void*)2 ? current()->per_thread : (Stream*)handle;
  if (!S().streams.has(s) || !s->alive) return INVALID_HANDLE;
  TRY(s->context->device->sticky);
  if (s->capture && s->capture->invalid) return CAPTURE_INVALIDATED;
  *out = s;
  return OK;
}

// What the first call of a process does, whichever it is.
static int prepare() {
  static bool prepared = false;
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  if (prepared) return OK;
  prepared = true;
  if (S().generation == 1 && !settings_from_environment()) return INVALID_VALUE;
  cuda_cpu::install_fault_handler([](uintptr_t) { return true; });
  atexit([] {
    if (S().set.print && !S().races.empty()) fprintf(stderr, "mock cuda: %zu races\n", S().races.size());
  });
  return OK;
}

API(cuInit, (unsigned)) {
  TRY(prepare());
  ENTER;
  if (S().init) return OK;
  if (!S().set.devices) return 100;  // no device
  for (int i = 0; i < S().set.devices; i++) {
    if (!range_of(i)) return OUT_OF_MEMORY;
    add_device(i);
  }
  S().init = true;
  return OK;
}
API(cuDriverGetVersion, (int* v)) {
  TRY(prepare());
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  *v = S().set.version;
  return injected(__func__);
}

// ---- devices ----
API(cuDeviceGetCount, (int* n)) { ENTER; *n = (int)S().devices.size(); return OK; }
API(cuDeviceGet, (int* d, int i)) { ENTER; if (!known(i)) return INVALID_DEVICE; *d = i; return OK; }
API(cuDeviceGetName, (char* s, int n, int d)) { ENTER; snprintf(s, n, "Mock GPU %d", d); return OK; }
API(cuDeviceTotalMem_v2, (size_t* n, int d)) {
  ENTER;
  if (!known(d)) return INVALID_DEVICE;
  *n = S().set.memory_mb << 20;
  return OK;
}
static int uuid(char* u, int d) {
  memset(u, 0, 16);
  u[15] = (char)(d + 1);
  return OK;
}
API(cuDeviceGetUuid, (char* u, int d)) { ENTER; return uuid(u, d); }
API(cuDeviceGetUuid_v2, (char* u, int d)) { ENTER; return uuid(u, d); }
API(cuDeviceGetPCIBusId, (char* s, int n, int d)) {
  ENTER;
  if (!known(d)) return INVALID_DEVICE;
  snprintf(s, n, "0000:%02X:00.0", d + 1);
  return OK;
}
API(cuDeviceGetAttribute, (int* v, int a, int d)) {
  ENTER;
  if (!known(d)) return INVALID_DEVICE;
  // Limits of a block and a grid, shared memory, registers, clock, processors, memory bus, L2, memory pools.
  static const std::map<int, int> values = {
      {1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 2147483647}, {6, 65535}, {7, 65535}, {8, 49152}, {10, 32},
      {12, 65536}, {13, 1980000}, {16, 132}, {31, 0}, {36, 2619000}, {37, 5120}, {38, 52428800}, {39, 2048}, {40, 3},
      {41, 1}, {81, 233472}, {82, 65536}, {95, 1}, {97, 232448}, {106, 32}, {115, 1}};
  auto i = values.find(a);
  int cc = S().set.capability;
  *v = a == 75 ? cc / 10 : a == 76 ? cc % 10 : a == 33 ? d + 1 : i != values.end() ? i->second : 0;
  return OK;
}

// ---- contexts ----
API(cuDevicePrimaryCtxRetain, (Context** c, int d)) {
  ENTER;
  if (!known(d)) return INVALID_DEVICE;
  TRY(S().devices[d]->sticky);
  *c = S().contexts[d].get();
  return OK;
}
API(cuDevicePrimaryCtxRelease_v2, (int)) { ENTER; return OK; }
API(cuDevicePrimaryCtxGetState, (int, unsigned* flags, int* active)) { ENTER; *flags = 0; *active = 1; return OK; }
API(cuCtxSetCurrent, (Context* c)) {
  ENTER;
  if (c && !known(c)) return INVALID_CONTEXT;
  held = {c, S().generation};
  return OK;
}
API(cuCtxGetCurrent, (Context** c)) { ENTER; *c = current(); return OK; }
API(cuCtxGetDevice, (int* d)) {
  ENTER;
  if (!current()) return INVALID_CONTEXT;
  *d = current()->device->id;
  return OK;
}
API(cuCtxGetStreamPriorityRange, (int* least, int* greatest)) { ENTER; *least = 0; *greatest = -5; return OK; }
API(cuCtxSetFlags, (unsigned)) { ENTER; return OK; }
API(cuCtxSynchronize, ()) {
  ENTER;
  TRY(ready_context());
  for (auto& [s, own] : S().streams.all) if (s->context == current()) TRY(no_capture(s));
  return run_all(current());
}

// ---- peers ----
API(cuDeviceCanAccessPeer, (int* can, int a, int b)) {
  ENTER;
  if (!known(a) || !known(b)) return INVALID_DEVICE;
  *can = S().set.peers && a != b;
  return OK;
}
API(cuDeviceGetP2PAttribute, (int* v, int a, int from, int to)) {  // 1 performance rank, 2 access, 3 atomics
  ENTER;
  if (!known(from) || !known(to) || from == to) return INVALID_DEVICE;
  *v = a == 1 ? 0 : S().set.peers;
  return OK;
}
API(cuCtxEnablePeerAccess, (Context* peer, unsigned flags)) {
  ENTER;
  TRY(ready_context());
  if (flags) return INVALID_VALUE;
  if (!known(peer) || peer == current()) return INVALID_CONTEXT;
  if (!S().set.peers) return PEER_UNSUPPORTED;
  return current()->device->peers.insert(peer->device->id).second ? OK : PEER_ALREADY;
}
API(cuCtxDisablePeerAccess, (Context* peer)) {
  ENTER;
  TRY(ready_context());
  return known(peer) && current()->device->peers.erase(peer->device->id) ? OK : PEER_NOT_ENABLED;
}

// ---- the rest ----
API(cuGetExportTable, (const void** table, const void*)) { *table = nullptr; return NOT_FOUND; }  // NVRTC asks for it
API(cuProfilerStart, ()) { ENTER; return OK; }
API(cuProfilerStop, ()) { ENTER; return OK; }
API(cuGetErrorName, (int e, const char** s)) {
#define NAME(n, text) {n, "CUDA_ERROR_" text}
  static const std::map<int, const char*> names = {
      {0, "CUDA_SUCCESS"}, NAME(1, "INVALID_VALUE"), NAME(2, "OUT_OF_MEMORY"), NAME(3, "NOT_INITIALIZED"),
      NAME(46, "DEVICE_UNAVAILABLE"), NAME(100, "NO_DEVICE"), NAME(101, "INVALID_DEVICE"), NAME(200, "INVALID_IMAGE"),
      NAME(201, "INVALID_CONTEXT"), NAME(209, "NO_BINARY_FOR_GPU"), NAME(214, "ECC_UNCORRECTABLE"),
      NAME(217, "PEER_ACCESS_UNSUPPORTED"), NAME(400, "INVALID_HANDLE"), NAME(500, "NOT_FOUND"), NAME(600, "NOT_READY"),
      NAME(700, "ILLEGAL_ADDRESS"), NAME(701, "LAUNCH_OUT_OF_RESOURCES"), NAME(704, "PEER_ACCESS_ALREADY_ENABLED"),
      NAME(705, "PEER_ACCESS_NOT_ENABLED"), NAME(719, "LAUNCH_FAILED"), NAME(801, "NOT_SUPPORTED"),
      NAME(803, "SYSTEM_DRIVER_MISMATCH"), NAME(900, "STREAM_CAPTURE_UNSUPPORTED"),
      NAME(901, "STREAM_CAPTURE_INVALIDATED"), NAME(904, "STREAM_CAPTURE_UNJOINED"),
      NAME(905, "STREAM_CAPTURE_ISOLATION"), NAME(999, "UNKNOWN")};
  auto i = names.find(e);
  *s = i == names.end() ? "CUDA_ERROR (mock)" : i->second;
  return OK;
}
API(cuGetErrorString, (int e, const char** s)) { return cuGetErrorName(e, s); }
