// One pass each over flat buffers: Adam's norm, moments and update, and the moving average.

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// Threads of a block that sums.
#define SUM_THREADS 256

// What a step keeps on the device, and behind it a partial sum of each block.
enum Place { STEPS, NORM, SCALE, RATE, ROOT, PARTIAL };

// The sum over a block's threads, in an order that the number of threads fixes; in thread 0.
__device__ double block_sum(double own) {
  __shared__ double sums[SUM_THREADS];
  sums[threadIdx.x] = own;
  for (unsigned half = SUM_THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  return sums[0];
}

// A sum of squares for each block.
extern "C" __global__ void square_sums(double *state, const float *x, unsigned n) {
  double sum = 0;
  FOR_EACH(i, n) sum += double(x[i]) * double(x[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    state[PARTIAL + blockIdx.x] = sum;
}

// base^exponent by repeated squaring, as the host computes it.
__device__ double power(double base, unsigned long long exponent) {
  double result = 1;
  for (double square = base; exponent > 0; exponent >>= 1, square *= square)
    if (exponent & 1)
      result *= square;
  return result;
}

// The gradient's norm and the step's factors; a norm that is not finite is no step. One block.
extern "C" __global__ void adam_begin(double *state, unsigned parts, double beta1, double beta2, double clip, double lr) {
  double sum = block_sum(threadIdx.x < parts ? state[PARTIAL + threadIdx.x] : 0);
  if (threadIdx.x > 0)
    return;
  double norm = sqrt(sum);
  state[NORM] = norm;
  if (!isfinite(norm))
    return;
  unsigned long long steps = (unsigned long long)state[STEPS] + 1;
  state[STEPS] = double(steps);
  state[SCALE] = clip > 0 ? fmin(clip / norm, 1.0) : 1;
  state[RATE] = lr / (1 - power(beta1, steps));
  state[ROOT] = 1 / sqrt(1 - power(beta2, steps));
}

// Both moments `[2, n]` move towards the scaled gradient and its square.
extern "C" __global__ void adam_moments(float *moments, const float *grad, const double *state, float toward1,
                                        float toward2, unsigned n) {
  if (!isfinite(state[NORM]))
    return;
  float scale = float(state[SCALE]);
  FOR_EACH(i, n) {
    float g = scale * grad[i];
    moments[i] += toward1 * (g - moments[i]);
    moments[n + i] += toward2 * (g * g - moments[n + i]);
  }
}

// p -= rate m / (sqrt(v) root + eps) + decay p.
extern "C" __global__ void adam_update(float *params, const float *moments, const double *state, float eps, float decay,
                                       unsigned n) {
  if (!isfinite(state[NORM]))
    return;
  float rate = float(state[RATE]), root = float(state[ROOT]);
  FOR_EACH(i, n) {
    float direction = rate * (moments[i] / (sqrtf(moments[n + i]) * root + eps));
    params[i] -= direction + decay * params[i];
  }
}

// target <- (1 - tau) target + tau source.
extern "C" __global__ void lerp_towards(float *target, const float *source, float tau, unsigned n) {
  FOR_EACH(i, n) target[i] = tau == 1.0f ? source[i] : (1.0f - tau) * target[i] + tau * source[i];
}

// Where scalars lie, and which of them are doubles.
struct Places {
  const void *pointers[32];
  unsigned doubles;
};

// out[i] = the scalar at places i.
extern "C" __global__ void gather_scalars(double *out, Places places, unsigned n) {
  FOR_EACH(i, n) {
    const void *place = places.pointers[i];
    out[i] = places.doubles >> i & 1 ? *(const double *)place : double(*(const float *)place);
  }
}
