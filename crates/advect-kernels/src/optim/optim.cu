// One pass each over flat buffers: Adam's norm, moments and update, and the moving average.

#include "../graph/place.cuh"

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// Threads of a block that sums.
#define SUM_THREADS 256

// What a step keeps on the device: behind its factors, how many blocks have summed, and the sum of each.
enum Kept { STEPS, NORM, SCALE, RATE, ROOT, LEARNING_RATE, SUMMED, PARTIAL };

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

// base^exponent by repeated squaring, as the host computes it.
__device__ double power(double base, unsigned long long exponent) {
  double result = 1;
  for (double square = base; exponent > 0; exponent >>= 1, square *= square)
    if (exponent & 1)
      result *= square;
  return result;
}

// A learning rate as a function of the step (`schedule.rs`).
enum Kind { CONSTANT, LINEAR, WARMUP, WARMUP_COSINE, COSINE_CYCLES };
struct Schedule {
  double lr, last;
  unsigned long long begin, length, kind;
};

__device__ double fraction(unsigned long long step, unsigned long long begin, unsigned long long duration) {
  if (step < begin)
    return 0;
  return duration == 0 ? 1 : fmin(double(step - begin) / double(duration), 1.0);
}

__device__ double half_cosine(double first, double last, double phase) {
  return last + (first - last) * 0.5 * (1.0 + cos(3.141592653589793 * phase));
}

__device__ double ramp(unsigned long long step, unsigned long long warmup) {
  return step >= warmup ? 1.0 : double(step + 1) / double(warmup);
}

__device__ double rate_at(Schedule by, unsigned long long step) {
  unsigned long long rest = by.length > by.begin ? by.length - by.begin : 0;
  switch (by.kind) {
  case LINEAR:
    return by.lr + (by.last - by.lr) * fraction(step, by.begin, by.length);
  case WARMUP:
    return by.lr * ramp(step, by.begin);
  case WARMUP_COSINE:
    return step < by.begin ? by.lr * ramp(step, by.begin) : half_cosine(by.lr, by.last, fraction(step, by.begin, rest));
  case COSINE_CYCLES:
    step %= by.length > 1 ? by.length : 1;
    return step < by.begin ? by.last + (by.lr - by.last) * fraction(step, 0, by.begin)
                           : half_cosine(by.lr, by.last, fraction(step, by.begin, rest));
  default:
    return by.lr;
  }
}

// Adam's constants.
struct Constants {
  double beta1, beta2, clip;
  Schedule schedule;
};

// The step's factors; a norm that is not finite is no step.
__device__ void begin(double *state, double norm, Constants by) {
  state[NORM] = norm;
  if (!isfinite(norm))
    return;
  double lr = rate_at(by.schedule, (unsigned long long)state[STEPS]);
  unsigned long long steps = (unsigned long long)state[STEPS] + 1;
  state[STEPS] = double(steps);
  state[LEARNING_RATE] = lr;
  state[SCALE] = by.clip > 0 ? fmin(by.clip / norm, 1.0) : 1;
  state[RATE] = lr / (1 - power(by.beta1, steps));
  state[ROOT] = 1 / sqrt(1 - power(by.beta2, steps));
}

// The gradient's norm: a sum of squares for each block, added up in their order by the block that is last.
extern "C" __global__ void adam_begin(double *state, const float *grad, Constants by, unsigned n) {
  __shared__ bool last;
  double sum = 0;
  FOR_EACH(i, n) sum += double(grad[i]) * double(grad[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    state[PARTIAL + blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd((unsigned *)(state + SUMMED), 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last)
    return;
  const volatile double *parts = state + PARTIAL;
  sum = block_sum(threadIdx.x < gridDim.x ? parts[threadIdx.x] : 0);
  if (threadIdx.x == 0) {
    *(unsigned *)(state + SUMMED) = 0;
    begin(state, sqrt(sum), by);
  }
}

// What moves moments and parameters.
struct Toward {
  float toward1, toward2, eps;
  double weight_decay;
};

// Both moments `[2, n]` move towards the scaled gradient and its square, and then
// p -= rate m / (sqrt(v) root + eps) + decay p.
__device__ void move_all(float *params, const float *grad, const double *state, float *moments, Toward by, unsigned n) {
  if (!isfinite(state[NORM]))
    return;
  float scale = float(state[SCALE]), rate = float(state[RATE]), root = float(state[ROOT]);
  float decay = float(state[LEARNING_RATE] * by.weight_decay);
  FOR_EACH(i, n) {
    float g = scale * grad[i], m = moments[i], v = moments[n + i];
    moments[i] = m += by.toward1 * (g - m);
    moments[n + i] = v += by.toward2 * (g * g - v);
    float direction = rate * (m / (sqrtf(v) * root + by.eps));
    params[i] -= direction + decay * params[i];
  }
}

extern "C" __global__ void adam_step(float *params, const float *grad, const double *state, float *moments, Toward by,
                                     unsigned n) {
  move_all(params, grad, state, moments, by, n);
}

// Both launches in one block, for few parameters.
extern "C" __global__ void adam_small(float *params, const float *grad, double *state, float *moments,
                                      Constants constants, Toward by, unsigned n) {
  double sum = 0;
  FOR_EACH(i, n) sum += double(grad[i]) * double(grad[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    begin(state, sqrt(sum), constants);
  __syncthreads();
  move_all(params, grad, state, moments, by, n);
}

// Buffers, what they follow, and where the next buffer's numbers begin.
struct Pairs {
  float *targets[4];
  const float *sources[4];
  unsigned ends[4];
};

// target <- (1 - tau) target + tau source.
extern "C" __global__ void lerp_towards(Pairs pairs, float tau, unsigned n) {
  FOR_EACH(i, n) {
    unsigned which = 0;
    while (i >= pairs.ends[which])
      which++;
    unsigned at = i - (which ? pairs.ends[which - 1] : 0);
    float *target = pairs.targets[which] + at, source = pairs.sources[which][at];
    *target = tau == 1.0f ? source : (1.0f - tau) * *target + tau * source;
  }
}

// Where tensors lie, how long they are, and which of them are doubles.
struct Tensors {
  const void *pointers[32];
  unsigned lengths[32];
  unsigned doubles;
};

// The means of tensors to a ring's places from `first` on; a block for each.
extern "C" __global__ void gather_means(double *ring, unsigned room, Place first, Tensors tensors) {
  const void *tensor = tensors.pointers[blockIdx.x];
  unsigned length = tensors.lengths[blockIdx.x];
  bool is_double = tensors.doubles >> blockIdx.x & 1;
  double sum = 0;
  for (unsigned i = threadIdx.x; i < length; i += blockDim.x)
    sum += is_double ? ((const double *)tensor)[i] : double(((const float *)tensor)[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    ring[(number_at(first) + blockIdx.x) % room] = sum / length;
}
