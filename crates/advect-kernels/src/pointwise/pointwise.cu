// Sums of columns, and a controller (`mod.rs`).

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// x - factor y.
extern "C" __global__ void minus_scaled(const float *x, const float *y, const float *factor, float *out, unsigned n) {
  FOR_EACH(i, n) out[i] = x[i] - factor[0] * y[i];
}

// scale x + gain (1 - gate) y.
extern "C" __global__ void gated_sum(const float *x, const float *gate, const float *y, float *out, float scale,
                                     float gain, unsigned n) {
  FOR_EACH(i, n) out[i] = scale * x[i] + (gain - gain * gate[i]) * y[i];
}

// x + h v.
extern "C" __global__ void step(const float *x, const float *v, float *out, float h, unsigned n) {
  FOR_EACH(i, n) out[i] = x[i] + h * v[i];
}

// min(max(x, low), high); what is no number stays none.
extern "C" __global__ void clamp(const float *x, float *out, float low, float high, unsigned n) {
  FOR_EACH(i, n) out[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}

// clip(value + rate (target - measured), low, high); what is no number stays none.
extern "C" __global__ void steered(const float *value, const float *measured, float *out, double rate, double target,
                                   double low, double high) {
  if (blockIdx.x > 0 || threadIdx.x > 0)
    return;
  double moved = value[0] + rate * (target - measured[0]);
  out[0] = float(moved < low ? low : moved > high ? high : moved);
}
