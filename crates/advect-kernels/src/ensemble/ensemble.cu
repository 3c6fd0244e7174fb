// Reductions over an ensemble `[members, columns]` (`mod.rs`).

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// Threads of the one block that sums.
#define SUM_THREADS 256

__device__ unsigned arg_minimum(const float *x, unsigned members, unsigned columns, unsigned b) {
  unsigned best = 0;
  for (unsigned e = 1; e < members; e++)
    if (x[size_t(e) * columns + b] < x[size_t(best) * columns + b])
      best = e;
  return best;
}

extern "C" __global__ void ensemble_minimum(const float *x, float *out, unsigned members, unsigned columns) {
  FOR_EACH(b, columns) out[b] = x[size_t(arg_minimum(x, members, columns, b)) * columns + b];
}

// The gradient of a minimum goes to the member that has it.
extern "C" __global__ void ensemble_routed(const float *x, const float *upstream, float *out, unsigned members,
                                           unsigned columns) {
  FOR_EACH(b, columns) {
    unsigned best = arg_minimum(x, members, columns, b);
    for (unsigned e = 0; e < members; e++)
      out[size_t(e) * columns + b] = e == best ? upstream[b] : 0.0f;
  }
}

// sum_e mean_b (x_e - y)^2 by one block.
extern "C" __global__ void ensemble_squared_error(const float *x, const float *y, float *out, unsigned members,
                                                  unsigned columns) {
  __shared__ float sums[SUM_THREADS];
  float sum = 0.0f;
  for (unsigned i = threadIdx.x; i < members * columns; i += SUM_THREADS) {
    float error = x[i] - y[i % columns];
    sum += error * error;
  }
  sums[threadIdx.x] = sum;
  for (unsigned half = SUM_THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0)
    out[0] = sums[0] / float(columns);
}

// 2 (x_e - y) / B times the loss's gradient.
extern "C" __global__ void ensemble_error(const float *x, const float *y, const float *upstream, float *out,
                                          unsigned columns, unsigned n) {
  float factor = 2.0f / float(columns) * upstream[0];
  FOR_EACH(i, n) out[i] = factor * (x[i] - y[i % columns]);
}
