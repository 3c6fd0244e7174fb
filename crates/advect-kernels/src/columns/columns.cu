// Matrices side by side (`mod.rs`).

#define FOR_EACH(i, n)                                                                             \
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

#define MOST_PARTS 4

// `columns` of them in all, `width` in each matrix of it; `per` rows in a row share one of its own.
struct Part {
  const float *values;
  unsigned columns, width, per, matrix_stride;
};
struct Blocks {
  Part parts[2][MOST_PARTS];
};

// Rows of all parts, `total` columns; a second block of `rows` rows has parts of its own.
extern "C" __global__ void join_columns(Blocks blocks, float *out, unsigned rows, unsigned total, unsigned n) {
  FOR_EACH(i, n) {
    unsigned row = i / total % rows, column = i % total, at = 0;
    const Part *parts = blocks.parts[i / total / rows];
    while (at + 1 < MOST_PARTS && column >= parts[at].columns)
      column -= parts[at++].columns;
    Part part = parts[at];
    out[i] = part.values[(size_t)(column / part.width) * part.matrix_stride + (size_t)(row / part.per) * part.width +
                         column % part.width];
  }
}

// A part `[matrices, rows, width]` of such rows again, which begins at column `first`.
extern "C" __global__ void take_columns(const float *joined, float *out, unsigned first, unsigned width, unsigned rows,
                                        unsigned total, unsigned n) {
  FOR_EACH(i, n) {
    unsigned matrix = i / width / rows, row = i / width % rows;
    out[i] = joined[(size_t)row * total + first + matrix * width + i % width];
  }
}
