// Actions from Gaussians truncated to the box (`mod.rs`), the same bits as `advect-rng`'s functions of these names: nothing here calls a
// mathematical library, and nothing is contracted into a fused multiply-add.

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

#define LN_2_HIGH 6.931471803691238e-1
#define LN_2_LOW 1.9082149292705877e-10
#define HALF_LN_TAU 0.9189385332046728

template <int N> __device__ double horner(double x, const double (&c)[N]) {
  double sum = c[N - 1];
  for (int i = N - 2; i >= 0; i--)
    sum = c[i] + x * sum;
  return sum;
}

__device__ double from_bits(long long bits) { return __longlong_as_double(bits); }

__device__ double infinity() { return from_bits(0x7ff0000000000000ll); }

// ln(1 + f) for -0.3 < f < 0.42.
__device__ double ln_1p_small(double f) {
  const double c[] = {
      0.666666666666666665, 0.40000000000000877, 0.285714285708036118, 0.222222223917139174,
      0.181817956401329063, 0.153862397028146582, 0.132687731386568852, 0.130866261478401021};
  double s = f / (2.0 + f), w = s * s, half_square = 0.5 * f * f;
  return f - (half_square - s * (half_square + w * horner(w, c)));
}

__device__ double ln(double x) {
  if (!(x > 0.0 && x < infinity()))
    return x == 0.0 ? -infinity() : x > 0.0 ? x : from_bits(0x7ff8000000000000ll);
  bool tiny = x < 2.2250738585072014e-308;
  long long bits = __double_as_longlong(tiny ? x * 18014398509481984.0 : x);
  long long exponent = (bits - 0x3fe6a09e667f3bcdll) >> 52;
  double f = from_bits(bits - (exponent << 52)) - 1.0, k = double(exponent - (tiny ? 54 : 0));
  return k * LN_2_HIGH + (k * LN_2_LOW + ln_1p_small(f));
}

__device__ double ln_1p(double x) { return x > -0.29 && x < 0.41 ? ln_1p_small(x) : ln(1.0 + x); }

// exp(r) - 1 for |r| < ln(2) / 2.
__device__ double exp_m1_small(double r) {
  const double c[] = {
      0.5, 0.16666666666666671, 0.0416666666666666698, 0.00833333333332614088, 0.00138888888888837524,
      0.00019841269874800492, 2.48015873255333638e-5, 2.75572554257464343e-6, 2.75572736613486362e-7,
      2.51052063739570111e-8, 2.09146793765839351e-9};
  return r + r * r * horner(r, c);
}

__device__ double power_of_two(int k) { return from_bits((long long)(1023 + k) << 52); }

__device__ double exponential(double x) {
  if (isnan(x) || x < -746.0)
    return isnan(x) ? x : 0.0;
  if (x > 709.782712893384)
    return infinity();
  double k = rint(x * 1.4426950408889634), r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
  int first = int(k) / 2;
  return (1.0 + exp_m1_small(r)) * power_of_two(first) * power_of_two(int(k) - first);
}

__device__ double exp_m1(double x) { return fabs(x) < 0.34 ? exp_m1_small(x) : exponential(x) - 1.0; }

// Logarithm of the Mills ratio P(X > y) / pdf(y), y >= 0.
__device__ double ln_mills(double y) {
  const double series[] = {
      -0.5689947451503051, 0.7444254251236767, 0.05764721678477678, -0.005143027391297979,
      -0.0022330237905069677, -0.000011850082785791418, 0.00009941167653504387, 7.190192630405285e-6,
      -4.9170992958743e-6, -6.177593392772016e-7, 2.6394764617972407e-7, 4.306384508742912e-8,
      -1.5155590829990293e-8, -2.7277151487509577e-9, 9.146649327895914e-10, 1.5902260804556545e-10,
      -5.650078789188257e-11, -8.350707564645366e-12, 3.4443718086498435e-12, 3.7424077581343902e-13,
      -1.9766779007701877e-13, -1.2710254904098165e-14, 9.98435288501514e-15, 2.405192574096214e-16,
      -3.897770511245106e-16};
  double t = 3.5 / (3.5 + y), x = 2.0 * (2.0 * t - 1.0), b1 = 0.0, b2 = 0.0;
  for (int i = 24; i > 0; i--) {
    double next = series[i] + x * b1 - b2;
    b2 = b1;
    b1 = next;
  }
  return ln(t) + (series[0] + 0.5 * x * b1 - b2);
}

// P(X > y), y >= 0.
__device__ double upper_tail(double y) {
  if (y > 40.0)
    return 0.0;
  double head = trunc(y * 16.0) / 16.0, rest = 0.5 * (y - head) * (y + head);
  return exponential(-0.5 * head * head) * exponential(ln_mills(y) - HALF_LN_TAU - rest);
}

__device__ double normal_cdf(double x) { return x > 0.0 ? 1.0 - upper_tail(x) : upper_tail(-x); }

// Quantile of 0.5 + r, |r| <= 0.425 (Wichura 1988, as the two below).
__device__ double central_quantile(double r) {
  const double over[] = {
      3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
      45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727};
  const double under[] = {
      1.0, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867,
      39307.89580009271061, 28729.085735721942674, 5226.495278852854561};
  return r * horner(0.180625 - r * r, over) / horner(0.180625 - r * r, under);
}

