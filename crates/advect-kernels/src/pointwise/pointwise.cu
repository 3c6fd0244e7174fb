// Sums of columns, and a controller (`mod.rs`).

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// x - factor y.
extern "C" __global__ void minus_scaled(const float *x, const float *y, const float *factor, float *out, unsigned n) {
  FOR_EACH(i, n) out[i] = x[i] - factor[0] * y[i];
}

// scale x + gain (1 - gate) y, y the least of the members' values `[members, n]`.
extern "C" __global__ void gated_sum(const float *x, const float *gate, const float *y, float *out, float scale,
                                     float gain, unsigned members, unsigned n) {
  FOR_EACH(i, n) {
    float least = y[i];
    for (unsigned e = 1; e < members; e++)
      least = y[e * n + i] < least ? y[e * n + i] : least;
    out[i] = scale * x[i] + (gain - gain * gate[i]) * least;
  }
}

// x + h v.
extern "C" __global__ void step(const float *x, const float *v, float *out, float h, unsigned n) {
  FOR_EACH(i, n) out[i] = x[i] + h * v[i];
}

// min(max(x, low), high); what is no number stays none.
extern "C" __global__ void clamp(const float *x, float *out, float low, float high, unsigned n) {
  FOR_EACH(i, n) out[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}

// (1 - t) x + t y, a t for each row.
extern "C" __global__ void mix(const float *x, const float *y, const float *t, float *out, unsigned width, unsigned n) {
  FOR_EACH(i, n) {
    float at = t[i / width];
    out[i] = x[i] * (1.0f - at) + y[i] * at;
  }
}

// x - clamp(to - from, 0, 1) y, a span for each row.
extern "C" __global__ void minus_span(const float *x, const float *y, const float *from, const float *to, float *out,
                                      unsigned width, unsigned n) {
  FOR_EACH(i, n) {
    float span = to[i / width] - from[i / width];
    out[i] = x[i] - y[i] * (span < 0.0f ? 0.0f : span > 1.0f ? 1.0f : span);
  }
}

// of_data clip(scale (x - of_eps eps), -bound, bound) + of_x x + std noise, the noise where it is given.
extern "C" __global__ void denoised(const float *x, const float *eps, const float *noise, float *out, float of_eps,
                                    float scale, float bound, float of_data, float of_x, float std, unsigned n) {
  FOR_EACH(i, n) {
    float data = (x[i] - eps[i] * of_eps) * scale;
    data = data < -bound ? -bound : data > bound ? bound : data;
    float mean = data * of_data + x[i] * of_x;
    out[i] = noise ? mean + noise[i] * std : mean;
  }
}

// The smaller of both and, `n` values behind, the larger; what is no number stays none.
extern "C" __global__ void sorted(const float *x, const float *y, float *out, unsigned n) {
  FOR_EACH(i, n) {
    bool swap = y[i] < x[i];
    out[i] = swap ? y[i] : x[i];
    out[n + i] = swap ? x[i] : y[i];
  }
}

// clip(value + rate (target - measured), low, high); what is no number stays none.
extern "C" __global__ void steered(const float *value, const float *measured, float *out, double rate, double target,
                                   double low, double high) {
  if (blockIdx.x > 0 || threadIdx.x > 0)
    return;
  double moved = value[0] + rate * (target - measured[0]);
  out[0] = float(moved < low ? low : moved > high ? high : moved);
}
