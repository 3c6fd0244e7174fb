//! The same on a CUDA device.
#![allow(unsafe_code)] // launches on addresses

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

use crate::cuda::{Module, address, buffer, count, elements, launch, view};

const COLUMNS: Module = Module {
    name: "advect_columns",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/columns.ptx")),
};

/// Parts of one launch (`columns.cu`).
const MOST: usize = 4;

/// A part as the kernel declares it.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Part {
    values: u64,
    columns: u32,
    width: u32,
    row_stride: u32,
    matrix_stride: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Parts([Part; MOST]);

// SAFETY: integers in C's layout, as wide as what the kernel declares.
unsafe impl DeviceRepr for Parts {}

/// The parts in one launch, or nothing for those of another device, too many of them, or gradients for several.
pub(super) fn side_by_side(parts: &[&Tensor], rows: usize) -> Result<Option<Tensor>> {
    let plain = |part: &&Tensor| part.device().is_cuda() && part.dtype() == DType::F32;
    if parts.is_empty() || parts.len() > MOST || rows == 0 || !parts.iter().all(plain) {
        return Ok(None);
    }
    let tracked: Vec<usize> = (0..parts.len()).filter(|i| parts[*i].track_op()).collect();
    let own = match tracked.as_slice() {
        [] => 0,
        // the gradient of a row that all share would be a sum
        [one] if row_count(parts[*one]) == rows => *one,
        _ => return Ok(None),
    };
    let contiguous = |part: &&Tensor| part.contiguous();
    let all: Vec<Tensor> = parts.iter().map(contiguous).collect::<Result<_>>()?;
    let this = all[own].clone();
    let op = Join {
        all: all.iter().map(Tensor::detach).collect(),
        own,
        rows,
    };
    match tracked.is_empty() {
        true => this.apply_op1_no_bwd(&op).map(Some),
        false => this.apply_op1(op).map(Some),
    }
}

fn row_count(part: &Tensor) -> usize {
    part.dims()[part.rank() - 2]
}

/// All parts; the operation is one of the part `own`.
struct Join {
    all: Vec<Tensor>,
    own: usize,
    rows: usize,
}

impl Join {
    fn columns(part: &Tensor) -> usize {
        match part.dims() {
            [matrices, _, width] => matrices * width,
            dims => dims[1],
        }
    }

    fn total(&self) -> usize {
        self.all.iter().map(Self::columns).sum()
    }

    fn part(&self, part: &Tensor) -> Result<Part> {
        let dims = part.dims();
        let (rows, width) = (row_count(part), dims[dims.len() - 1]);
        Ok(Part {
            values: address(part)?,
            columns: count(Self::columns(part))?,
            width: count(width)?,
            row_stride: if rows == 1 && self.rows != 1 {
                0
            } else {
                count(width)?
            },
            matrix_stride: count(rows * width)?,
        })
    }
}

impl CustomOp1 for Join {
    fn name(&self) -> &'static str {
        "side-by-side"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let problem = "a host concatenates by candle";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(&self, own: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let device = own.device().clone();
        let mut parts = Parts([Part::default(); MOST]);
        for (i, part) in self.all.iter().enumerate() {
            parts.0[i] = self.part(part)?;
        }
        let (total, shape) = (self.total(), Shape::from((self.rows, self.total())));
        let mut out = buffer(&device, self.rows * total)?;
        let (n, total) = (count(self.rows * total)?, count(total)?);
        launch!(device, COLUMNS, "join_columns", elements(n); &parts, &mut out, &total, &n);
        Ok((CudaStorage::wrap_cuda_slice(out, device.clone()), shape))
    }

    fn bwd(&self, own: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let before = self.all[..self.own].iter().map(Self::columns).sum();
        take_columns(grad, before, own.dims()).map(Some)
    }
}

/// A part of joined rows.
pub(super) fn take_columns(joined: &Tensor, first: usize, shape: &[usize]) -> Result<Tensor> {
    let shape = Shape::from(shape);
    joined
        .contiguous()?
        .apply_op1_no_bwd(&Take { first, shape })
}

struct Take {
    first: usize,
    shape: Shape,
}

impl CustomOp1 for Take {
    fn name(&self) -> &'static str {
        "take-columns"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let problem = "a host narrows by candle";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(&self, joined: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let device = joined.device().clone();
        let joined = view(joined, layout)?;
        let (rows, total) = layout.shape().dims2()?;
        let (width, len) = (
            self.shape.dims()[self.shape.rank() - 1],
            self.shape.elem_count(),
        );
        let mut out = buffer(&device, len)?;
        let [first, width, rows] = [count(self.first)?, count(width)?, count(rows)?];
        let (total, n) = (count(total)?, count(len)?);
        launch!(device, COLUMNS, "take_columns", elements(n);
            &joined, &mut out, &first, &width, &rows, &total, &n);
        Ok((
            CudaStorage::wrap_cuda_slice(out, device),
            self.shape.clone(),
        ))
    }
}
