// libcublas and libcurand for machines without a GPU: plain loops, column-major as theirs.
#include "graph.h"

namespace {
enum Operation { Plain = 0, Transposed = 1 };

// `c = alpha op(a) op(b) + beta c`, sums in double precision.
void multiply(int op_a, int op_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
              float beta, float *c, int ldc) {
  for (int j = 0; j < n; j++)
    for (int i = 0; i < m; i++) {
      double sum = 0;
      for (int l = 0; l < k; l++) {
        float left = op_a == Plain ? a[i + size_t(l) * lda] : a[l + size_t(i) * lda];
        float right = op_b == Plain ? b[l + size_t(j) * ldb] : b[j + size_t(l) * ldb];
        sum += double(left) * right;
      }
      float &out = c[i + size_t(j) * ldc];
      out = beta == 0 ? alpha * float(sum) : alpha * float(sum) + beta * out;
    }
}

// CUDA_R_32F
constexpr int F32 = 0;
} // namespace

extern "C" {
// A handle is the place of its stream.
int cublasCreate_v2(void ***handle) { return *handle = new void *(nullptr), 0; }
int cublasDestroy_v2(void **stream) { return delete stream, 0; }
int cublasSetStream_v2(void **stream, void *to) { return *stream = to, 0; }
int cublasSetMathMode(void *, int) { return 0; }
int cublasSetWorkspace_v2(void *, void *, size_t) { return 0; }

int cublasSgemmStridedBatched(void **stream, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a,
                              int lda, long long stride_a, const float *b, int ldb, long long stride_b,
                              const float *beta, float *c, int ldc, long long stride_c, int batch) {
  standin::call(*stream, "cublasSgemmStridedBatched", 0, [=, alpha = *alpha, beta = *beta] {
    for (long long e = 0; e < batch; e++)
      multiply(op_a, op_b, m, n, k, alpha, a + e * stride_a, lda, b + e * stride_b, ldb, beta, c + e * stride_c, ldc);
  });
  return 0;
}
int cublasSgemm_v2(void **stream, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda,
                   const float *b, int ldb, const float *beta, float *c, int ldc) {
  standin::call(*stream, "cublasSgemm", 0, [=, alpha = *alpha, beta = *beta] {
    multiply(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  });
  return 0;
}
int cublasGemmStridedBatchedEx(void **stream, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a,
                               int type_a, int lda, long long stride_a, const void *b, int type_b, int ldb,
                               long long stride_b, const void *beta, void *c, int type_c, int ldc, long long stride_c,
                               int batch, int, int) {
  if (type_a != F32 || type_b != F32 || type_c != F32)
    return 15; // not supported
  float by = *static_cast<const float *>(alpha), with = *static_cast<const float *>(beta);
  standin::call(*stream, "cublasGemmStridedBatchedEx", 0, [=] {
    for (long long e = 0; e < batch; e++)
      multiply(op_a, op_b, m, n, k, by, static_cast<const float *>(a) + e * stride_a, lda,
               static_cast<const float *>(b) + e * stride_b, ldb, with, static_cast<float *>(c) + e * stride_c, ldc);
  });
  return 0;
}

int curandCreateGenerator(void **generator, int) { return *generator = reinterpret_cast<void *>(6), 0; }
int curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return 0; }
int curandSetGeneratorOffset(void *, unsigned long long) { return 0; }
int curandSetStream(void *, void *) { return 0; }
int curandDestroyGenerator(void *) { return 0; }
}
