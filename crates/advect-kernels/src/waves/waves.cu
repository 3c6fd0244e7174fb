// Sines and cosines of times (`mod.rs`).

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// As many frequencies as one launch takes.
struct Frequencies {
  double w[128];
};

// Features `first + j` and `half + first + j` of each time, for `count` frequencies j; behind all, the time itself where rows are wider.
extern "C" __global__ void waves(const float *t, float *out, Frequencies frequencies, unsigned first, unsigned count,
                                 unsigned half, unsigned width, double scale, int derivative, unsigned n) {
  FOR_EACH(i, n) {
    unsigned row = i / count, j = i % count;
    double time = t[row], w = frequencies.w[j], phase = time * w;
    double sine = sin(phase), cosine = cos(phase);
    float *to = out + size_t(row) * width + first + j;
    to[0] = float((derivative ? cosine * w : sine) * scale);
    to[half] = float((derivative ? -(sine * w) : cosine) * scale);
    if (first + j == 0 && width > 2 * half)
      out[size_t(row) * width + width - 1] = derivative ? 1.0f : t[row];
  }
}
