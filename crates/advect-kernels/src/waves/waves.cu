// Sines and cosines of times (`mod.rs`).

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// As many frequencies as one launch takes.
struct Frequencies {
  double w[128];
};

// As many vectors of times as one launch takes, the rates at which they move, and of which the derivative is wanted (a bit each).
struct Times {
  const float *values[8];
  float rates[8];
  unsigned derivatives;
};

// Features `first + j` and `half + first + j` of each time, for `count` frequencies j; behind all, the time itself where rows are wider.
// Or their derivatives, times the rate. Vectors have `per` times each.
extern "C" __global__ void waves(Times times, float *out, Frequencies frequencies, unsigned first, unsigned count,
                                 unsigned half, unsigned width, double scale, unsigned per, unsigned n) {
  FOR_EACH(i, n) {
    unsigned row = i / count, j = i % count, vector = row / per;
    bool derivative = times.derivatives >> vector & 1;
    float t = times.values[vector][row % per], rate = times.rates[vector];
    double w = frequencies.w[j], phase = t * w;
    double sine = sin(phase), cosine = cos(phase);
    float *to = out + size_t(row) * width + first + j;
    to[0] = float((derivative ? cosine * w : sine) * scale) * rate;
    to[half] = float((derivative ? -(sine * w) : cosine) * scale) * rate;
    if (first + j == 0 && width > 2 * half)
      out[size_t(row) * width + width - 1] = derivative ? rate : t;
  }
}
