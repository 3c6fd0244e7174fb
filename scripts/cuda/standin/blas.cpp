// libcublas and libcurand for machines without a GPU: plain loops, column-major as theirs.
#include "graph.h"
#include <cmath>
#include <cstring>

namespace {
enum Operation { Plain = 0, Transposed = 1 };

// CUBLAS_TF32_TENSOR_OP_MATH, and what is rounded further
constexpr int TF32 = 3, BF16 = 4;
// CUBLAS_COMPUTE_32F_FAST_16BF and CUBLAS_COMPUTE_32F_FAST_TF32
constexpr int FAST_BF16 = 75, FAST_TF32 = 77;

struct Handle {
  void *stream = nullptr;
  int mode = 0;
};

// The leading bits of a fraction that TF32 (ten) or bf16 (seven) keeps, rounded.
float rounded(float x, int mode) {
  if ((mode != TF32 && mode != BF16) || !std::isfinite(x))
    return x;
  unsigned bits, half = mode == TF32 ? 0x1000u : 0x8000u;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + half) & ~(2 * half - 1);
  memcpy(&x, &bits, sizeof bits);
  return x;
}

// `c = alpha op(a) op(b) + beta c`, sums in double precision.
void multiply(int mode, int op_a, int op_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
              float beta, float *c, int ldc) {
  for (int j = 0; j < n; j++)
    for (int i = 0; i < m; i++) {
      double sum = 0;
      for (int l = 0; l < k; l++) {
        float left = op_a == Plain ? a[i + size_t(l) * lda] : a[l + size_t(i) * lda];
        float right = op_b == Plain ? b[l + size_t(j) * ldb] : b[j + size_t(l) * ldb];
        sum += double(rounded(left, mode)) * rounded(right, mode);
      }
      float &out = c[i + size_t(j) * ldc];
      out = beta == 0 ? alpha * float(sum) : alpha * float(sum) + beta * out;
    }
}

// CUDA_R_32F
constexpr int F32 = 0;
} // namespace

extern "C" {
int cublasCreate_v2(Handle **handle) { return *handle = new Handle, 0; }
int cublasDestroy_v2(Handle *handle) { return delete handle, 0; }
int cublasSetStream_v2(Handle *handle, void *stream) { return handle->stream = stream, 0; }
int cublasSetMathMode(Handle *handle, int mode) { return handle->mode = mode, 0; }
int cublasSetWorkspace_v2(void *, void *, size_t) { return 0; }

int cublasSgemmStridedBatched(Handle *handle, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a,
                              int lda, long long stride_a, const float *b, int ldb, long long stride_b,
                              const float *beta, float *c, int ldc, long long stride_c, int batch) {
  standin::call(handle->stream, "cublasSgemmStridedBatched", 0, [=, mode = handle->mode, alpha = *alpha, beta = *beta] {
    for (long long e = 0; e < batch; e++)
      multiply(mode, op_a, op_b, m, n, k, alpha, a + e * stride_a, lda, b + e * stride_b, ldb, beta, c + e * stride_c, ldc);
  });
  return 0;
}
int cublasSgemm_v2(Handle *handle, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda,
                   const float *b, int ldb, const float *beta, float *c, int ldc) {
  standin::call(handle->stream, "cublasSgemm", 0, [=, mode = handle->mode, alpha = *alpha, beta = *beta] {
    multiply(mode, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  });
  return 0;
}
int cublasGemmStridedBatchedEx(Handle *handle, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a,
                               int type_a, int lda, long long stride_a, const void *b, int type_b, int ldb,
                               long long stride_b, const void *beta, void *c, int type_c, int ldc, long long stride_c,
                               int batch, int compute, int) {
  if (type_a != F32 || type_b != F32 || type_c != F32)
    return 15; // not supported
  float by = *static_cast<const float *>(alpha), with = *static_cast<const float *>(beta);
  int mode = compute == FAST_BF16 ? BF16 : compute == FAST_TF32 ? TF32 : handle->mode;
  standin::call(handle->stream, "cublasGemmStridedBatchedEx", 0, [=] {
    for (long long e = 0; e < batch; e++)
      multiply(mode, op_a, op_b, m, n, k, by, static_cast<const float *>(a) + e * stride_a, lda,
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
