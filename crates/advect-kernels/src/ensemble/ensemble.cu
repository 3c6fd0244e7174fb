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

// The sum over the one block's threads, in thread 0.
__device__ float block_sum(float own) {
  __shared__ float sums[SUM_THREADS];
  sums[threadIdx.x] = own;
  for (unsigned half = SUM_THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  return sums[0];
}

// sum_e mean_b (x_e - y)^2 by one block.
extern "C" __global__ void ensemble_squared_error(const float *x, const float *y, float *out, unsigned members,
                                                  unsigned columns) {
  float sum = 0.0f;
  for (unsigned i = threadIdx.x; i < members * columns; i += SUM_THREADS) {
    float error = x[i] - y[i % columns];
    sum += error * error;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    out[0] = sum / float(columns);
}

// The same, behind its gradient 2 (x_e - y) / B.
extern "C" __global__ void ensemble_error_with_gradient(const float *x, const float *y, float *both, unsigned members,
                                                        unsigned columns) {
  float sum = 0.0f, factor = 2.0f / float(columns);
  for (unsigned i = threadIdx.x; i < members * columns; i += SUM_THREADS) {
    float error = x[i] - y[i % columns];
    sum += error * error;
    both[i] = factor * error;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    both[members * columns] = sum / float(columns);
}

// mean_b (alpha penalty - min_e x_e) by one block, behind its gradient in x, -1/B at the minimum, and before that in the penalty.
extern "C" __global__ void ensemble_pessimistic(const float *x, const float *penalty, const float *alpha, float *all,
                                                unsigned members, unsigned columns) {
  float sum = 0.0f;
  for (unsigned b = threadIdx.x; b < columns; b += SUM_THREADS) {
    unsigned best = arg_minimum(x, members, columns, b);
    for (unsigned e = 0; e < members; e++)
      all[size_t(e) * columns + b] = e == best ? -1.0f / float(columns) : 0.0f;
    all[members * columns + 1 + b] = alpha[0] / float(columns);
    sum += alpha[0] * penalty[b] - x[size_t(best) * columns + b];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    all[members * columns] = sum / float(columns);
}

// 2 (x_e - y) / B times the loss's gradient.
extern "C" __global__ void ensemble_error(const float *x, const float *y, const float *upstream, float *out,
                                          unsigned columns, unsigned n) {
  float factor = 2.0f / float(columns) * upstream[0];
  FOR_EACH(i, n) out[i] = factor * (x[i] - y[i % columns]);
}
