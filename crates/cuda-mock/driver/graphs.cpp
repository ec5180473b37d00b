// graphs.cpp - stream capture over one or several devices, and graphs. A launch behaves as one piece of work in its
// stream, and waits for the previous launch of the same graph.
#include "state.h"

int no_capture(Stream* s) {  // for calls that a capturing stream must not make
  if (!s->capture) return OK;
  s->capture->invalid = true;
  return CAPTURE_UNSUPPORTED;
}
bool any_capture() {
  for (auto& [s, own] : S().streams.all) if (s->capture) return true;
  return false;
}

// ---- capture ----
API(cuStreamBeginCapture_v2, (void* h, int)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  if (s == s->context->legacy) return CAPTURE_UNSUPPORTED;
  if (s->capture) return INVALID_VALUE;
  s->capture = new Capture{s, false, {}, {s}};
  s->frontier.clear();
  return OK;
}
API(cuThreadExchangeStreamCaptureMode, (int*)) { ENTER; return OK; }
API(cuStreamIsCapturing, (void* h, int* status)) {
  ENTER;
  TRY(ready_context());
  Stream* s = (Stream*)h;
  *status = !S().streams.has(s) || !s->capture ? 0 : s->capture->invalid ? 2 : 1;
  return OK;
}
static bool all_joined(const Capture& c) {  // every node must lead to the origin stream
  std::set<Op*> reached;
  std::vector<OpP> todo = c.origin->frontier;
  while (!todo.empty()) {
    OpP o = todo.back();
    todo.pop_back();
    if (reached.insert(o.get()).second) todo.insert(todo.end(), o->deps.begin(), o->deps.end());
  }
  return reached.size() == c.nodes.size();
}
API(cuStreamEndCapture, (void* h, Graph** out)) {
  ENTER;
  TRY(ready_context());
  Stream* s = (Stream*)h;
  *out = nullptr;
  if (!S().streams.has(s) || !s->capture || s->capture->origin != s) return CAPTURE_UNMATCHED;
  std::unique_ptr<Capture> c(s->capture);
  int e = c->invalid ? CAPTURE_INVALIDATED : OK;
  if (!e && !all_joined(*c)) {
    say("end of capture: work of another stream was not joined");
    e = CAPTURE_UNJOINED;
  }
  for (Stream* t : c->streams) { t->capture = nullptr; t->frontier.clear(); }
  for (auto& [v, own] : S().events.all) if (v->capture == c.get()) { v->capture = nullptr; v->nodes.clear(); }
  if (!e) *out = S().graphs.add(Graph{c->nodes});
  return e;
}

// ---- graphs ----
API(cuGraphInstantiateWithFlags, (GraphExec** x, Graph* g, unsigned long long)) {
  ENTER;
  TRY(ready_context());
  if (!S().graphs.has(g)) return INVALID_HANDLE;
  GraphExec exec{g->nodes, {}, nullptr};
  for (auto& n : g->nodes) if (!exec.lanes.count(n->stream)) exec.lanes[n->stream] = new_lane();
  *x = S().execs.add(exec);
  return OK;
}
API(cuGraphUpload, (GraphExec* x, void*)) { ENTER; return S().execs.has(x) ? OK : INVALID_HANDLE; }
API(cuGraphLaunch, (GraphExec* x, void* h)) {
  ENTER;
  Stream* s;
  TRY(stream_of(h, &s));
  TRY(no_capture(s));
  if (!S().execs.has(x)) return INVALID_HANDLE;
  OpP start;
  TRY(enqueue(s, "graph start", {}, nullptr, &start, x->last));
  std::map<Op*, OpP> copies;
  std::set<OpP> ends = {start};
  int result = OK;
  for (auto& n : x->nodes) {
    OpP o = make_op(n->stream, n->label, n->ranges, n->run);
    o->lane = x->lanes.at(n->stream);
    std::vector<OpP> after = {start};
    for (auto& d : n->deps) {
      after.push_back(copies.at(d.get()));
      ends.erase(after.back());
    }
    copies[n.get()] = o;
    ends.insert(o);
    if (int e = issue(o, after)) result = e;
  }
  OpP end;
  end = make_op(s, "graph end", {}, nullptr);
  s->last = x->last = end;
  int e = issue(end, {ends.begin(), ends.end()});
  return result ? result : e;
}
API(cuGraphExecDestroy, (GraphExec* x)) { ENTER; return S().execs.drop(x) ? OK : INVALID_HANDLE; }
API(cuGraphDestroy, (Graph* g)) { ENTER; return S().graphs.drop(g) ? OK : INVALID_HANDLE; }
API(cuGraphGetNodes, (Graph* g, void**, size_t* n)) {
  ENTER;
  if (!S().graphs.has(g)) return INVALID_HANDLE;
  *n = g->nodes.size();
  return OK;
}
