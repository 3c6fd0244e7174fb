// libcuda for machines without a GPU: memory is the host's, kernels run by threads.cpp, every call is counted.
// With STANDIN_REPORT=FILE the counts are written there as JSON when the process ends.
#include "graph.h"
#include "threads.h"
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>

namespace {
struct Count {
  long calls = 0, bytes = 0;
};
struct Counts {
  std::mutex mutex;
  // nodes are what launched graphs call
  std::map<std::string, Count> calls, kernels, nodes;
  ~Counts() { report(); }
  void report() {
    const char *path = getenv("STANDIN_REPORT");
    FILE *file = path ? fopen(path, "w") : nullptr;
    if (!file)
      return;
    fprintf(file, "{\n  \"calls\": {");
    write(file, calls);
    fprintf(file, "},\n  \"kernels\": {");
    write(file, kernels);
    fprintf(file, "},\n  \"nodes\": {");
    write(file, nodes);
    fprintf(file, "}\n}\n");
    fclose(file);
  }
  static void write(FILE *file, const std::map<std::string, Count> &counts) {
    const char *comma = "";
    for (auto &[name, count] : counts) {
      fprintf(file, "%s\n    \"%s\": {\"calls\": %ld, \"bytes\": %ld}", comma, name.c_str(), count.calls,
              count.bytes);
      comma = ",";
    }
  }
};

Counts &counts() {
  static Counts all;
  return all;
}
std::map<std::string, standin::Kernel> &kernels() {
  static std::map<std::string, standin::Kernel> all;
  return all;
}
void add(std::map<std::string, Count> &to, const char *name, long bytes) {
  std::lock_guard<std::mutex> guard(counts().mutex);
  Count &count = to[name];
  count.calls++;
  count.bytes += bytes;
}

struct Function {
  std::string name;
  standin::Kernel kernel;
};
using Result = int;
using standin::Graph;
using standin::Pointer;
using standin::Stream;
constexpr Result OK = 0, INVALID = 1, NOT_FOUND = 500, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901;

// What that stream records, or null; the driver's own streams are small numbers and record nothing.
Graph *recording(void *stream) {
  return reinterpret_cast<size_t>(stream) < 16 ? nullptr : static_cast<Stream *>(stream)->recording;
}

Result copy(void *stream, const char *name, Pointer to, Pointer from, size_t bytes) {
  standin::call(stream, name, bytes, [=] {
    memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
  });
  return OK;
}
// A copy between host and device: a recording would keep an address of the host, whose values are gone when it is launched.
Result exchange(void *stream, const char *name, Pointer to, Pointer from, size_t bytes) {
  return recording(stream) ? CAPTURE_UNSUPPORTED : copy(stream, name, to, from, bytes);
}
// What was not written is no number, so that a kernel that reads it is found out.
void spoil(Pointer pointer, size_t bytes) { memset(reinterpret_cast<void *>(pointer), 0xff, bytes); }

Result allocate(void *stream, const char *name, Pointer *pointer, size_t bytes) {
  size_t room = (bytes + 255) / 256 * 256 + 256;
  Pointer memory = reinterpret_cast<Pointer>(aligned_alloc(256, room));
  *pointer = memory;
  if (Graph *graph = recording(stream))
    graph->memory[memory] = graph->live[memory] = room;
  standin::call(stream, name, bytes, [=] { spoil(memory, room); });
  return OK;
}
// The graphs' memory, which only they may free.
std::mutex graphs;
std::set<Pointer> memory_of_graphs;

void of_graphs(const std::map<Pointer, size_t> &memory) {
  std::lock_guard<std::mutex> guard(graphs);
  for (auto &[pointer, room] : memory)
    memory_of_graphs.insert(pointer);
}
bool is_of_graphs(Pointer pointer) {
  std::lock_guard<std::mutex> guard(graphs);
  return memory_of_graphs.count(pointer);
}
Result release(void *stream, const char *name, Pointer pointer) {
  if (Graph *graph = recording(stream)) {
    auto live = graph->live.find(pointer);
    if (live == graph->live.end()) {
      fprintf(stderr, "stand-in: a recording frees memory that it did not allocate\n");
      return INVALID;
    }
    size_t room = live->second;
    graph->live.erase(live);
    standin::call(stream, name, 0, [=] { spoil(pointer, room); });
    return OK;
  }
  if (is_of_graphs(pointer)) {
    fprintf(stderr, "stand-in: memory of a graph is freed outside of it\n");
    return INVALID;
  }
  add(counts().calls, name, 0);
  free(reinterpret_cast<void *>(pointer));
  return OK;
}
} // namespace

