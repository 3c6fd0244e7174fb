// libcuda for machines without a GPU: memory is the host's, kernels run by threads.cpp, every call is counted.
// With STANDIN_REPORT=FILE the counts are written there as JSON when the process ends.
#include "threads.h"
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

namespace {
struct Count {
  long calls = 0, bytes = 0;
};
struct Counts {
  std::mutex mutex;
  std::map<std::string, Count> calls, kernels;
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
std::map<std::string, standin::Launcher> &kernels() {
  static std::map<std::string, standin::Launcher> all;
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
  standin::Launcher launcher;
};
using Result = int;
using Pointer = unsigned long long;
constexpr Result OK = 0, NOT_FOUND = 500;

Result copy(const char *name, Pointer to, Pointer from, size_t bytes) {
  add(counts().calls, name, bytes);
  memcpy(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
  return OK;
}
Result allocate(const char *name, Pointer *pointer, size_t bytes) {
  add(counts().calls, name, bytes);
  // what was not written is no number, so that a kernel that reads it is found out
  size_t room = (bytes + 255) / 256 * 256 + 256;
  void *memory = aligned_alloc(256, room);
  memset(memory, 0xff, room);
  *pointer = reinterpret_cast<Pointer>(memory);
  return OK;
}
Result release(const char *name, Pointer pointer) {
  add(counts().calls, name, 0);
  free(reinterpret_cast<void *>(pointer));
  return OK;
}
} // namespace

standin::Register::Register(const char *name, Launcher launcher) { kernels()[name] = launcher; }

// For the other libraries.
void standin_count(const char *name) { add(counts().calls, name, 0); }

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

Result cuMemAllocAsync(Pointer *pointer, size_t bytes, void *) { return allocate("cuMemAllocAsync", pointer, bytes); }
Result cuMemAlloc_v2(Pointer *pointer, size_t bytes) { return allocate("cuMemAlloc", pointer, bytes); }
Result cuMemFreeAsync(Pointer pointer, void *) { return release("cuMemFreeAsync", pointer); }
Result cuMemFree_v2(Pointer pointer) { return release("cuMemFree", pointer); }
Result cuMemsetD8Async(Pointer pointer, unsigned char value, size_t bytes, void *) {
  add(counts().calls, "cuMemsetD8Async", bytes);
  memset(reinterpret_cast<void *>(pointer), value, bytes);
  return OK;
}
Result cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, void *) {
  return copy("cuMemcpyHtoDAsync", to, reinterpret_cast<Pointer>(from), bytes);
}
Result cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, void *) {
  return copy("cuMemcpyDtoHAsync", reinterpret_cast<Pointer>(to), from, bytes);
}
Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, void *) {
  return copy("cuMemcpyDtoDAsync", to, from, bytes);
}

Result cuStreamCreate(void **stream, unsigned) { return *stream = reinterpret_cast<void *>(2), OK; }
Result cuStreamDestroy_v2(void *) { return OK; }
COUNTED(cuStreamSynchronize, void *)
Result cuStreamIsCapturing(void *, int *status) { return *status = 0, OK; }
Result cuEventCreate(void **event, unsigned) {
  add(counts().calls, "cuEventCreate", 0);
  return *event = reinterpret_cast<void *>(3), OK;
}
COUNTED(cuEventDestroy_v2, void *)
COUNTED(cuEventRecord, void *, void *)
COUNTED(cuStreamWaitEvent, void *, void *, unsigned)

Result cuModuleLoadData(void **module, const void *) {
  add(counts().calls, "cuModuleLoadData", 0);
  return *module = reinterpret_cast<void *>(4), OK;
}
Result cuModuleUnload(void *) { return OK; }
Result cuModuleGetFunction(void **function, void *, const char *name) {
  static std::map<std::string, Function> found;
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
                      unsigned shared, void *, void **arguments, void **) {
  auto &kernel = *static_cast<Function *>(function);
  add(counts().calls, "cuLaunchKernel", 0);
  add(counts().kernels, kernel.name.c_str(), 0);
  standin::run_grid(kernel.launcher, arguments, {gx, gy, gz}, {bx, by, bz}, shared);
  return OK;
}
Result cuGetErrorName(int, const char **name) { return *name = "STANDIN", OK; }
Result cuGetErrorString(int, const char **text) { return *text = "an error of the stand-in", OK; }
}
