// Draws of a stream on a GPU, the same bits as `advect-rng`'s fills: Philox 4x32-10 and the same IEEE operations in the same order.
// Compiled without contraction into fused multiply-adds.

#include "philox.cuh"

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

__device__ __forceinline__ float ln_f32(float u) {
  int exponent = (int)(__float_as_uint(u) - 0x3f3504f3u) >> 23;
  float f = __uint_as_float(__float_as_uint(u) - (unsigned)(exponent << 23)) - 1.0f;
  float tail = 0.333333312f + f * (-0.24999997f + f * (0.200007157f + f * (-0.166678023f + f * (0.142490576f +
               f * (-0.124256873f + f * (0.116854199f + f * (-0.114797338f + f * 0.0697161147f)))))));
  float square = f * f;
  float fraction = f + (square * f * tail - 0.5f * square);
  return (float)exponent * 0.693147182464599609375f + fraction;
}

struct Turn {
  float sine, cosine;
};

// sin and cos of 2 pi w / 2^32.
__device__ __forceinline__ Turn turn_of(unsigned w) {
  unsigned quadrant = (w + (1u << 29)) >> 30;
  float angle = (float)(int)(w - (quadrant << 30)) * (6.283185482025146484375f / 4294967296.0f);
  float square = angle * angle;
  float s = -0.166666647f + square * (0.00833274827f + square * -0.000195878909f);
  float c = 0.0416666647f + square * (-0.0013888303f + square * 2.45479421e-5f);
  float sine = angle + angle * square * s;
  float cosine = 1.0f - 0.5f * square + square * square * c;
  bool swapped = quadrant & 1;
  unsigned sine_sign = (quadrant & 2) << 30, cosine_sign = ((quadrant + 1) & 2) << 30;
  return {__uint_as_float(__float_as_uint(swapped ? cosine : sine) ^ sine_sign),
          __uint_as_float(__float_as_uint(swapped ? sine : cosine) ^ cosine_sign)};
}

// Two normals of Box and Muller.
__device__ __forceinline__ Turn box_muller(unsigned radius_word, unsigned angle_word) {
  float u = ((float)radius_word + 0.5f) * (1.0f / 4294967296.0f);
  float radius = sqrtf(2.0f * fabsf(ln_f32(u)));
  Turn turn = turn_of(angle_word);
  return {radius * turn.cosine, radius * turn.sine};
}

__device__ __forceinline__ void store4(float *out, unsigned block, unsigned n, const float *values) {
  for (unsigned j = 0; j < 4 && 4 * block + j < n; j++)
    out[4 * block + j] = values[j];
}

// Four values of each block.
extern "C" __global__ void fill_normal(float *out, Origin origin, unsigned n) {
  FOR_EACH(block, (n + 3) / 4) {
    Words words = philox(origin, block);
    Turn first = box_muller(words.at[0], words.at[1]), second = box_muller(words.at[2], words.at[3]);
    float values[4] = {first.sine, first.cosine, second.sine, second.cosine};
    store4(out, block, n, values);
  }
}

// low + width u.
extern "C" __global__ void fill_uniform(float *out, Origin origin, float low, float width, unsigned n) {
  FOR_EACH(block, (n + 3) / 4) {
    Words words = philox(origin, block);
    float values[4];
    for (int j = 0; j < 4; j++)
      values[j] = low + width * (((float)(words.at[j] >> 9) + 0.5f) * (1.0f / 8388608.0f));
    store4(out, block, n, values);
  }
}

// A sign for each bit.
extern "C" __global__ void fill_rademacher(float *out, Origin origin, unsigned n) {
  FOR_EACH(i, n) {
    unsigned word = philox(origin, i / 128).at[i / 32 % 4];
    out[i] = word >> (i % 32) & 1 ? -1.0f : 1.0f;
  }
}

extern "C" __global__ void fill_indices(unsigned *out, Origin origin, unsigned range, unsigned n) {
  FOR_EACH(i, n) out[i] = index_of(origin, range, i);
}
