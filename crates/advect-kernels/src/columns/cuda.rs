//! The same on a CUDA device.
#![allow(unsafe_code)] // an argument that kernels take by value

use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{D, DType, Result, Tensor};

use crate::attached;
use crate::cuda::{Module, address, count, elements, filled, launch};
use crate::error::shape_error;

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

/// Blocks of one launch.
const MOST_BLOCKS: usize = 2;

#[repr(C)]
#[derive(Clone, Copy)]
struct Blocks([[Part; MOST]; MOST_BLOCKS]);

// SAFETY: integers in C's layout, as wide as what the kernel declares.
unsafe impl DeviceRepr for Blocks {}

/// Whether a launch takes these parts.
fn fit(parts: &[&Tensor]) -> bool {
    let plain = |part: &&Tensor| part.device().is_cuda() && part.dtype() == DType::F32;
    (1..=MOST).contains(&parts.len()) && parts.iter().all(plain)
}

/// The parts in one launch, or nothing for those of another device, too many of them, or gradients for several.
pub(super) fn side_by_side(parts: &[&Tensor], rows: usize) -> Result<Option<Tensor>> {
    if !fit(parts) || rows == 0 {
        return Ok(None);
    }
    let tracked: Vec<usize> = (0..parts.len()).filter(|i| parts[*i].track_op()).collect();
    match tracked.as_slice() {
        [] => join(&[parts], rows).map(Some),
        // the gradient of a row that all share would be a sum
        [one] if row_count(parts[*one]) == rows => {
            let own = parts[*one];
            let first = parts[..*one].iter().map(|part| columns(part)).sum();
            let shape = own.dims().to_vec();
            let back = move |cotangent: &Tensor| take_columns(cotangent, first, &shape);
            attached(own, &join(&[parts], rows)?, back).map(Some)
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

/// Blocks of as many columns above one another, in one launch, or nothing as in [`side_by_side`].
pub(super) fn stacked(blocks: [&[&Tensor]; 2], rows: usize) -> Result<Option<Tensor>> {
    if !blocks.iter().all(|parts| fit(parts)) || rows == 0 {
        return Ok(None);
    }
    let joined = join(&blocks, rows)?;
    let total = joined.dim(1)?;
    joined.reshape((2, rows, total)).map(Some)
}

/// Rows of each block below those of the one before.
fn join(blocks: &[&[&Tensor]], rows: usize) -> Result<Tensor> {
    let widths: Vec<usize> = blocks
        .iter()
        .map(|parts| parts.iter().map(|part| columns(part)).sum())
        .collect();
    let total = widths[0];
    if let Some(other) = widths.iter().find(|width| **width != total) {
        let expected = format!("{total} columns, as in the other block");
        return Err(shape_error("stacked", "parts", &[rows, *other], expected));
    }
    let mut all = Blocks([[Part::default(); MOST]; MOST_BLOCKS]);
    let mut held = Vec::new();
    for (to, parts) in all.0.iter_mut().zip(blocks) {
        for (to, part) in to.iter_mut().zip(*parts) {
            let part = part.detach().contiguous()?;
            *to = Part::of(&part, rows)?;
            held.push(part);
        }
    }
    filled(
        held[0].device(),
        (blocks.len() * rows, total),
        |device, out| {
            let (n, total) = (count(blocks.len() * rows * total)?, count(total)?);
            let rows = count(rows)?;
            launch!(device, COLUMNS, "join_columns", elements(n); &all, out, &rows, &total, &n);
            Ok(())
        },
    )
}

impl Part {
    /// Of a contiguous tensor among that many rows.
    fn of(part: &Tensor, rows: usize) -> Result<Self> {
        let (own_rows, width) = (row_count(part), count(part.dim(D::Minus1)?)?);
        Ok(Self {
            values: address(part)?,
            columns: count(columns(part))?,
            width,
            per: count(rows / own_rows.max(1))?,
            matrix_stride: count(own_rows)? * width,
        })
    }
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
