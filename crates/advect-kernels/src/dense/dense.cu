// Fused networks on a GPU: what happens between the matrix products (`cuda.rs` says in which order).
// Values are row-major, `[members, rows, width]`; parameters lie `stride` apart for each member.

enum Activation { RELU, TANH, GELU, SILU, MISH };

// An activation with its first two derivatives.
struct Curve {
  float value, slope, bend;
};

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ __forceinline__ Curve curve_at(int activation, float x) {
  switch (activation) {
  case RELU:
    return {fmaxf(x, 0.0f), x > 0.0f ? 1.0f : 0.0f, 0.0f};
  case TANH: {
    float y = tanhf(x), slope = 1.0f - y * y;
    return {y, slope, -2.0f * y * slope};
  }
  case GELU: {
    float density = 0.39894228f * expf(-0.5f * x * x), cdf = normcdff(x);
    return {x * cdf, cdf + x * density, density * (2.0f - x * x)};
  }
  case SILU: {
    float gate = sigmoid(x), y = x * gate, slope = gate * (1.0f - gate);
    return {y, gate + y * (1.0f - gate), slope * (2.0f + x * (1.0f - 2.0f * gate))};
  }
  default: {
    // t = tanh(softplus(x)) by e = e^x; above 20 all three have converged
    float e = expf(fminf(x, 20.0f)), w = e * (e + 2.0f), inverse = 1.0f / (w + 2.0f);
    float rise = 4.0f * e * inverse, part = (e + 1.0f) * inverse;
    float t = w * inverse, t_dot = rise * part;
    float t_dot2 = rise * inverse * (2.0f * e + 1.0f - 4.0f * e * (e + 1.0f) * part);
    return {x * t, t + x * t_dot, 2.0f * t_dot + x * t_dot2};
  }
  }
}

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

// z + b, in place; `bias` is its place in a member's parameters.
extern "C" __global__ void add_bias(float *z, const float *params, unsigned bias, unsigned stride,
                                    unsigned rows, unsigned width, unsigned n) {
  FOR_EACH(i, n) z[i] += params[i / width / rows * stride + bias + i % width];
}

// z -> a(z + b) in place, and slope = a'(z + b) where somebody wants it.
extern "C" __global__ void bias_activate(float *z, float *slope, const float *params, unsigned bias, unsigned stride,
                                         unsigned rows, unsigned width, int activation, unsigned n) {
  FOR_EACH(i, n) {
    Curve found = curve_at(activation, z[i] + params[i / width / rows * stride + bias + i % width]);
    z[i] = found.value;
    if (slope)
      slope[i] = found.slope;
  }
}

// Numbers of one load.
struct alignas(16) Four {
  float at[4];
};

