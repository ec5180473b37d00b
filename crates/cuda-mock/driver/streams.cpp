// streams.cpp - streams and events.
#include "state.h"

// ---- streams ----
static int create(Stream** out, unsigned flags) {
  TRY(ready_context());
  Stream s{};
  s.context = current(); s.number = S().next_stream++; s.lane = new_lane(); s.blocking = !(flags & 1); s.alive = true;
  *out = S().streams.add(s);
  return OK;
}
API(cuStreamCreate, (Stream** out, unsigned flags)) { ENTER; return create(out, flags); }
API(cuStreamCreateWithPriority, (Stream** out, unsigned flags, int)) { ENTER; return create(out, flags); }
API(cuStreamDestroy_v2, (Stream* s)) {  // work that is queued in it still runs
  ENTER;
  if (!S().streams.has(s) || !s->alive) return INVALID_HANDLE;
  s->alive = false;
  return OK;
}
API(cuStreamSynchronize, (void* h)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  TRY(no_capture(s));
  return host_wait(s->last);
}
// First "not ready", then progress: a host that polls terminates, one that reads too early is caught.
static int query(const OpP& op) {
  if (!op) return OK;
  if (op->done) { know(op); return op->device->sticky; }
  advance(op);
  send_what_is_ready();
  return NOT_READY;
}
API(cuStreamQuery, (void* h)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  TRY(no_capture(s));
  return query(s->last);
}
API(cuLaunchHostFunc, (void* h, void (*function)(void*), void* data)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  return enqueue(s, "host function", {}, [=] { function(data); return OK; });
}

// ---- events ----
API(cuEventCreate, (Event** out, unsigned flags)) {
  ENTER;
  TRY(ready_context());
  Event e{};
  e.context = current(); e.flags = flags;
  *out = S().events.add(e);
  return OK;
}
API(cuEventDestroy_v2, (Event* e)) { ENTER; return S().events.drop(e) ? OK : INVALID_HANDLE; }
API(cuEventRecord, (Event* e, void* h)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  if (!S().events.has(e)) return INVALID_HANDLE;
  if (e->context != s->context) {
    say("event of device %d recorded in a stream of device %d", e->context->device->id, s->context->device->id);
    return INVALID_HANDLE;
  }
  if (s->capture) { e->capture = s->capture; e->nodes = s->frontier; e->op = nullptr; return OK; }
  e->capture = nullptr;
  e->nodes.clear();
  return enqueue(s, "event record", {}, nullptr, &e->op);
}
API(cuStreamWaitEvent, (void* h, Event* e, unsigned)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  if (!S().events.has(e)) return INVALID_HANDLE;
  if (e->capture) {
    if (s->capture && s->capture != e->capture) { s->capture->invalid = true; return CAPTURE_ISOLATION; }
    if (!s->capture) {
      s->capture = e->capture;
      s->frontier.clear();
      e->capture->streams.insert(s);
    }
    for (auto& n : e->nodes) s->frontier.push_back(n);
    return OK;
  }
  if (!e->op) return OK;  // never recorded: no wait
  if (s->capture) { s->capture->invalid = true; return CAPTURE_ISOLATION; }
  return enqueue(s, "event wait", {}, nullptr, nullptr, e->op);
}
API(cuEventSynchronize, (Event* e)) {
  ENTER;
  if (!S().events.has(e)) return INVALID_HANDLE;
  if (e->capture) return CAPTURED_EVENT;
  TRY(e->context->device->sticky);
  return host_wait(e->op);
}
API(cuEventQuery, (Event* e)) {
  ENTER;
  if (!S().events.has(e)) return INVALID_HANDLE;
  if (e->capture) return CAPTURED_EVENT;
  return query(e->op);
}
static int elapsed(float* ms, Event* a, Event* b) {
  if (!S().events.has(a) || !S().events.has(b)) return INVALID_HANDLE;
  if (((a->flags | b->flags) & 2) || !a->op || !b->op) return INVALID_HANDLE;  // without timing, or never recorded
  if (!a->op->done || !b->op->done) return NOT_READY;
  *ms = (float)((b->op->time - a->op->time) * 1e3);
  return OK;
}
API(cuEventElapsedTime, (float* ms, Event* a, Event* b)) { ENTER; return elapsed(ms, a, b); }
API(cuEventElapsedTime_v2, (float* ms, Event* a, Event* b)) { ENTER; return elapsed(ms, a, b); }
