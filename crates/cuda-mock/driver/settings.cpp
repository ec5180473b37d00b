// settings.cpp - what tests set and read: environment variables, mock_configure, mock_reset, mock_report, and the
// errors that are injected into calls. README.md lists the settings.
#include <cstdarg>
#include "state.h"

State& S() {
  static State* s = new State;  // never destroyed: hosts may call during exit
  return *s;
}
std::map<std::string, Kernel>& mock_kernels() {
  static auto* m = new std::map<std::string, Kernel>;
  return *m;
}

void say(const char* format, ...) {
  char text[1024];
  va_list a;
  va_start(a, format);
  vsnprintf(text, sizeof text, format, a);
  va_end(a);
  S().errors.push_back(text);
  if (S().set.print) fprintf(stderr, "mock cuda: %s\n", text);
}

// ---- injected errors ----
static bool parse_faults(const std::string& f, std::vector<Fault>& out) {
  out.clear();
  for (size_t i = 0; i < f.size();) {
    size_t end = std::min(f.find(',', i), f.size());
    std::string item = f.substr(i, end - i);
    size_t eq = item.rfind('='), colon = item.rfind(':', eq);
    if (eq == std::string::npos || colon == std::string::npos) return false;
    Fault fault{item.substr(0, colon), atol(item.c_str() + colon + 1), item[eq - 1] == '+', item.back() == '!', 0};
    fault.code = atoi(item.c_str() + eq + 1);
    if (fault.n < 1 || fault.code < 1) return false;
    out.push_back(fault);
    i = end + 1;
  }
  return true;
}
static bool meant(const std::string& fault, const std::string& name) {  // the suffix _v2 may be left out
  return fault == name || fault + "_v2" == name;
}
int injected(const std::string& name) {
  bool call = name.rfind("exec:", 0) != 0;
  long n = ++S().calls[name], any = call ? ++S().calls["*"] : 0;
  for (auto& f : S().set.faults) {
    long k = f.name == "*" ? any : meant(f.name, name) ? n : 0;
    if (k != f.n && !(f.onwards && k > f.n)) continue;
    say("injected error %d into call %ld of %s", f.code, k, name.c_str());
    if (f.sticky && call && current()) current()->device->sticky = f.code;
    return f.code;
  }
  return OK;
}
Call::Call(const char* name) : guard(S().lock), error(injected(name)) {
  if (!error && !S().init && strcmp(name, "cuInit")) error = NOT_INITIALIZED;
}

// ---- settings ----
static bool configure(const std::string& key, const std::string& v) {
  Settings& s = S().set;
  char* end = nullptr;
  auto number = strtoull(v.c_str(), &end, 10);
  bool is_number = !v.empty() && !*end;
  auto flag = [&](bool& b) { return b = number != 0, is_number; };
  if (key == "ORDER" || key == "THREADS") {
    bool random = v.rfind("random", 0) == 0;
    uint64_t seed = random && v.size() > 7 ? strtoull(v.c_str() + 7, nullptr, 10) : 1;
    if (key == "THREADS") {
      using cuda_cpu::Order;
      if (!random && v != "forward" && v != "reverse") return false;
      cuda_cpu::set_order(random ? Order::Random : v == "reverse" ? Order::Reverse : Order::Forward, seed);
      return true;
    }
    if (!random && v != "lazy" && v != "eager" && v != "reverse") return false;
    s.policy = random ? Policy::Random : v == "lazy" ? Policy::Lazy : v == "eager" ? Policy::Eager : Policy::Reverse;
    S().rng = seed * 0x9E3779B97F4A7C15ull | 1;
    return true;
  }
  if (key == "RACES") {
    s.races = v == "off" ? Races::Off : v == "fail" ? Races::Fail : Races::Report;
    return v == "off" || v == "fail" || v == "report";
  }
  if (key == "CC") {
    s.capability = (int)(strtod(v.c_str(), &end) * 10 + 0.5);
    return !*end && s.capability >= 10;
  }
  if (key == "FAIL") {
    if (!parse_faults(v, s.faults)) return false;
    S().calls.clear();
    return true;
  }
  if (key == "TRACE") return flag(s.trace);
  if (key == "PRINT") return flag(s.print);
  if (key == "P2P") return flag(s.peers);
  if (key == "ISOLATE") return flag(s.isolate);
  if (!is_number) return false;
  if (key == "MEM_MB") return s.memory_mb = number, true;
  if (key == "VERSION") return s.version = (int)number, true;
  if (key == "NCCL") return s.nccl = (int)number, true;
  if (key != "DEVICES" || S().init || number > MAX_DEVICES) return false;  // devices are counted once, by cuInit
  return s.devices = (int)number, true;
}
bool settings_from_environment() {
  bool ok = true;
  for (const char* key : {"ORDER", "THREADS", "RACES", "CC", "FAIL", "TRACE", "PRINT", "P2P", "ISOLATE", "MEM_MB",
                          "VERSION", "NCCL", "DEVICES"}) {
    const char* v = getenv((std::string("MOCK_CUDA_") + key).c_str());
    if (!v || !*v || configure(key, v)) continue;
    say("MOCK_CUDA_%s=%s is no setting", key, v);
    ok = false;
  }
  return ok;
}