// start + w x, in four sums. Threads of a warp have rows x of their own, so these are loaded by fours where they lie for it.
__device__ __forceinline__ float dot(float start, const float *w, const float *x, unsigned n) {
  float sums[4] = {start, 0.0f, 0.0f, 0.0f};
  unsigned whole = n / 4 * 4;
  bool by_fours = reinterpret_cast<size_t>(x) % sizeof(Four) == 0;
  for (unsigned c = 0; c < whole; c += 4) {
    Four four;
    if (by_fours)
      four = *reinterpret_cast<const Four *>(x + c);
    else
      four = {x[c], x[c + 1], x[c + 2], x[c + 3]};
    for (unsigned k = 0; k < 4; k++)
      sums[k] = fmaf(four.at[k], w[c + k], sums[k]);
  }
  for (unsigned c = whole; c < n; c++)
    sums[0] = fmaf(x[c], w[c], sums[0]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// A layer of few outputs, a thread for each: a(W x + b), and a' where somebody wants it. For a negative activation W x + b, or a step
// `from + h (W x + b)` where that is given. Members have inputs of their own if `own_rows`.
extern "C" __global__ void narrow_layer(const float *x, const float *params, float *out, float *slope, const float *from,
                                        float h, unsigned weight, unsigned bias, unsigned stride, unsigned inputs,
                                        unsigned width, unsigned rows, unsigned own_rows, int activation, unsigned n) {
  FOR_EACH(i, n) {
    unsigned row = i / width, o = i % width;
    const float *own = params + (size_t)(row / rows) * stride, *w = own + weight + (size_t)o * inputs;
    float z = dot(own[bias + o], w, x + (size_t)(own_rows ? row : row % rows) * inputs, inputs);
    if (activation < 0) {
      out[i] = from ? from[i] + h * z : z;
      continue;
    }
    Curve found = curve_at(activation, z);
    out[i] = found.value;
    if (slope)
      slope[i] = found.slope;
  }
}

// As both of the above with tangents: `n` values and behind them their tangents, which the slopes scale; without an activation, a bias alone.
__device__ __forceinline__ void activate_both(float *both, float *slope, unsigned i, unsigned n, float z, float z_dot,
                                              int activation) {
  if (activation < 0) {
    both[i] = z;
    both[n + i] = z_dot;
    return;
  }
  Curve found = curve_at(activation, z);
  both[i] = found.value;
  both[n + i] = found.slope * z_dot;
  slope[i] = found.slope;
}

extern "C" __global__ void bias_activate_both(float *both, float *slope, const float *params, unsigned bias,
                                              unsigned stride, unsigned rows, unsigned width, int activation,
                                              unsigned n) {
  FOR_EACH(i, n) {
    float z = both[i] + params[i / width / rows * stride + bias + i % width];
    activate_both(both, slope, i, n, z, both[n + i], activation);
  }
}

extern "C" __global__ void narrow_both(const float *x, const float *params, float *both, float *slope, unsigned weight,
                                       unsigned bias, unsigned stride, unsigned inputs, unsigned width, unsigned rows,
                                       int activation, unsigned n) {
  FOR_EACH(i, n) {
    unsigned row = i / width, o = i % width;
    const float *own = params + (size_t)(row / rows) * stride, *w = own + weight + (size_t)o * inputs;
    const float *value = x + (size_t)row * inputs, *tangent = value + (size_t)(n / width) * inputs;
    activate_both(both, slope, i, n, dot(own[bias + o], w, value, inputs), dot(0.0f, w, tangent, inputs), activation);
  }
}

// The tangent of a layer of few outputs: W t, times the slopes where an activation is behind it; `per` rows of t share a row of slopes.
extern "C" __global__ void narrow_tangent(const float *t, const float *params, const float *slope, float *out,
                                          unsigned weight, unsigned stride, unsigned inputs, unsigned width,
                                          unsigned rows, unsigned own_rows, unsigned per, unsigned n) {
  FOR_EACH(i, n) {
    unsigned row = i / width, o = i % width;
    const float *w = params + (size_t)(row / rows) * stride + weight + (size_t)o * inputs;
    float along = dot(0.0f, w, t + (size_t)(own_rows ? row : row % rows) * inputs, inputs);
    out[i] = slope ? along * slope[row / per * width + o] : along;
  }
}

// out = a(z) and slope = a'(z).
extern "C" __global__ void activate(const float *z, float *out, float *slope, int activation, unsigned n) {
  FOR_EACH(i, n) {
    Curve found = curve_at(activation, z[i]);
    out[i] = found.value;
    slope[i] = found.slope;
  }
}

// Primal rows above tangent rows, in place: z -> a(z), z' -> a'(z) z'; a'(z) and a''(z) z' beside.
extern "C" __global__ void activate_tangent(float *both, float *slope, float *bend, int activation, unsigned n) {
  FOR_EACH(i, n) {
    Curve found = curve_at(activation, both[i]);
    float z_dot = both[n + i];
    both[i] = found.value;
    both[n + i] = found.slope * z_dot;
    slope[i] = found.slope;
    bend[i] = found.bend * z_dot;
  }
}

// Cotangents of primal and tangent rows: d = d a' + d' e and d' = d' a', in place.
extern "C" __global__ void combine(float *both, const float *slope, const float *bend, unsigned n) {
  FOR_EACH(i, n) {
    float d_dot = both[n + i];
    both[i] = both[i] * slope[i] + d_dot * bend[i];
    both[n + i] = d_dot * slope[i];
  }
}

// out = x slope, where `per` rows of x share a row of slopes.
extern "C" __global__ void scale_rows(const float *x, const float *slope, float *out, unsigned width, unsigned per,
                                      unsigned n) {
  FOR_EACH(i, n) out[i] = x[i] * slope[i / width / per * width + i % width];
}

extern "C" __global__ void add(const float *x, const float *y, float *out, unsigned n) {
  FOR_EACH(i, n) out[i] = x[i] + y[i];
}

// [members, n] -> [n], members added in order.
extern "C" __global__ void sum_members(const float *x, float *out, unsigned members, unsigned n) {
  FOR_EACH(i, n) {
    float sum = x[i];
    for (unsigned e = 1; e < members; e++)
      sum += x[e * n + i];
    out[i] = sum;
  }
}

// The unit vectors of the columns slot.., `width` rows for each row: `[rows, width, inputs]`.
extern "C" __global__ void unit_tangents(float *out, unsigned inputs, unsigned slot, unsigned width, unsigned n) {
  FOR_EACH(i, n) out[i] = i % inputs == slot + i / inputs % width ? 1.0f : 0.0f;
}

// One block for 32 columns of a member, `lanes` threads for each column, 32 at most.
#define COLUMN                                                                                     \
  unsigned column = blockIdx.x * 32 + threadIdx.x % 32, lane = threadIdx.x / 32, lanes = blockDim.x / 32

// The threads' sums of a column, added in their order: all of it in lane 0.
__device__ __forceinline__ float column_total(float sum, unsigned lane, unsigned lanes) {
  __shared__ float part[32][33];
  part[lane][threadIdx.x % 32] = sum;
  __syncthreads();
  if (lane == 0)
    for (unsigned other = 1; other < lanes; other++)
      sum += part[other][threadIdx.x];
  return sum;
}

// Sums over rows into a member's parameters at `offset`: of x, or of x y.
extern "C" __global__ void column_sums(const float *x, const float *y, int product, float *out, unsigned offset,
                                       unsigned stride, unsigned rows, unsigned width) {
  COLUMN;
  size_t start = (size_t)blockIdx.y * rows * width;
  float sum = 0.0f;
  if (column < width)
    for (unsigned row = lane; row < rows; row += lanes) {
      size_t i = start + (size_t)row * width + column;
      sum += product ? x[i] * y[i] : x[i];
    }
  float total = column_total(sum, lane, lanes);
  if (lane == 0 && column < width)
    out[blockIdx.y * stride + offset + column] = total;
}

// scaled = x slope, and its sums over rows into a member's parameters at `offset`.
extern "C" __global__ void scale_to_bias(const float *x, const float *slope, float *scaled, float *out, unsigned offset,
                                         unsigned stride, unsigned rows, unsigned width) {
  COLUMN;
  size_t start = (size_t)blockIdx.y * rows * width;
  float sum = 0.0f;
  if (column < width)
    for (unsigned row = lane; row < rows; row += lanes) {
      size_t i = start + (size_t)row * width + column;
      sum += scaled[i] = x[i] * slope[i];
    }
  float total = column_total(sum, lane, lanes);
  if (lane == 0 && column < width)
    out[blockIdx.y * stride + offset + column] = total;
}

// Cotangents below a layer of few outputs, times the slopes of the activation there: scaled = (d W) slope; their sums over rows to `offset`
// in a member's parameters where those are given.
extern "C" __global__ void narrow_backward(const float *d, const float *params, const float *slope, float *scaled,
                                           float *out, unsigned weight, unsigned offset, unsigned stride,
                                           unsigned inputs, unsigned width, unsigned rows) {
  COLUMN;
  const float *w = params + (size_t)blockIdx.y * stride + weight + column;
  float sum = 0.0f;
  if (column < inputs)
    for (unsigned row = lane; row < rows; row += lanes) {
      size_t at = (size_t)blockIdx.y * rows + row, i = at * inputs + column;
      float below = 0.0f;
      for (unsigned o = 0; o < width; o++)
        below = fmaf(d[at * width + o], w[(size_t)o * inputs], below);
      sum += scaled[i] = below * slope[i];
    }
  float total = column_total(sum, lane, lanes);
  if (out && lane == 0 && column < inputs)
    out[blockIdx.y * stride + offset + column] = total;
}

// Gradients of the weight and bias of a layer of few outputs, a row of blocks for each output of a member: the column behind the inputs is
// the bias, moved by the first `bias_rows` rows, or left alone without any.
extern "C" __global__ void narrow_gradient(const float *x, const float *d, float *out, unsigned weight, unsigned stride,
                                           unsigned inputs, unsigned width, unsigned rows, unsigned own_rows,
                                           unsigned bias_rows) {
  COLUMN;
  unsigned member = blockIdx.y / width, o = blockIdx.y % width;
  const float *own = d + (size_t)member * rows * width + o;
  const float *from = x + (own_rows ? (size_t)member * rows * inputs : 0) + column;
  unsigned last = column < inputs ? rows : column == inputs ? bias_rows : 0;
  float sum = 0.0f;
  for (unsigned row = lane; row < last; row += lanes) {
    float delta = own[(size_t)row * width];
    sum = column < inputs ? fmaf(delta, from[(size_t)row * inputs], sum) : sum + delta;
  }
  float total = column_total(sum, lane, lanes);
  if (lane == 0 && last > 0)
    out[(size_t)member * stride + weight + (column < inputs ? o * inputs + column : width * inputs + o)] = total;
}

// Sum over a warp, the same bits in every lane.
__device__ __forceinline__ float warp_sum(float x) {
  for (int lanes = 16; lanes > 0; lanes /= 2)
    x += __shfl_xor_sync(0xffffffff, x, lanes);
  return x;
}

#define ROW_OF_WARP(row) unsigned row = (blockIdx.x * blockDim.x + threadIdx.x) / 32
#define FOR_COLUMNS(c, width) for (unsigned c = threadIdx.x % 32; c < (width); c += 32)

// LayerNorm and activation of a row by a warp: n = r (z - m), out = a(g n + b); n, r and a' beside.
// The gain lies at `norm` in the parameters, the shift behind it.
extern "C" __global__ void norm_activate(const float *z, float *out, float *slope, float *normed, float *scale,
                                         const float *params, unsigned norm, float eps, int activation, unsigned rows,
                                         unsigned width) {
  ROW_OF_WARP(row);
  if (row >= rows)
    return;
  const float *from = z + (size_t)row * width, *gain = params + norm, *shift = gain + width;
  float sum = 0.0f, squares = 0.0f;
  FOR_COLUMNS(c, width) sum += from[c];
  float mean = warp_sum(sum) / width;
  FOR_COLUMNS(c, width) squares += (from[c] - mean) * (from[c] - mean);
  float r = 1.0f / sqrtf(warp_sum(squares) / width + eps);
  FOR_COLUMNS(c, width) {
    size_t i = (size_t)row * width + c;
    float n = r * (from[c] - mean);
    Curve found = curve_at(activation, gain[c] * n + shift[c]);
    out[i] = found.value;
    slope[i] = found.slope;
    normed[i] = n;
  }
  if (threadIdx.x % 32 == 0)
    scale[row] = r;
}

// Its cotangent: p = d a' (whose column sums are the gradients), out = r (q - mean(q) - n mean(q n)) with q = p g.
extern "C" __global__ void norm_backward(const float *d, const float *slope, const float *normed, const float *scale,
                                         const float *params, unsigned norm, float *p, float *out, unsigned rows,
                                         unsigned width) {
  ROW_OF_WARP(row);
  if (row >= rows)
    return;
  size_t start = (size_t)row * width;
  const float *gain = params + norm, *n = normed + start;
  float sum = 0.0f, along = 0.0f;
  FOR_COLUMNS(c, width) {
    float value = d[start + c] * slope[start + c];
    p[start + c] = value;
    sum += value * gain[c];
    along += value * gain[c] * n[c];
  }
  float mean = warp_sum(sum) / width, slant = warp_sum(along) / width;
  FOR_COLUMNS(c, width) out[start + c] = scale[row] * (p[start + c] * gain[c] - mean - n[c] * slant);
}

// Its tangent: out = a' g r (t - mean(t) - n mean(t n)); `per` rows of t share a row of the primal pass.
extern "C" __global__ void norm_tangent(const float *t, const float *slope, const float *normed, const float *scale,
                                        const float *params, unsigned norm, float *out, unsigned per, unsigned rows,
                                        unsigned width) {
  ROW_OF_WARP(row);
  if (row >= rows)
    return;
  size_t start = (size_t)row * width, primal = (size_t)(row / per) * width;
  const float *gain = params + norm, *n = normed + primal;
  float sum = 0.0f, along = 0.0f;
  FOR_COLUMNS(c, width) {
    sum += t[start + c];
    along += t[start + c] * n[c];
  }
  float mean = warp_sum(sum) / width, slant = warp_sum(along) / width;
  FOR_COLUMNS(c, width)
  out[start + c] = slope[primal + c] * gain[c] * scale[row / per] * (t[start + c] - mean - n[c] * slant);
}
