//! The same on a CUDA device.
#![allow(unsafe_code)] // an argument that kernels take by value

use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{D, DType, Result, Tensor};

use crate::attached;
use crate::cuda::{Module, address, count, elements, filled, launch};

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
    per: u32,
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
    match tracked.as_slice() {
        [] => join(parts, rows).map(Some),
        // the gradient of a row that all share would be a sum
        [one] if row_count(parts[*one]) == rows => {
            let own = parts[*one];
            let first = parts[..*one].iter().map(|part| columns(part)).sum();
            let shape = own.dims().to_vec();
            let back = move |cotangent: &Tensor| take_columns(cotangent, first, &shape);
            attached(own, &join(parts, rows)?, back).map(Some)
        }
        _ => Ok(None),
    }
}

fn row_count(part: &Tensor) -> usize {
    part.dims()[part.rank() - 2]
}

fn columns(part: &Tensor) -> usize {
    part.elem_count() / row_count(part).max(1)
}

fn join(parts: &[&Tensor], rows: usize) -> Result<Tensor> {
    let total: usize = parts.iter().map(|part| columns(part)).sum();
    let held: Vec<Tensor> = parts
        .iter()
        .map(|part| part.detach().contiguous())
        .collect::<Result<_>>()?;
    let mut all = Parts([Part::default(); MOST]);
    for (to, part) in all.0.iter_mut().zip(&held) {
        let (own_rows, width) = (row_count(part), count(part.dim(D::Minus1)?)?);
        *to = Part {
            values: address(part)?,
            columns: count(columns(part))?,
            width,
            per: count(rows / own_rows.max(1))?,
            matrix_stride: count(own_rows)? * width,
        };
    }
    filled(held[0].device(), (rows, total), |device, out| {
        let (n, total) = (count(rows * total)?, count(total)?);
        launch!(device, COLUMNS, "join_columns", elements(n); &all, out, &total, &n);
        Ok(())
    })
}

/// A part of joined rows.
pub(super) fn take_columns(joined: &Tensor, first: usize, shape: &[usize]) -> Result<Tensor> {
    let joined = joined.contiguous()?;
    let (rows, total) = joined.dims2()?;
    let width = shape[shape.len() - 1];
    filled(joined.device(), shape, |device, out| {
        let (n, from) = (count(shape.iter().product())?, address(&joined)?);
        let [first, width, rows, total] =
            [count(first)?, count(width)?, count(rows)?, count(total)?];
        launch!(device, COLUMNS, "take_columns", elements(n);
            &from, out, &first, &width, &rows, &total, &n);
        Ok(())
    })
}