standin::Register::Register(const char *name, Kernel kernel) { kernels()[name] = std::move(kernel); }

standin::Graph::~Graph() {
  std::lock_guard<std::mutex> guard(graphs);
  for (auto &[pointer, room] : memory) {
    memory_of_graphs.erase(pointer);
    free(reinterpret_cast<void *>(pointer));
  }
}
void standin::call(void *stream, const char *name, long bytes, std::function<void()> work) {
  add(counts().calls, name, bytes);
  if (Graph *graph = recording(stream))
    graph->nodes.emplace_back(name, std::move(work));
  else
    work();
}

#define COUNTED(name, ...)                                                                         \
  Result name(__VA_ARGS__) {                                                                       \
    add(counts().calls, #name, 0);                                                                 \
    return OK;                                                                                     \
  }

extern "C" {
Result cuInit(unsigned) { return OK; }
Result cuDriverGetVersion(int *version) { return *version = 13000, OK; }
Result cuDeviceGet(int *device, int ordinal) { return *device = ordinal, OK; }
Result cuDeviceGetCount(int *count) { return *count = 1, OK; }
Result cuDeviceGetName(char *name, int length, int) { return snprintf(name, length, "stand-in"), OK; }
Result cuDeviceGetAttribute(int *value, int attribute, int) {
  // compute capability 9.0, memory pools, 132 processors; 1 for all others
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : 1;
  return OK;
}
Result cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = size_t(1) << 36, OK; }
Result cuMemGetInfo_v2(size_t *free, size_t *total) { return *free = *total = size_t(1) << 36, OK; }
Result cuDevicePrimaryCtxRetain(void **context, int) { return *context = reinterpret_cast<void *>(1), OK; }
Result cuDevicePrimaryCtxRelease_v2(int) { return OK; }
Result cuCtxSetCurrent(void *) { return OK; }
Result cuCtxGetCurrent(void **context) { return *context = reinterpret_cast<void *>(1), OK; }
Result cuDeviceGetDefaultMemPool(void **pool, int) { return *pool = reinterpret_cast<void *>(1), OK; }
Result cuDeviceGetMemPool(void **pool, int) { return *pool = reinterpret_cast<void *>(1), OK; }
COUNTED(cuMemPoolSetAttribute, void *, int, void *)
COUNTED(cuCtxSynchronize, void)

Result cuMemAllocAsync(Pointer *pointer, size_t bytes, void *stream) {
  return allocate(stream, "cuMemAllocAsync", pointer, bytes);
}
Result cuMemAlloc_v2(Pointer *pointer, size_t bytes) { return allocate(nullptr, "cuMemAlloc", pointer, bytes); }
Result cuMemFreeAsync(Pointer pointer, void *stream) { return release(stream, "cuMemFreeAsync", pointer); }
Result cuMemFree_v2(Pointer pointer) { return release(nullptr, "cuMemFree", pointer); }
Result cuMemsetD8Async(Pointer pointer, unsigned char value, size_t bytes, void *stream) {
  standin::call(stream, "cuMemsetD8Async", bytes, [=] { memset(reinterpret_cast<void *>(pointer), value, bytes); });
  return OK;
}
Result cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, void *stream) {
  return exchange(stream, "cuMemcpyHtoDAsync", to, reinterpret_cast<Pointer>(from), bytes);
}
Result cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, void *stream) {
  return exchange(stream, "cuMemcpyDtoHAsync", reinterpret_cast<Pointer>(to), from, bytes);
}
Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, void *stream) {
  return copy(stream, "cuMemcpyDtoDAsync", to, from, bytes);
}

