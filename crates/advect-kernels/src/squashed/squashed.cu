// A Gaussian behind a tanh (`mod.rs`).

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

struct Coordinate {
  float action, log_prob, spread, free;
};

__device__ Coordinate draw_at(float mean, float log_std, float eps, float low, float high) {
  float free = low < log_std && log_std < high ? 1.0f : 0.0f;
  log_std = fminf(fmaxf(log_std, low), high);
  float spread = expf(log_std) * eps, u = mean + spread, x = -2.0f * u;
  float softplus = fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
  float slope = 2.0f * (0.69314718f - u - softplus);
  float density = -0.5f * eps * eps - log_std - 0.91893853f;
  return {tanhf(u), density - slope, spread * free, free};
}

// a = tanh(mu + sigma eps) `[rows, d]` and, behind them, log pi(a) `[rows]`; a thread for a row.
extern "C" __global__ void squashed_sample(const float *head, const float *eps, float *out, float low, float high,
                                           unsigned d, unsigned rows) {
  FOR_EACH(row, rows) {
    const float *from = head + size_t(row) * 2 * d, *noise = eps + size_t(row) * d;
    float sum = 0.0f;
    for (unsigned i = 0; i < d; i++) {
      Coordinate draw = draw_at(from[i], from[d + i], noise[i], low, high);
      out[size_t(row) * d + i] = draw.action;
      sum += draw.log_prob;
    }
    out[size_t(rows) * d + row] = sum;
  }
}

// The gradient in the head from those in the actions and the log-densities.
extern "C" __global__ void squashed_gradient(const float *head, const float *eps, const float *action,
                                             const float *log_prob, float *out, float low, float high, unsigned d,
                                             unsigned n) {
  FOR_EACH(i, n) {
    unsigned row = i / d, j = i % d;
    const float *from = head + size_t(row) * 2 * d;
    Coordinate draw = draw_at(from[j], from[d + j], eps[i], low, high);
    float density = log_prob[row];
    float mean = action[i] * (1.0f - draw.action * draw.action) + density * 2.0f * draw.action;
    out[size_t(row) * 2 * d + j] = mean;
    out[size_t(row) * 2 * d + d + j] = mean * draw.spread - density * draw.free;
  }
}
