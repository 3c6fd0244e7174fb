// What critics learn towards (`mod.rs`).

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// q - alpha log pi.
extern "C" __global__ void soft_value(const float *q, const float *log_prob, const float *alpha, float *out, unsigned n) {
  FOR_EACH(i, n) out[i] = q[i] - alpha[0] * log_prob[i];
}

// scale r + gamma (1 - terminated) V.
extern "C" __global__ void td_target(const float *reward, const float *terminated, const float *value, float *out,
                                     float scale, float gamma, unsigned n) {
  FOR_EACH(i, n) out[i] = scale * reward[i] + (gamma - gamma * terminated[i]) * value[i];
}
