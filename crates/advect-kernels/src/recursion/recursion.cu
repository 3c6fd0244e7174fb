// Recursions from the last step to the first (`mod.rs`): `n` rows, those of the `columns` sequences of a step behind each other.

extern "C" __global__ void recursion(const float *x, const float *keep, const float *joined, const float *v, float *out,
                                     double gain, double mix, unsigned columns, unsigned n) {
  for (unsigned column = blockIdx.x * blockDim.x + threadIdx.x; column < columns; column += blockDim.x * gridDim.x) {
    double later = 0.0;
    for (unsigned step = n / columns; step-- > 0;) {
      unsigned i = step * columns + column;
      double next = keep[i] > 0.0f ? double(v[i]) : 0.0;
      bool goes_on = joined[i] > 0.0f && i + columns < n;
      later = double(x[i]) + gain * ((1.0 - mix) * next + mix * (goes_on ? later : next));
      out[i] = float(later);
    }
  }
}
