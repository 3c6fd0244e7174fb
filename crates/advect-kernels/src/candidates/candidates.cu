// Rows of candidates (`mod.rs`); a warp for each row.

#define ROW_OF_WARP(row) unsigned row = (blockIdx.x * blockDim.x + threadIdx.x) / 32
#define FOR_COLUMNS(c, width) for (unsigned c = threadIdx.x % 32; c < (width); c += 32)

// The least of the members' scores `[members, rows, k]` of a row's candidate.
__device__ float least_score(const float *q, unsigned members, unsigned rows, unsigned k, unsigned row, unsigned c) {
  float least = q[size_t(row) * k + c];
  for (unsigned e = 1; e < members; e++)
    least = fminf(least, q[(size_t(e) * rows + row) * k + c]);
  return least;
}

// The first candidate with the largest of its members' least scores, within bounds: `q` `[members, rows, k]`, `candidates` `[rows, k, d]`.
extern "C" __global__ void best_candidate(const float *q, const float *candidates, float *out, float low, float high,
                                          unsigned members, unsigned rows, unsigned k, unsigned d) {
  ROW_OF_WARP(row);
  if (row >= rows)
    return;
  float score = -INFINITY;
  unsigned best = k;
  FOR_COLUMNS(c, k) {
    float least = least_score(q, members, rows, k, row, c);
    if (best == k || least > score)
      score = least, best = c;
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    float other = __shfl_xor_sync(0xffffffff, score, lanes);
    unsigned at = __shfl_xor_sync(0xffffffff, best, lanes);
    if (at < k && (best == k || other > score || (other == score && at < best)))
      score = other, best = at;
  }
  FOR_COLUMNS(c, d) {
    float x = candidates[(size_t(row) * k + best) * d + c];
    out[size_t(row) * d + c] = x < low ? low : x > high ? high : x;
  }
}

// sum_c w_c (x_c - y_c) of every row, a thread for each coordinate: `w` `[rows, k]`, `x` and `y` `[rows, k, d]`.
extern "C" __global__ void weighted_difference(const float *w, const float *x, const float *y, float *out, unsigned k,
                                               unsigned d, unsigned n) {
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) {
    unsigned row = i / d;
    float sum = 0.0f;
    for (unsigned c = 0; c < k; c++) {
      size_t at = (size_t(row) * k + c) * d + i % d;
      sum = fmaf(w[size_t(row) * k + c], x[at] - y[at], sum);
    }
    out[i] = sum;
  }
}

// mean_b 1 / (k sum_c w_bc^2) of `[rows, k]`, by one block of 256 threads.
extern "C" __global__ void effective_fraction(const float *w, float *out, unsigned rows, unsigned k) {
  __shared__ double sums[256];
  double own = 0;
  for (unsigned row = threadIdx.x; row < rows; row += blockDim.x) {
    float squares = 0.0f;
    for (unsigned c = 0; c < k; c++)
      squares += w[size_t(row) * k + c] * w[size_t(row) * k + c];
    own += 1.0 / squares;
  }
  sums[threadIdx.x] = own;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0)
    out[0] = float(sums[0] / rows / k);
}

// softmax_c(q / temperature) of every row, q the least of the members' scores.
extern "C" __global__ void softmax_rows(const float *q, const float *temperature, float *out, unsigned members,
                                        unsigned rows, unsigned k) {
  ROW_OF_WARP(row);
  if (row >= rows)
    return;
  float *to = out + size_t(row) * k, inverse = 1.0f / temperature[0], top = -INFINITY, sum = 0.0f;
  FOR_COLUMNS(c, k) {
    to[c] = least_score(q, members, rows, k, row, c);
    top = fmaxf(top, to[c]);
  }
  for (int lanes = 16; lanes > 0; lanes /= 2)
    top = fmaxf(top, __shfl_xor_sync(0xffffffff, top, lanes));
  FOR_COLUMNS(c, k) {
    float odds = expf(inverse * (to[c] - top));
    to[c] = odds;
    sum += odds;
  }
  for (int lanes = 16; lanes > 0; lanes /= 2)
    sum += __shfl_xor_sync(0xffffffff, sum, lanes);
  FOR_COLUMNS(c, k) to[c] /= sum;
}
