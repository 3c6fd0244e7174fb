// A number that falls with the count of updates (`mod.rs`).

#include "../graph/place.cuh"

extern "C" __global__ void decline(float *out, Place updates, double high, double low, double total,
                                   unsigned long long first, unsigned long long every, unsigned long long per) {
  if (blockIdx.x > 0 || threadIdx.x > 0)
    return;
  double left = 1.0 - double(first + every * (number_at(updates) / per)) / total;
  out[0] = float(fmin(fmax(high * left, low), high));
}
