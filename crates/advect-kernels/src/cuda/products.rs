//! Products of matrices by the library, in f32, or with operands that tensor cores round.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::cuda_backend::cudarc::cublas::sys::{
    cublasComputeType_t, cublasGemmAlgo_t, cublasMath_t, cublasOperation_t, cublasSetMathMode,
    cudaDataType_t,
};
use candle_core::cuda_backend::cudarc::cublas::{self, Gemm, GemmConfig, StridedBatchedConfig};
use candle_core::cuda_backend::cudarc::driver::{DevicePtr, DevicePtrMut};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{Device, Result};

use super::{View, ViewMut};

/// What products of f32 do to their operands; sums are of f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// Nothing.
    Exact,
    /// Tensor cores round them to TF32, ten bits of fraction.
    Tf32,
    /// Tensor cores round them to bf16, seven bits of fraction; candle's own few products take TF32.
    Bf16,
}

/// Whether products take bf16, for the whole process, as candle's own switch is.
static BF16: AtomicBool = AtomicBool::new(false);

/// How products on a CUDA device are computed; nothing on another.
///
/// # Errors
/// If the library fails.
pub fn set_products(device: &Device, products: Products) -> Result<()> {
    let Device::Cuda(device) = device else {
        return Ok(());
    };
    let is_exact = products == Products::Exact;
    let mode = match is_exact {
        true => cublasMath_t::CUBLAS_DEFAULT_MATH,
        false => cublasMath_t::CUBLAS_TF32_TENSOR_OP_MATH,
    };
    BF16.store(products == Products::Bf16, Ordering::Relaxed);
    candle_core::cuda_backend::set_gemm_reduced_precision_f32(!is_exact);
    let blas = device.cublas_handle();
    // SAFETY: the handle is the device's own, and lives as long.
    unsafe { cublasSetMathMode(*blas.handle(), mode) }
        .result()
        .map_err(candle_core::Error::wrap)
}

/// A matrix in memory: its values, the distance of its rows, and that of the members' matrices.
pub(crate) struct Matrix<'a> {
    pub values: View<'a>,
    pub ld: usize,
    pub member_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `[members, rows, width]`.
    pub fn of_rows(values: View<'a>, rows: usize, width: usize) -> Self {
        Self {
            values,
            ld: width,
            member_stride: rows * width,
        }
    }
}

/// `out [members, rows, n] = left op(right)`, row-major.
pub(crate) enum Form {
    /// `left [rows, k] right [n, k]^T`.
    Forward,
    /// `left [rows, k] right [k, n]`.
    Backward,
    /// `left [k, rows]^T right [k, n]`.
    Weight,
}

/// Rows, inner dimension, columns and members of a product.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub rows: usize,
    pub k: usize,
    pub n: usize,
    pub members: usize,
}

/// A product for every member; the members' results lie `out_stride` apart. Operands are `rounded` to bf16 here, or by [`set_products`].
///
/// # Errors
/// If the library fails.
pub(crate) fn product(
    device: &CudaDevice,
    form: Form,
    [left, right]: [&Matrix; 2],
    (out, out_stride): (&mut ViewMut, usize),
    sizes: Sizes,
    rounded: bool,
) -> Result<()> {
    use cublasOperation_t::{CUBLAS_OP_N as PLAIN, CUBLAS_OP_T as TRANSPOSED};
    // the library counts by columns, so it computes the transposed product: its first operand is ours on the right
    let (transa, transb) = match form {
        Form::Forward => (TRANSPOSED, PLAIN),
        Form::Backward => (PLAIN, PLAIN),
        Form::Weight => (PLAIN, TRANSPOSED),
    };
    let gemm = GemmConfig {
        transa,
        transb,
        m: sizes.n as i32,
        n: sizes.rows as i32,
        k: sizes.k as i32,
        alpha: 1.0,
        lda: right.ld as i32,
        ldb: left.ld as i32,
        beta: 0.0,
        ldc: sizes.n as i32,
    };
    let batched = StridedBatchedConfig {
        gemm,
        batch_size: sizes.members as i32,
        stride_a: right.member_stride as i64,
        stride_b: left.member_stride as i64,
        stride_c: out_stride as i64,
    };
    if rounded || BF16.load(Ordering::Relaxed) {
        return in_bf16(device, &batched, &right.values, &left.values, out);
    }
    let blas = device.cublas_handle();
    // SAFETY: the operands hold the matrices that `sizes` and their distances tell.
    unsafe { blas.gemm_strided_batched(batched, &right.values, &left.values, out) }.w()
}

/// The same of operands that are rounded to bf16 where they are loaded.
fn in_bf16(
    device: &CudaDevice,
    batched: &StridedBatchedConfig<f32>,
    first: &View,
    second: &View,
    out: &mut ViewMut,
) -> Result<()> {
    const F32: cudaDataType_t = cudaDataType_t::CUDA_R_32F;
    fn pointer(number: &f32) -> *const c_void {
        std::ptr::from_ref(number).cast()
    }
    let (blas, stream, by) = (device.cublas_handle(), device.cuda_stream(), &batched.gemm);
    let (first, _kept) = first.device_ptr(&stream);
    let (second, _too) = second.device_ptr(&stream);
    let (out, _as_well) = out.device_ptr_mut(&stream);
    // SAFETY: as for exact products, which have the same operands.
    unsafe {
        cublas::result::gemm_strided_batched_ex(
            *blas.handle(),
            by.transa,
            by.transb,
            by.m,
            by.n,
            by.k,
            pointer(&by.alpha),
            first as *const c_void,
            F32,
            by.lda,
            batched.stride_a,
            second as *const c_void,
            F32,
            by.ldb,
            batched.stride_b,
            pointer(&by.beta),
            out as *mut c_void,
            F32,
            by.ldc,
            batched.stride_c,
            batched.batch_size,
            cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_16BF,
            cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }
    .map_err(candle_core::Error::wrap)
}
