// order.cpp - queued work and when it runs: only when somebody waits for it, in a legal order that the setting chooses.
//   lazy     only what the wait needs, as late as possible
//   reverse  ready work of the newest stream first
//   random   a random legal order, also making progress at random moments
//   eager    at once, in order of issue: what a naive reader assumes; hides missing dependencies
#include <chrono>
#include <thread>
#include "state.h"

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
uint64_t random64() {
  uint64_t& r = S().rng;
  r ^= r << 13; r ^= r >> 7; r ^= r << 17;
  return r;
}

// ---- running ----
static void run_op(const OpP& op) {
  int e = OK;
  Device* d = op->device;
  if (op->run && !d->sticky) {
    if (S().set.trace)
      fprintf(stderr, "mock cuda: run %llu %s (device %d, stream %u)\n", (Print)op->id, op->label.c_str(), d->id,
              op->stream->number);
    S().ran.push_back({op->stream->number, d->id, op->label});
    e = injected("exec:" + op->label);
    if (!e) e = op->run();
  }
  if (e) {
    d->sticky = e;
    say("%s failed with %d; device %d is unusable from now on", op->label.c_str(), e, d->id);
  }
  op->done = true;
  op->time = now();
  op->run = nullptr;
  op->waits = nullptr;
  op->deps.clear();
}
static bool is_ready(const Op& o) {
  for (auto& d : o.deps) if (!d->done) return false;
  return !o.waits || !o.waits();
}
static void drop_done() {
  auto& p = S().pending;
  p.erase(std::remove_if(p.begin(), p.end(), [](const OpP& o) { return o->done; }), p.end());
}
static bool run_one() {  // one ready piece of work, by policy; false where there is none
  OpP best;
  size_t ready = 0, done = 0;
  for (auto& o : S().pending) {
    done += o->done;
    if (o->done || !is_ready(*o)) continue;
    ready++;
    bool newer = S().set.policy == Policy::Reverse && best && o->stream->number > best->stream->number;
    if (!best || newer || (S().set.policy == Policy::Random && random64() % ready == 0)) best = o;
  }
  if (best) run_op(best);
  if (done > 64) drop_done();
  return best != nullptr;
}
bool advance(const OpP& op) {
  if (!op || op->done) return true;
  if (S().set.policy == Policy::Reverse || S().set.policy == Policy::Random) {
    while (!op->done && run_one()) {}
  } else {
    std::vector<OpP> stack{op};
    while (!stack.empty()) {
      OpP o = stack.back(), missing;
      for (auto& d : o->deps) if (!d->done) missing = d;
      if (missing) { stack.push_back(missing); continue; }
      if (!o->done && o->waits && o->waits()) break;
      if (!o->done) run_op(o);
      stack.pop_back();
    }
  }
  drop_done();
  return op->done;
}
void run_until(const OpP& op) {
  while (!advance(op)) {
    send_what_is_ready();
    // Other ranks of this process need the driver, those of other processes some time.
    S().lock.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    S().lock.lock();
  }
}

// ---- waits of the host ----
void know(const OpP& op) { if (op) join(S().host, op->clock); }
int host_wait(const OpP& op) {
  if (!op) return OK;
  run_until(op);
  know(op);
  return op->device->sticky;
}
int run_all(Context* only) {
  std::vector<OpP> ops;
  for (auto& o : S().pending) if (!only || o->device == only->device) ops.push_back(o);
  std::sort(ops.begin(), ops.end(), [](const OpP& a, const OpP& b) {
    unsigned m = a->stream->number, n = b->stream->number;
    return m != n ? m > n : a->id < b->id;
  });
  // Another rank of this process may wait for what this thread does next: only a device is waited for.
  for (auto& o : ops) only ? run_until(o) : (void)advance(o);
  if (!only) return OK;
  for (auto& [s, own] : S().streams.all) if (s->context == only) know(s->last);
  return only->device->sticky;
}

// ---- issue ----
OpP make_op(Stream* s, std::string label, std::vector<Range> ranges, std::function<int()> run) {
  OpP o = std::make_shared<Op>();
  o->device = s->context->device; o->stream = s; o->lane = s->lane;
  o->label = std::move(label); o->ranges = std::move(ranges); o->run = std::move(run);
  return o;
}
int issue(const OpP& op, std::vector<OpP> after) {
  op->id = S().next_op++;
  op->clock = S().host;
  for (auto& d : after) {
    if (!d) continue;
    join(op->clock, d->clock);
    if (!d->done) op->deps.push_back(d);
  }
  std::sort(op->deps.begin(), op->deps.end(), [](const OpP& a, const OpP& b) { return a->id < b->id; });
  if (op->clock.size() <= op->lane) op->clock.resize(op->lane + 1);
  op->clock[op->lane] = ++S().lanes[op->lane];
  int e = check_races(op);
  S().pending.push_back(op);
  if (S().set.policy == Policy::Eager) advance(op);
  if (S().set.policy == Policy::Random && random64() % 2) run_one();
  return e;
}
int enqueue(Stream* s, std::string label, std::vector<Range> ranges, std::function<int()> run, OpP* out, OpP extra) {
  OpP o = make_op(s, std::move(label), std::move(ranges), std::move(run));
  if (out) *out = o;
  return put(s, o, extra);
}
int put(Stream* s, const OpP& o, OpP extra) {
  if (s->capture) {
    o->deps = s->frontier;
    s->frontier = {o};
    s->capture->nodes.push_back(o);
    return OK;
  }
  std::vector<OpP> after = {s->last, extra};
  Context* c = s->context;
  if (s == c->legacy) {
    for (auto& [t, own] : S().streams.all) if (t->context == c && t != s && t->blocking) after.push_back(t->last);
  } else if (s->blocking) {
    after.push_back(c->legacy->last);
  }
  s->last = o;
  return issue(o, after);
}
