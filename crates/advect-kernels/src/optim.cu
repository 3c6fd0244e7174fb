// One pass each over flat buffers: Adam's moments and update, and the moving average.

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// Both moments `[2, n]` move towards the scaled gradient and its square.
extern "C" __global__ void adam_moments(float *moments, const float *grad, float scale, float toward1, float toward2,
                                        unsigned n) {
  FOR_EACH(i, n) {
    float g = scale * grad[i];
    moments[i] += toward1 * (g - moments[i]);
    moments[n + i] += toward2 * (g * g - moments[n + i]);
  }
}

// p -= rate m / (sqrt(v) root + eps) + decay p.
extern "C" __global__ void adam_update(float *params, const float *moments, float rate, float root, float eps,
                                       float decay, unsigned n) {
  FOR_EACH(i, n) {
    float direction = rate * (moments[i] / (sqrtf(moments[n + i]) * root + eps));
    params[i] -= direction + decay * params[i];
  }
}

// target <- (1 - tau) target + tau source.
extern "C" __global__ void lerp_towards(float *target, const float *source, float tau, unsigned n) {
  FOR_EACH(i, n) target[i] = tau == 1.0f ? source[i] : (1.0f - tau) * target[i] + tau * source[i];
}
