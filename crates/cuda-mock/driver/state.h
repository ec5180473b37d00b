// state.h - what the virtual driver knows, and the functions its files share. One lock guards all of it.
#pragma once
#include <memory>
#include <set>
#include "registry.h"

#define API(name, params) extern "C" __attribute__((visibility("default"))) int name params
#define ENTER             \
  Call call_(__func__);   \
  if (call_.error) return call_.error
#define TRY(x)                        \
  do {                                \
    if (int error_ = (x)) return error_; \
  } while (0)

typedef uint64_t Ptr;
typedef unsigned long long Print;  // for %llu

enum {
  OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201, NO_BINARY = 209, PEER_UNSUPPORTED = 217, FILE_NOT_FOUND = 301, INVALID_HANDLE = 400,
  NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, OUT_OF_RESOURCES = 701, PEER_ALREADY = 704,
  PEER_NOT_ENABLED = 705, LAUNCH_FAILED = 719, NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900,
  CAPTURE_INVALIDATED = 901, CAPTURE_UNMATCHED = 903, CAPTURE_UNJOINED = 904, CAPTURE_ISOLATION = 905,
  CAPTURED_EVENT = 907
};

// ---- work ----
struct Op;
typedef std::shared_ptr<Op> OpP;
struct Device;
struct Stream;
struct Range { Ptr lo, hi; bool write; };
struct Access { Range range; OpP op; };
// How far each lane has come: entry i counts the pieces of lane i that happened before. A lane is a sequence of work
// that is ordered in itself: a stream, or what a graph runs of one captured stream.
typedef std::vector<uint64_t> Clock;

struct Op {                    // one piece of work, or one node of a graph
  Device* device;
  Stream* stream;
  std::string label;
  std::vector<Range> ranges;   // what it reads and writes
  std::function<int()> run;
  std::vector<OpP> deps;       // not yet done when it was issued
  std::function<bool()> waits; // for other ranks, as its dependencies do not say
  uint64_t id = 0;             // order of issue
  unsigned lane = 0;
  Clock clock;                 // its own place included
  bool done = false;
  double time = 0;
};

// ---- devices and memory ----
struct Alloc {
  Ptr lo;
  uint64_t size, map_lo, map_len;
  bool live, freeing;
  std::vector<Access> seen;    // accesses that a later one may race with
};
struct Device {
  int id;
  Ptr base, next;              // addresses: first, next free
  uint64_t used = 0;
  std::map<Ptr, Alloc> allocs;
  std::set<int> peers;         // devices whose memory this one may access
  int sticky = 0;              // the error after which nothing works any more
};
struct Context { Device* device; Stream* legacy; Stream* per_thread; };

// ---- handles ----
struct Capture;
struct Stream {
  Context* context;
  unsigned number, lane;
  bool blocking, alive = true;
  OpP last;
  Capture* capture = nullptr;
  std::vector<OpP> frontier;   // while capturing: the latest nodes
};
struct Event {
  Context* context;
  unsigned flags;
  OpP op;
  Capture* capture = nullptr;
  std::vector<OpP> nodes;
};
struct Capture { Stream* origin; bool invalid = false; std::vector<OpP> nodes; std::set<Stream*> streams; };
struct Graph { std::vector<OpP> nodes; };
struct GraphExec { std::vector<OpP> nodes; std::map<Stream*, unsigned> lanes; OpP last; };
struct Module { Context* context; std::string image; bool elf; };
struct Function { Context* context; const Kernel* kernel; unsigned dynamic_limit = 48 << 10; };

template <class T>
struct Handles {               // objects that the host holds by address
  std::map<T*, std::unique_ptr<T>> all;
  T* add(T value) {
    auto p = std::make_unique<T>(std::move(value));
    T* raw = p.get();
    all[raw] = std::move(p);
    return raw;
  }
  bool has(T* p) const { return all.count(p); }
  bool drop(T* p) { return all.erase(p); }
};

// ---- settings and state ----
enum class Policy { Lazy, Reverse, Random, Eager };
enum class Races { Off, Report, Fail };
struct Fault { std::string name; long n; bool onwards, sticky; int code; };
struct Settings {
  Policy policy = Policy::Lazy;
  uint64_t seed = 1;
  Races races = Races::Report;
  bool trace = false, print = true, peers = true, isolate = true;
  int capability = 90, devices = 2, version = 13000, nccl = 22703;
  uint64_t memory_mb = 1024;
  std::vector<Fault> faults;
};
struct Ran { unsigned stream; int device; std::string label; };

struct State {
  std::recursive_mutex lock;
  Settings set;
  bool init = false;
  uint64_t generation = 1;     // counts resets: older contexts of a thread are void
  uint64_t rng = 1, next_op = 1;
  unsigned next_stream = 1;
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<std::unique_ptr<Context>> contexts;
  Handles<Stream> streams;
  Handles<Event> events;
  Handles<Module> modules;
  Handles<Function> functions;
  Handles<Graph> graphs;
  Handles<GraphExec> execs;
  std::map<Ptr, Alloc> pinned;
  std::vector<OpP> pending;
  Clock lanes;                 // pieces issued, for each lane
  Clock host;                  // what the host has waited for
  std::map<std::string, long> calls;
  std::vector<std::string> races, errors;
  std::set<std::string> told;
  std::vector<Ran> ran;
};
State& S();

// settings.cpp
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
int injected(const std::string& name);
bool settings_from_environment();
struct Call {                  // what every entry point does first
  std::lock_guard<std::recursive_mutex> guard;
  int error;
  explicit Call(const char* name);
};

// devices.cpp
Context* current();
int ready_context();
int stream_of(void* handle, Stream** out);

// memory.cpp
Device* device_of(Ptr p);
Alloc* alloc_of(Ptr p);        // of a device or pinned
Ptr range_of(int number);     // of addresses: a device's, or the last, which isolates kernels; 0 without room
void forget_memory();
int usable(Ptr p, uint64_t n, Device* from, const char* what);
bool still_live(Ptr p, const char* what);
bool is_pinned(const void* p, uint64_t n);
constexpr Ptr SPAN = 1ull << 40;  // of a device: 1 TiB, no address is used twice before a reset
constexpr int MAX_DEVICES = 7;
constexpr uint64_t PAGE = 4096;
constexpr unsigned char CANARY = 0xA5;

// races.cpp
unsigned new_lane();
void join(Clock& into, const Clock& from);
int check_races(const OpP& op);

// order.cpp
int enqueue(Stream* s, std::string label, std::vector<Range> ranges, std::function<int()> run, OpP* out = nullptr,
            OpP extra = nullptr);
int put(Stream* s, const OpP& op, OpP extra = nullptr);  // adds it to the stream, or to the graph it is captured into
int issue(const OpP& op, std::vector<OpP> after);
OpP make_op(Stream* s, std::string label, std::vector<Range> ranges, std::function<int()> run);
bool advance(const OpP& op);   // as far as is possible without other ranks; whether it is done
void run_until(const OpP& op);
void know(const OpP& op);      // the host has seen that op is done
int host_wait(const OpP& op);
int run_all(Context* only);
uint64_t random64();

// nccl.cpp
void send_what_is_ready();     // to other ranks: GPUs do so whatever their hosts wait for
void forget_communicators();

// graphs.cpp
int no_capture(Stream* s);
bool any_capture();

// isolate.cpp
struct Piece { Ptr lo, hi; bool written; size_t argument; };
int run_isolated(const Kernel& k, dim3 grid, dim3 block, size_t shared, std::vector<std::vector<char>> values,
                 const std::vector<Piece>& pieces, Device* device);
