// nccl.cpp - NCCL between virtual GPUs: this library under the name libnccl.so.2. Ranks are threads of a process or processes of this
// host; what they sum goes through a file in memory that all of them map. A sum is two pieces of work in its stream: one leaves the
// values for the others, one waits for theirs and adds them up in the order of ranks.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <thread>
#include "state.h"

namespace {
enum { SUCCESS = 0, CUDA_ERROR = 1, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5, REMOTE_ERROR = 6 };
enum { F32 = 7, F64 = 8 };
constexpr int MAX_RANKS = 16, SUM = 0, FIRST_OWN = 5;
constexpr uint64_t SLOT = 64ull << 20;  // bytes of the largest sum; two slots a rank, which take turns
struct Id { char name[128]; };

struct Rank {
  int process, device;
  std::atomic<uint64_t> sent;  // sums that it has left values for
  uint64_t count[2];
  int type[2];
};
struct Shared {  // the file; values follow
  int owner, size;
  std::atomic<int> joined;
  Rank ranks[MAX_RANKS];
};
constexpr uint64_t HEAD = (sizeof(Shared) + PAGE - 1) / PAGE * PAGE;
uint64_t length(int size) { return HEAD + 2 * SLOT * size; }

struct Communicator {
  Context* context;
  Shared* shared;
  int rank, size;
  Stream* stream = nullptr;
  uint64_t sums = 0;
  bool aborted = false;
  std::map<int, float> scales;  // of its own operations
  int next_operation = FIRST_OWN;
  std::vector<OpP> unsent;

