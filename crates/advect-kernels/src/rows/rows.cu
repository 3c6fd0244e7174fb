// Batches of rows that are drawn on the device.
#include "../random/philox.cuh"

// Fields of a row, at most.
#define FIELDS 8

// The column at which each field begins, and behind them that at which the last one ends.
struct Fields {
  unsigned begin[FIELDS + 1];
};

// `n` rows with replacement out of the first `*len`, the fields one behind the other: each `[n, width of the field]`.
extern "C" __global__ void sample_rows(float *out, const float *rows, const unsigned *len, Origin origin, Fields fields,
                                       unsigned width, unsigned n) {
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n * width; i += blockDim.x * gridDim.x) {
    unsigned row = i / width, column = i % width, field = 0;
    while (fields.begin[field + 1] <= column)
      field++;
    unsigned begin = fields.begin[field], own = fields.begin[field + 1] - begin;
    size_t from = size_t(index_of(origin, *len, row)) * width + column;
    out[size_t(begin) * n + size_t(row) * own + (column - begin)] = rows[from];
  }
}
