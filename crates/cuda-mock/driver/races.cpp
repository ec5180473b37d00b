// races.cpp - two conflicting accesses without a happens-before path between them (order of a stream, events, waits of
// the host) are a race, whatever order they happened to run in. Vector clocks answer "happened before" in O(1), and an
// access is forgotten as soon as every later conflict with it would also conflict with a newer one.
#include "state.h"

unsigned new_lane() {
  S().lanes.push_back(0);
  return (unsigned)S().lanes.size() - 1;
}
void join(Clock& into, const Clock& from) {
  if (into.size() < from.size()) into.resize(from.size());
  for (size_t i = 0; i < from.size(); i++) into[i] = std::max(into[i], from[i]);
}
static bool before(const Op& a, const Clock& c) { return a.lane < c.size() && a.clock[a.lane] <= c[a.lane]; }

static std::string describe(const Op& o, bool writes) {
  return o.label + (writes ? " (writes" : " (reads") + ", device " + std::to_string(o.device->id) + ", stream " +
         std::to_string(o.stream->number) + ")";
}
static void tell(const Access& old, const Op& op, const Range& r, const Alloc& a) {
  std::string pair = describe(*old.op, old.range.write) + " and " + describe(op, r.write);
  Ptr lo = std::max(r.lo, old.range.lo) - a.lo, hi = std::min(r.hi, old.range.hi) - a.lo;
  Device* d = device_of(a.lo);
  std::string text = "race: " + pair + " with no event or wait between them, bytes " + std::to_string(lo) + ".." +
                     std::to_string(hi) + " of " + std::to_string(a.size) +
                     (d ? " in device " + std::to_string(d->id) : " of pinned memory");
  if (!S().told.insert(pair).second) return;
  S().races.push_back(text);
  if (S().set.print) fprintf(stderr, "mock cuda: %s\n", text.c_str());
}

int check_races(const OpP& op) {
  if (S().set.races == Races::Off) return OK;
  int result = OK;
  for (auto& r : op->ranges) {
    Alloc* a = r.lo < r.hi ? alloc_of(r.lo) : nullptr;
    if (!a) continue;
    auto& seen = a->seen;
    size_t kept = 0;
    for (size_t i = 0; i < seen.size(); i++) {
      Access& old = seen[i];
      if (before(*old.op, S().host)) continue;
      bool overlap = old.range.lo < r.hi && r.lo < old.range.hi;
      if (overlap && old.op != op) {
        bool ordered = before(*old.op, op->clock), covered = r.lo <= old.range.lo && old.range.hi <= r.hi;
        if (ordered && covered && (r.write || !old.range.write)) continue;
        if (!ordered && (r.write || old.range.write)) {
          tell(old, *op, r, *a);
          if (S().set.races == Races::Fail) result = LAUNCH_FAILED;
        }
      }
      if (kept != i) seen[kept] = std::move(old);
      kept++;
    }
    seen.resize(kept);
    seen.push_back({r, op});
  }
  return result;
}