  ~Communicator() { munmap(shared, length(size)); }
  char* slot(int of, uint64_t sum) const { return (char*)shared + HEAD + SLOT * (2 * of + sum % 2); }
  bool waits(uint64_t sum) const {
    if (aborted) return false;
    for (int r = 0; r < size; r++) if (shared->ranks[r].sent.load() <= sum) return true;
    return false;
  }
};
typedef std::shared_ptr<Communicator> CommunicatorP;
std::map<Communicator*, CommunicatorP>& all() {
  static auto* m = new std::map<Communicator*, CommunicatorP>;
  return *m;
}
std::string last_error;
std::mutex last_error_lock;

int fail(int code, const std::string& text) {
  std::lock_guard<std::mutex> guard(last_error_lock);
  last_error = text;
  return code;
}
bool alive(int process) { return kill(process, 0) == 0; }
void nap() { std::this_thread::sleep_for(std::chrono::microseconds(200)); }
std::string path_of(const Id& id) { return std::string("/dev/shm/ilsvrc-mock-nccl-") + id.name; }

Shared* map(int file, int size) {
  void* p = mmap(nullptr, length(size), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return p == MAP_FAILED ? nullptr : (Shared*)p;
}
Shared* create(const std::string& path, int size) {
  std::string fresh = path + ".new";
  int file = open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  Shared* shared = file >= 0 && ftruncate(file, (off_t)length(size)) == 0 ? map(file, size) : nullptr;
  if (file >= 0) close(file);
  if (!shared) return nullptr;
  shared->owner = getpid();
  shared->size = size;
  return rename(fresh.c_str(), path.c_str()) == 0 ? shared : nullptr;
}
Shared* find(const std::string& path, int size) {  // a file that a dead process left is none
  int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return nullptr;
  Shared* shared = map(file, size);
  close(file);
  if (!shared || alive(shared->owner)) return shared;
  munmap(shared, length(size));
  return nullptr;
}

template <class T>
void add_up(const Communicator& c, uint64_t sum, Ptr to, size_t count) {
  T* out = (T*)to;
  std::copy_n((T*)c.slot(0, sum), count, out);
  for (int r = 1; r < c.size; r++) {
    const T* values = (T*)c.slot(r, sum);
    for (size_t i = 0; i < count; i++) out[i] += values[i];
  }
}

struct Sum { Ptr from, to; size_t count; int type, operation; CommunicatorP c; Stream* stream; };
thread_local int depth = 0;
thread_local std::vector<Sum> grouped;

int leave(const Communicator& c, uint64_t number, const Sum& sum, float scale) {
  if (c.aborted) return OK;  // another rank may still read what lies in the slot
  Rank& own = c.shared->ranks[c.rank];
  own.count[number % 2] = sum.count;
  own.type[number % 2] = sum.type;
  char* slot = c.slot(c.rank, number);
  if (sum.type == F64) {
    memcpy(slot, (void*)sum.from, sum.count * sizeof(double));
  } else {
    for (size_t i = 0; i < sum.count; i++) ((float*)slot)[i] = ((float*)sum.from)[i] * scale;
  }
  own.sent.store(number + 1);
  return OK;
}
int collect(const Communicator& c, uint64_t number, const Sum& sum) {
  if (c.aborted) return OK;
  for (int r = 0; r < c.size; r++) {
    const Rank& other = c.shared->ranks[r];
    if (other.count[number % 2] == sum.count && other.type[number % 2] == sum.type) continue;
    say("nccl: sum %llu of rank %d has %llu values, that of rank %d %llu", (Print)number, c.rank, (Print)sum.count, r,
        (Print)other.count[number % 2]);
    return LAUNCH_FAILED;
  }
  sum.type == F64 ? add_up<double>(c, number, sum.to, sum.count) : add_up<float>(c, number, sum.to, sum.count);
  return OK;
}

int start(const Sum& sum) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  TRY(injected("ncclAllReduce"));
  CommunicatorP c = sum.c;
  Stream* s = sum.stream;
  uint64_t bytes = sum.count * (sum.type == F64 ? 8 : 4);
  if (!S().streams.has(s) || !s->alive || s->context != c->context || s->capture)
    return fail(INVALID_ARGUMENT, "the stream is not one of the communicator's GPU");
  if (c->stream && c->stream != s) return fail(INVALID_ARGUMENT, "the mock knows one stream for each communicator");
  if (bytes > SLOT) return fail(INVALID_ARGUMENT, "more bytes than the mock sums");
  if (usable(sum.from, bytes, c->context->device, "nccl") || usable(sum.to, bytes, c->context->device, "nccl"))
    return fail(INVALID_ARGUMENT, "memory that is not there");
  float scale = 1;
  if (sum.operation != SUM) {
    auto own = c->scales.find(sum.operation);
    if (own == c->scales.end() || sum.type != F32) return fail(INVALID_ARGUMENT, "no such operation");
    scale = own->second;
  }
  c->stream = s;
  uint64_t number = c->sums++;
  OpP send;
  TRY(enqueue(s, "nccl send", {{sum.from, sum.from + bytes, false}},
              [=] { return leave(*c, number, sum, scale); }, &send));
  OpP add = make_op(s, "nccl sum", {{sum.to, sum.to + bytes, true}}, [=] { return collect(*c, number, sum); });
  add->waits = [c, number] { return c->waits(number); };
  TRY(put(s, add));
  c->unsent.push_back(send);
  send_what_is_ready();
  return SUCCESS;
}
CommunicatorP known(Communicator* c) {
  auto i = all().find(c);
  return i == all().end() ? nullptr : i->second;
}
}  // namespace

void send_what_is_ready() {
  for (auto& [raw, c] : all()) {
    auto& unsent = c->unsent;
    while (!unsent.empty() && advance(unsent.front())) unsent.erase(unsent.begin());
  }
}
void forget_communicators() { all().clear(); }