Result cuStreamCreate(Stream **stream, unsigned) { return *stream = new Stream, OK; }
Result cuStreamDestroy_v2(Stream *stream) { return delete stream, OK; }
Result cuStreamSynchronize(void *stream) {
  add(counts().calls, "cuStreamSynchronize", 0);
  return recording(stream) ? CAPTURE_UNSUPPORTED : OK;
}
COUNTED(cuEventDestroy_v2, void *)
COUNTED(cuEventRecord, void *, void *)
COUNTED(cuStreamWaitEvent, void *, void *, unsigned)
Result cuEventCreate(void **event, unsigned) {
  add(counts().calls, "cuEventCreate", 0);
  return *event = reinterpret_cast<void *>(3), OK;
}

Result cuStreamIsCapturing(void *stream, int *status) { return *status = recording(stream) ? 1 : 0, OK; }
Result cuStreamBeginCapture_v2(Stream *stream, int) {
  if (recording(stream))
    return INVALID;
  stream->recording = new Graph;
  return OK;
}
Result cuStreamEndCapture(Stream *stream, Graph **graph) {
  *graph = std::exchange(stream->recording, nullptr);
  if (!*graph)
    return INVALID;
  of_graphs((*graph)->memory);
  if ((*graph)->live.empty())
    return OK;
  fprintf(stderr, "stand-in: %zu allocations outlive the recording that made them\n", (*graph)->live.size());
  return CAPTURE_INVALIDATED;
}
// An executable graph is the graph itself here.
Result cuGraphInstantiateWithFlags(Graph **made, Graph *graph, unsigned long long) { return *made = graph, OK; }
Result cuGraphUpload(Graph *, void *) { return OK; }
Result cuGraphLaunch(Graph *graph, void *) {
  add(counts().calls, "cuGraphLaunch", 0);
  for (auto &[name, work] : graph->nodes) {
    add(counts().nodes, name.c_str(), 0);
    work();
  }
  return OK;
}
Result cuGraphExecDestroy(Graph *) { return OK; }
Result cuGraphDestroy(Graph *graph) { return delete graph, OK; }

Result cuModuleLoadData(void **module, const void *) {
  add(counts().calls, "cuModuleLoadData", 0);
  return *module = reinterpret_cast<void *>(4), OK;
}
Result cuModuleUnload(void *) { return OK; }
Result cuModuleGetFunction(void **function, void *, const char *name) {
  static std::map<std::string, Function> found;
  static std::mutex one;
  std::lock_guard<std::mutex> guard(one);
  auto kernel = kernels().find(name);
  if (kernel == kernels().end()) {
    fprintf(stderr, "stand-in: there is no kernel %s\n", name);
    return NOT_FOUND;
  }
  *function = &found.try_emplace(name, Function{name, kernel->second}).first->second;
  return OK;
}
Result cuFuncSetAttribute(void *, int, int) { return OK; }
Result cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared, void *stream, void **arguments, void **) {
  auto &[name, kernel] = *static_cast<Function *>(function);
  std::vector<std::vector<char>> kept;
  for (size_t bytes : kernel.arguments) {
    auto argument = static_cast<const char *>(*arguments++);
    kept.emplace_back(argument, argument + bytes);
  }
  standin::call(stream, "cuLaunchKernel", 0, [=, name = name, launcher = kernel.launcher]() mutable {
    add(counts().kernels, name.c_str(), 0);
    std::vector<void *> places;
    for (auto &argument : kept)
      places.push_back(argument.data());
    standin::run_grid(launcher, places.data(), {gx, gy, gz}, {bx, by, bz}, shared);
  });
  return OK;
}
Result cuGetErrorName(int, const char **name) { return *name = "STANDIN", OK; }
Result cuGetErrorString(int, const char **text) { return *text = "an error of the stand-in", OK; }
}
