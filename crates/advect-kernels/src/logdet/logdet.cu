// The change of volume of an Euler step.

// log|det(I + h J)| of every row's J `[d, d]` by LU with partial pivoting in double precision, a thread for each row; `work` `[rows, d, d]`.
extern "C" __global__ void log_abs_det_step(const float *jacobians, double h, double *work, float *out, unsigned d,
                                            unsigned rows) {
  for (unsigned row = blockIdx.x * blockDim.x + threadIdx.x; row < rows; row += blockDim.x * gridDim.x) {
    double *a = work + size_t(row) * d * d;
    for (unsigned i = 0; i < d * d; i++)
      a[i] = h * double(jacobians[size_t(row) * d * d + i]) + (i % (d + 1) == 0 ? 1.0 : 0.0);
    double sum = 0.0;
    for (unsigned k = 0; k < d; k++) {
      unsigned pivot = k;
      for (unsigned i = k + 1; i < d; i++)
        if (fabs(a[i * d + k]) >= fabs(a[pivot * d + k]))
          pivot = i;
      for (unsigned c = 0; pivot != k && c < d; c++) {
        double upper = a[k * d + c];
        a[k * d + c] = a[pivot * d + c];
        a[pivot * d + c] = upper;
      }
      double diagonal = a[k * d + k];
      sum += log(fabs(diagonal));
      if (diagonal == 0.0)
        break;
      for (unsigned i = k + 1; i < d; i++) {
        double factor = a[i * d + k] / diagonal;
        for (unsigned c = k + 1; c < d; c++)
          a[i * d + c] -= factor * a[k * d + c];
      }
    }
    out[row] = float(sum);
  }
}