API(ncclGetVersion, (int* version)) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  if (!S().init) settings_from_environment();
  *version = S().set.nccl;
  return SUCCESS;
}
API(ncclGetUniqueId, (Id* id)) {
  static std::atomic<int> made{0};
  *id = {};
  if (const char* place = getenv("NCCL_COMM_ID")) {
    snprintf(id->name, sizeof id->name, "%s", place);
  } else {
    snprintf(id->name, sizeof id->name, "%d-%d", getpid(), made++);
  }
  return SUCCESS;
}
API(ncclCommInitRank, (Communicator** out, int size, Id id, int rank)) {
  Context* context;
  {
    std::lock_guard<std::recursive_mutex> guard(S().lock);
    TRY(injected(__func__));
    context = current();
  }
  if (!context) return fail(CUDA_ERROR, "the thread has no GPU");
  if (size < 1 || size > MAX_RANKS || rank < 0 || rank >= size) return fail(INVALID_ARGUMENT, "no such rank");
  std::string path = path_of(id);
  Shared* shared = rank == 0 ? create(path, size) : find(path, size);
  if (!shared && rank == 0) return fail(SYSTEM_ERROR, "cannot create " + path);
  while (!shared) { nap(); shared = find(path, size); }
  if (shared->size != size) return fail(INVALID_ARGUMENT, "ranks of communicators of different sizes");
  shared->ranks[rank].process = getpid();
  shared->ranks[rank].device = context->device->id;
  shared->joined++;
  while (shared->joined < size) {
    if (!alive(shared->owner)) return fail(REMOTE_ERROR, "rank 0 has ended");
    nap();
  }
  if (rank == 0) unlink(path.c_str());
  for (int a = 0; a < size; a++)
    for (int b = a + 1; b < size; b++)
      if (shared->ranks[a].device == shared->ranks[b].device) {
        char text[128];
        snprintf(text, sizeof text, "Duplicate GPU detected : rank %d and rank %d both on CUDA device %x", b, a,
                 (shared->ranks[a].device + 1) << 12);
        return fail(INVALID_USAGE, text);
      }
  auto c = std::make_shared<Communicator>();
  c->context = context; c->shared = shared; c->rank = rank; c->size = size;
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  all()[c.get()] = c;
  *out = c.get();
  return SUCCESS;
}
API(ncclCommDestroy, (Communicator* raw)) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  CommunicatorP c = known(raw);
  if (!c) return fail(INVALID_ARGUMENT, "no such communicator");
  if (c->stream) host_wait(c->stream->last);
  all().erase(raw);
  return SUCCESS;
}
API(ncclCommAbort, (Communicator* raw)) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  CommunicatorP c = known(raw);
  if (!c) return fail(INVALID_ARGUMENT, "no such communicator");
  c->aborted = true;
  all().erase(raw);
  return SUCCESS;
}
API(ncclCommGetAsyncError, (Communicator* raw, int* error)) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  CommunicatorP c = known(raw);
  if (!c) return fail(INVALID_ARGUMENT, "no such communicator");
  *error = injected(__func__);
  for (int r = 0; r < c->size && !*error; r++)
    if (!alive(c->shared->ranks[r].process)) *error = fail(REMOTE_ERROR, "rank " + std::to_string(r) + " has ended");
  return SUCCESS;
}
API(ncclAllReduce, (Ptr from, Ptr to, size_t count, int type, int operation, Communicator* raw, Stream* s)) {
  CommunicatorP c;
  {
    std::lock_guard<std::recursive_mutex> guard(S().lock);
    c = known(raw);
  }
  if (!c || (type != F32 && type != F64)) return fail(INVALID_ARGUMENT, "no such communicator or type");
  Sum sum{from, to, count, type, operation, c, s};
  if (!depth) return start(sum);
  grouped.push_back(sum);
  return SUCCESS;
}
API(ncclGroupStart, ()) { depth++; return SUCCESS; }
API(ncclGroupEnd, ()) {
  if (!depth) return fail(INVALID_USAGE, "the end of no group");
  if (--depth) return SUCCESS;
  std::vector<Sum> sums;
  sums.swap(grouped);
  for (auto& sum : sums) TRY(start(sum));
  return SUCCESS;
}
API(ncclRedOpCreatePreMulSum, (int* operation, void* scalar, int type, int residence, Communicator* raw)) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  CommunicatorP c = known(raw);
  if (!c || type != F32 || residence != 1) return fail(INVALID_ARGUMENT, "a scale that the mock does not know");
  *operation = c->next_operation++;
  memcpy(&c->scales[*operation], scalar, sizeof(float));
  return SUCCESS;
}
API(ncclRedOpDestroy, (int operation, Communicator* raw)) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  CommunicatorP c = known(raw);
  return c && c->scales.erase(operation) ? SUCCESS : fail(INVALID_ARGUMENT, "no such operation");
}
#define TEXT(name, params) extern "C" __attribute__((visibility("default"))) const char* name params
TEXT(ncclGetErrorString, (int code)) {
  switch (code) {
    case SUCCESS: return "no error";
    case CUDA_ERROR: return "unhandled cuda error";
    case SYSTEM_ERROR: return "unhandled system error";
    case INVALID_ARGUMENT: return "invalid argument";
    case INVALID_USAGE: return "invalid usage";
    case REMOTE_ERROR: return "remote process exited or there was a network error";
    default: return "unknown result code";
  }
}
TEXT(ncclGetLastError, (Communicator*)) {
  static thread_local std::string text;
  std::lock_guard<std::mutex> guard(last_error_lock);
  text = last_error;
  return text.c_str();
}