// Sets MOCK_CUDA_<key> for this process; 0: it is set, 1: unknown key or value, or too late.
API(mock_configure, (const char* key, const char* value)) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  return !configure(key, value);
}

// Contexts and streams of the past: their addresses are not used again, so an old handle is known for one.
static void bury() {
  static auto* contexts = new std::vector<std::unique_ptr<Context>>;
  static auto* streams = new std::vector<std::unique_ptr<Stream>>;
  for (auto& c : S().contexts) contexts->push_back(std::move(c));
  for (auto& [raw, s] : S().streams.all) {
    s->last = nullptr;
    s->frontier.clear();
    streams->push_back(std::move(s));
  }
  S().contexts.clear();
  S().streams.all.clear();
}

// As a new process would find the driver: default settings, no devices, nothing allocated, cuInit not called.
API(mock_reset, ()) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  State& s = S();
  forget_communicators();
  for (auto& op : s.pending) op->deps.clear();
  std::set<Capture*> captures;
  for (auto& [stream, own] : s.streams.all) captures.insert(stream->capture);
  for (Capture* c : captures) delete c;
  s.pending.clear();
  s.graphs.all.clear(); s.execs.all.clear(); s.functions.all.clear(); s.modules.all.clear();
  s.events.all.clear();
  bury();
  forget_memory();
  s.devices.clear();
  s.set = Settings();
  s.init = false;
  s.generation++;
  s.rng = s.next_op = 1; s.next_stream = 1;
  s.lanes.clear(); s.host.clear();
  s.calls.clear(); s.races.clear(); s.errors.clear(); s.told.clear(); s.ran.clear();
  cuda_cpu::set_order(cuda_cpu::Order::Forward);
  return !settings_from_environment();
}

// Writes the lines of a report (races, errors, ran: "stream device label", calls: "count name", used:DEVICE) into
// out[0..size) and returns how many bytes the whole report has.
extern "C" __attribute__((visibility("default"))) size_t mock_report(const char* what, char* out, size_t size) {
  std::lock_guard<std::recursive_mutex> guard(S().lock);
  std::string key = what, text;
  if (key == "races") for (auto& r : S().races) text += r + "\n";
  if (key == "errors") for (auto& e : S().errors) text += e + "\n";
  if (key == "ran")
    for (auto& r : S().ran) text += std::to_string(r.stream) + " " + std::to_string(r.device) + " " + r.label + "\n";
  if (key == "calls") for (auto& [name, n] : S().calls) text += std::to_string(n) + " " + name + "\n";
  if (key.rfind("used:", 0) == 0) {
    size_t d = strtoull(what + 5, nullptr, 10);
    text = std::to_string(d < S().devices.size() ? S().devices[d]->used : 0);
  }
  memcpy(out, text.data(), std::min(size, text.size()));
  return text.size();
}
