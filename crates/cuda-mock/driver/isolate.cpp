// isolate.cpp - a kernel runs on copies of exactly the bytes that its extents name. Each copy lies far from the next,
// with marked bytes up to the ends of its pages, and is write-protected when the argument is const; what the kernel
// wrote is copied back. So an access outside the extents is caught also where the allocation goes on.
#include "state.h"

namespace {
constexpr uint64_t GAP = 4ull << 30;  // of addresses without memory, around each copy

struct Copy {
  Ptr lo, hi;                  // of the original
  bool written;
  size_t argument;             // one of those that lie in it
  Ptr map_lo, map_hi, at;
  Ptr end() const { return at + (hi - lo); }
};

std::vector<Copy> merged(std::vector<Piece> pieces) {
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.lo < b.lo; });
  std::vector<Copy> out;
  for (auto& p : pieces) {
    if (!out.empty() && p.lo < out.back().hi) {
      out.back().hi = std::max(out.back().hi, p.hi);
      out.back().written |= p.written;
    } else {
      out.push_back({p.lo, p.hi, p.written, p.argument, 0, 0, 0});
    }
  }
  return out;
}
bool place(std::vector<Copy>& copies, Ptr base, Ptr* end) {
  Ptr next = base + GAP;
  for (auto& c : copies) {
    c.map_lo = next;
    c.map_hi = next + (c.hi - c.lo + 255 + PAGE) / PAGE * PAGE;
    // At the end of its pages, so that what lies behind is caught; in reverse, what lies before.
    c.at = cuda_cpu::E.order == cuda_cpu::Order::Reverse ? c.map_lo + 255 : c.map_hi - (c.hi - c.lo);
    c.at -= (c.at - c.lo) % 256;  // the alignment of the original
    if (c.map_hi + GAP > base + SPAN) return false;
    if (mprotect((void*)c.map_lo, c.map_hi - c.map_lo, PROT_READ | PROT_WRITE)) return false;
    memset((void*)c.map_lo, CANARY, c.at - c.map_lo);
    memset((void*)c.end(), CANARY, c.map_hi - c.end());
    memcpy((void*)c.at, (void*)c.lo, c.hi - c.lo);
    if (!c.written) mprotect((void*)c.map_lo, c.map_hi - c.map_lo, PROT_READ);
    next = c.map_hi + GAP;
  }
  *end = next;
  return true;
}
bool marked(Ptr lo, Ptr hi) {
  for (Ptr p = lo; p < hi; p++) if (*(unsigned char*)p != CANARY) return false;
  return true;
}
std::string explain(const Kernel& k, const std::vector<Copy>& copies, Ptr fault) {
  for (auto& c : copies) {
    if (fault < c.map_lo - GAP / 2 || fault >= c.map_hi + GAP / 2) continue;
    std::string argument = std::string(" argument ") + k.arguments[c.argument].name;
    if (fault >= c.at && fault < c.end()) return ", a write to the const" + argument;
    bool behind = fault >= c.end();
    uint64_t distance = behind ? fault - c.end() + 1 : c.at - fault;
    return ", " + std::to_string(distance) + " bytes " + (behind ? "behind" : "before") + " the extent of" + argument +
           " (" + std::to_string(c.hi - c.lo) + " bytes)";
  }
  return "";
}
}  // namespace

int run_isolated(const Kernel& k, dim3 grid, dim3 block, size_t shared, std::vector<std::vector<char>> values,
                 const std::vector<Piece>& pieces, Device* device) {
  const Ptr base = range_of(MAX_DEVICES);
  std::vector<Copy> copies = merged(pieces);
  Ptr end = base;
  if (!base || !place(copies, base, &end)) { say("no memory to isolate %s", k.name); return OUT_OF_MEMORY; }
  for (auto& p : pieces)
    for (auto& c : copies)
      if (p.lo >= c.lo && p.hi <= c.hi) {
        Ptr at = c.at + (p.lo - c.lo);
        memcpy(values[p.argument].data(), &at, sizeof at);
        break;
      }
  Values args;
  for (auto& v : values) args.push_back(v.data());
  int result = OK;
  try {
    k.run(grid, block, shared, args);
    for (auto& c : copies) {
      if (!marked(c.map_lo, c.at) || !marked(c.end(), c.map_hi)) {
        say("%s (device %d) wrote outside the extent of argument %s (%llu bytes)", k.name, device->id,
            k.arguments[c.argument].name, (Print)(c.hi - c.lo));
        result = ILLEGAL_ADDRESS;
      }
      if (c.written) memcpy((void*)c.lo, (void*)c.at, c.hi - c.lo);
    }
  } catch (cuda_cpu::Error& e) {
    bool illegal = strstr(e.what(), "illegal address");
    say("%s (device %d)%s", e.what(), device->id, illegal ? explain(k, copies, cuda_cpu::fault_address).c_str() : "");
    result = illegal ? ILLEGAL_ADDRESS : LAUNCH_FAILED;
  }
  madvise((void*)base, end - base, MADV_DONTNEED);
  mprotect((void*)base, end - base, PROT_NONE);
  return result;
}