__device__ double near_tail(double r) {
  const double over[] = {
      1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
      1.27045825245236838258, 2.4178072517745061177e-1, 2.27238449892691845833e-2, 7.7454501427834140764e-4};
  const double under[] = {
      1.0, 2.05319162663775882187, 1.6763848301838038494, 6.8976733498510000455e-1, 1.4810397642748007459e-1,
      1.51986665636164571966e-2, 5.475938084995344946e-4, 1.05075007164441684324e-9};
  return horner(r, over) / horner(r, under);
}

__device__ double middle_tail(double r) {
  const double over[] = {
      6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 2.9656057182850489123e-1,
      2.6532189526576123093e-2, 1.2426609473880784386e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  const double under[] = {
      1.0, 5.9983220655588793769e-1, 1.3692988092273580531e-1, 1.48753612908506148525e-2,
      7.868691311456132591e-4, 1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15};
  return horner(r, over) / horner(r, under);
}

// Newton's method from the leading asymptotic terms, w > 700.
__device__ double far_tail(double w) {
  if (w == infinity())
    return w;
  double y = sqrt(2.0 * (w - HALF_LN_TAU) - ln(2.0 * w));
  for (int i = 0; i < 2; i++) {
    double excess = (0.5 * y * y - w) + (HALF_LN_TAU - ln_mills(y));
    y -= excess / (y + 1.0 / y);
  }
  return y;
}

// The y > 0 with P(X > y) = e^-w, w >= 2.5.
__device__ double tail_quantile(double w) {
  double r = sqrt(w);
  return r <= 5.0 ? near_tail(r - 1.6) : r <= 27.0 ? middle_tail(r - 5.0) : far_tail(w);
}

// Quantile from a probability and its complement.
__device__ double quantile_of_pair(double p, double complement) {
  double q = 0.5 * (p - complement);
  if (fabs(q) <= 0.425)
    return central_quantile(q);
  return q < 0.0 ? -tail_quantile(-ln(p)) : tail_quantile(-ln(complement));
}

// ln(y R(y)), R the Mills ratio, y >= 30.
__device__ double ln_mills_times(double y) {
  double i = 1.0 / (y * y);
  return i * (-1.0 + i * (2.5 + i * (-37.0 / 3.0 + i * 88.25)));
}

// Solves ln P(X > near) - ln P(X > near + d) = depth for d.
__device__ double depth_to_distance(double depth, double near, double hazard, double correction) {
  if (depth == infinity())
    return depth;
  double d = 2.0 * depth / (hazard + sqrt(hazard * hazard + 2.0 * depth)), y = near + d, ratio = d / near;
  double log = ratio < 0.41 ? ln_1p_small(ratio) : ln_1p(ratio);
  double excess = d * (near + 0.5 * d) + log + (correction - ln_mills_times(y)) - depth;
  return d - excess / (y + 1.0 / y);
}

// Distance of the level's quantile below `-near`, for an interval of that width there.
__device__ double deep_quantile(double near, double width, double complement) {
  double correction = ln_mills_times(near), inverse = 1.0 / near;
  double hazard = near + inverse * (1.0 - 2.0 * inverse * inverse);
  double depth = width * (near + 0.5 * width) + ln_1p(width * inverse) + correction - ln_mills_times(near + width);
  double share = -exp_m1(-depth);
  return depth_to_distance(-ln_1p(-complement * share), near, hazard, correction);
}

__device__ double central_level(double lo, double hi, double level, double complement) {
  double below = normal_cdf(lo), above = normal_cdf(-hi);
  double mass = hi < 0.0 ? normal_cdf(hi) - below : (0.5 - below) + (0.5 - above);
  return quantile_of_pair(below + level * mass, above + complement * mass);
}

// The level-u quantile of a standard normal truncated to [low, high]; NaN where that is no interval.
__device__ double truncated_quantile(double low, double high, double u) {
  if (!(low <= high && low < infinity() && high > -infinity()))
    return from_bits(0x7ff8000000000000ll);
  bool reflected = low + high > 0.0;
  double lo = reflected ? -high : low, hi = reflected ? -low : high;
  double level = reflected ? 1.0 - u : u, complement = reflected ? u : 1.0 - u;
  double x = hi < -30.0 ? -(-hi + deep_quantile(-hi, hi - lo, complement)) : central_level(lo, hi, level, complement);
  x = reflected ? -x : x;
  return x < low ? low : x > high ? high : x;
}

// Of f32 or f64.
__device__ double coefficient(const void *values, unsigned row, int doubles) {
  return doubles ? static_cast<const double *>(values)[row] : double(static_cast<const float *>(values)[row]);
}

// Actions `[rows, k, d]` and, `n` values behind them, their noise, for noised actions `[rows, d]` and coefficients `[rows]`.
extern "C" __global__ void propose(const float *z, const void *c_a, const void *c_eps, const float *levels, float *out,
                                   int doubles, unsigned k, unsigned d, unsigned n) {
  FOR_EACH(i, n) {
    unsigned row = i / (k * d);
    double a = coefficient(c_a, row, doubles), eps = coefficient(c_eps, row, doubles), at = double(z[size_t(row) * d + i % d]);
    bool fit = a > 0.0 && eps > 0.0 && a < infinity() && eps < infinity();
    double xi = truncated_quantile((-a - at) / eps, fit ? (a - at) / eps : -infinity(), double(levels[i]));
    double action = (at + eps * xi) / a;
    out[i] = float(action < -1.0 ? -1.0 : action > 1.0 ? 1.0 : action);
    out[size_t(n) + i] = float(-xi);
  }
}
