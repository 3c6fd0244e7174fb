// Directions of SVGD (`mod.rs`); a warp for each query.

#define FOR_LANES(i, n) for (unsigned i = threadIdx.x % 32; i < (n); i += 32)

enum Radial { RBF, IMQ };

// Where everything lies, f32; `bandwidth` is null for the median rule.
struct Places {
  const float *y, *a, *g, *weight, *bandwidth;
};

// Squared distances of a query from the particles.
__device__ void distances(const float *y, const float *a, float *d, unsigned r, unsigned dim) {
  FOR_LANES(j, r) {
    float sum = 0.0f;
    for (unsigned c = 0; c < dim; c++) {
      float off = y[c] - a[j * dim + c];
      sum = fmaf(off, off, sum);
    }
    d[j] = sum;
  }
  __syncwarp();
}

// Element (r - 1) / 2 of the sorted distances: the largest of those above which at most as many lie.
__device__ float lower_median(const float *d, unsigned r) {
  float median = 0.0f;
  FOR_LANES(j, r) {
    unsigned smaller = 0;
    for (unsigned i = 0; i < r; i++)
      smaller += d[i] < d[j];
    if (smaller <= (r - 1) / 2)
      median = fmaxf(median, d[j]);
  }
  for (int lanes = 16; lanes > 0; lanes /= 2)
    median = fmaxf(median, __shfl_xor_sync(0xffffffff, median, lanes));
  return median;
}

// k_j and slope_j in place of the distances.
__device__ void weigh(int kernel, float h, float *k, float *slope, unsigned r) {
  FOR_LANES(j, r) {
    float d = k[j];
    if (kernel == RBF) {
      k[j] = expf(d * (-0.5f / h));
      slope[j] = k[j] * (1.0f / h);
    } else {
      k[j] = 1.0f / sqrtf(1.0f + d / (2.0f * h));
      slope[j] = k[j] * k[j] * k[j] / (2.0f * h);
    }
  }
  __syncwarp();
}

// `out` holds phi, attraction and repulsion, `[queries, dim]` each, and the bandwidths `[queries]`; `work` has room for `[queries, 2, r]`.
extern "C" __global__ void svgd_direction(float *out, float *work, Places at, int kernel, double least, unsigned p,
                                          unsigned r, unsigned dim, unsigned queries) {
  unsigned query = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  if (query >= queries)
    return;
  size_t state = query / p, points = size_t(queries) * dim, row = size_t(query) * dim;
  const float *y = at.y + row, *a = at.a + state * r * dim, *g = at.g + state * r * dim;
  float *k = work + size_t(query) * 2 * r, *slope = k + r;
  distances(y, a, k, r, dim);
  float h = at.bandwidth ? at.bandwidth[query]
                         : float(fmax(double(lower_median(k, r)) / (2.0 * log(double(r) + 1.0)), least));
  __syncwarp();
  weigh(kernel, h, k, slope, r);
  FOR_LANES(c, dim) {
    float pull = 0.0f, push = 0.0f;
    for (unsigned j = 0; j < r; j++) {
      pull = fmaf(k[j], g[j * dim + c], pull);
      push = fmaf(slope[j], y[c] - a[j * dim + c], push);
    }
    out[row + c] = (pull + at.weight[query] * push) / r;
    out[points + row + c] = pull;
    out[2 * points + row + c] = push;
  }
  if (threadIdx.x % 32 == 0)
    out[3 * points + query] = h;
}
