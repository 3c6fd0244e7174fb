// The CUDA language for a host compiler: enough of it to compile kernels that use no half precision and run them on a CPU.
// A kernel's threads are fibres of one host thread (threads.cpp); atomics are therefore plain operations.
#pragma once
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#define __CUDA_ARCH__ 520
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__
#define __restrict__ __restrict
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

namespace standin {
extern dim3 thread_index, block_index, block_size, grid_size;
// Waits for the block's, or for the warp's, other threads.
void wait_block();
void wait_warp();
// 16 bytes of every thread of the block.
unsigned char *slot(unsigned thread);
unsigned thread_number();
// Dynamic shared memory of the running block.
void *dynamic_shared();

using Launcher = void (*)(void **arguments);
// How a kernel is called, and the bytes of each of its arguments.
struct Kernel {
  Launcher launcher;
  std::vector<size_t> arguments;
};
struct Register {
  Register(const char *name, Kernel kernel);
};
template <class... A> std::vector<size_t> sizes(void (*)(A...)) { return {sizeof(std::remove_reference_t<A>)...}; }

// Calls a kernel with the arguments that the driver is given.
template <class... A, size_t... I>
void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_reference_t<A> *>(arguments[I])...);
}
template <class... A> void call(void (*kernel)(A...), void **arguments) {
  call(kernel, arguments, std::index_sequence_for<A...>());
}
template <class T> T shuffled(T value, unsigned from) {
  memcpy(slot(thread_number()), &value, sizeof value);
  wait_warp();
  T found;
  memcpy(&found, slot(from), sizeof found);
  wait_warp();
  return found;
}
} // namespace standin

#define STANDIN_KERNEL(name)                                                                       \
  static standin::Register registered_##name(                                                      \
      #name, {[](void **arguments) { standin::call(&name, arguments); }, standin::sizes(&name)});

#define threadIdx standin::thread_index
#define blockIdx standin::block_index
#define blockDim standin::block_size
#define gridDim standin::grid_size
constexpr int warpSize = 32;

inline void __syncthreads() { standin::wait_block(); }
inline void __threadfence() {}
inline void __syncwarp(unsigned = 0xffffffff) { standin::wait_warp(); }
template <class T> T __shfl_xor_sync(unsigned, T value, int lanes, int = 32) {
  return standin::shuffled(value, standin::thread_number() ^ lanes);
}
template <class T> T __shfl_down_sync(unsigned, T value, unsigned lanes, int = 32) {
  unsigned own = standin::thread_number(), from = own + lanes;
  return standin::shuffled(value, from / 32 == own / 32 ? from : own);
}
template <class T> T __shfl_sync(unsigned, T value, int lane, int = 32) {
  return standin::shuffled(value, standin::thread_number() / 32 * 32 + lane);
}

template <class T> T changed(T *address, T value) {
  T old = *address;
  *address = value;
  return old;
}
template <class T, class U> T atomicAdd(T *address, U value) {
  return changed(address, T(*address + T(value)));
}
template <class T, class U> T atomicMax(T *address, U value) {
  return changed(address, std::max(*address, T(value)));
}
template <class T, class U> T atomicMin(T *address, U value) {
  return changed(address, std::min(*address, T(value)));
}
template <class T, class U, class V> T atomicCAS(T *address, U compare, V value) {
  return changed(address, *address == T(compare) ? T(value) : *address);
}

using std::max;
using std::min;
using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;
template <class T> T __ldg(const T *address) { return *address; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678f); }
inline double normcdf(double x) { return 0.5 * erfc(-x * 0.7071067811865476); }
inline unsigned __umulhi(unsigned x, unsigned y) { return uint64_t(x) * y >> 32; }
template <class To, class From> To bits(From value) {
  To found;
  memcpy(&found, &value, sizeof found);
  return found;
}
inline int __float_as_int(float x) { return bits<int>(x); }
inline float __int_as_float(int x) { return bits<float>(x); }
inline unsigned __float_as_uint(float x) { return bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return bits<float>(x); }
inline long long __double_as_longlong(double x) { return bits<long long>(x); }
inline double __longlong_as_double(long long x) { return bits<double>(x); }
