//! The operations of `dense::ops` on tensors of a CUDA device.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::{Layout, Result, Shape, Tensor};

use super::rows::{sum_members, unit_tangents};
use super::{Input, Pass, Program, Saved, TrackedSaved};
use crate::cuda::{Buffer, View, address, buffer, view};
use crate::dense::ops::{Wanted, with_members};
use crate::mlp::Precision;

/// A tensor: values and layout.
pub(crate) type On<'a> = (&'a CudaStorage, &'a Layout);

/// The network over its parameters, `[P]` or `[E, P]`.
fn pass<'a>(program: &'a Program, (params, layout): On<'a>) -> Result<Pass<'a>> {
    Ok(Pass {
        device: params.device(),
        program,
        params: view(params, layout)?,
        members: match layout.dims() {
            [members, _] => *members,
            _ => 1,
        },
        precision: Precision::F32,
        step: None,
    })
}

/// Rows `[rows, in]` or `[E, rows, in]`.
fn input<'a>((x, layout): On<'a>) -> Result<Input<'a>> {
    let dims = layout.dims();
    Ok(Input {
        values: view(x, layout)?,
        rows: dims[dims.len() - 2],
        per_member: dims.len() == 3,
    })
}

fn stored(values: Buffer, device: &CudaDevice) -> CudaStorage {
    CudaStorage::wrap_cuda_slice(values, device.clone())
}

/// The buffer itself, or a copy where something else still needs it.
fn owned(values: Arc<Buffer>) -> Buffer {
    Arc::try_unwrap(values).unwrap_or_else(|shared| (*shared).clone())
}

/// Several buffers behind one another.
fn joined(device: &CudaDevice, parts: &[&Buffer]) -> Result<Buffer> {
    let len = parts.iter().map(|part| part.len()).sum();
    let (mut all, mut at) = (buffer(device, len)?, 0);
    for part in parts {
        let to = &mut all.slice_mut(at..at + part.len());
        device.memcpy_dtod(*part, to)?;
        at += part.len();
    }
    Ok(all)
}

/// `y`, and what the backward pass needs where there will be one.
pub(crate) fn forward(
    program: &Program,
    p: On,
    x: On,
    keep: bool,
) -> Result<(CudaStorage, Shape, Option<Saved>)> {
    let (pass, input) = (pass(program, p)?, input(x)?);
    let (y, saved) = match keep {
        true => pass.forward(&input).map(|(y, saved)| (y, Some(saved)))?,
        false => (pass.value(&input)?, None),
    };
    let shape = with_members(p.1, &[input.rows, program.outputs()]);
    Ok((stored(owned(y), pass.device), shape, saved))
}

/// Gradients for parameters and input, those that are wanted, in one flat tensor.
pub(crate) fn backward(
    program: &Program,
    p: On,
    x: On,
    cotangent: On,
    saved: Option<Saved>,
    wanted: Wanted,
) -> Result<(CudaStorage, Shape)> {
    let (pass, input) = (pass(program, p)?, input(x)?);
    let saved = match saved {
        Some(saved) => saved,
        None => pass.forward(&input)?.1,
    };
    let found = pass.backward(&input, &saved, view(cotangent.0, cotangent.1)?, wanted)?;
    let x = match &found.x {
        Some(x) if pass.members > 1 && !input.per_member => {
            Some(Arc::new(sum_members(pass.device, x, pass.members)?))
        }
        _ => found.x,
    };
    let flat = match (found.params, x) {
        (Some(params), None) => params,
        (None, Some(x)) => owned(x),
        (params, x) => {
            let parts: Vec<&Buffer> = params.iter().chain(x.as_deref()).collect();
            joined(pass.device, &parts)?
        }
    };
    let len = flat.len();
    Ok((stored(flat, pass.device), len.into()))
}

/// `y` of rows, or a step from `own` along them, without gradient.
pub(crate) fn rows(
    program: &Program,
    p: On,
    x: On,
    precision: Precision,
    step: Option<(&Tensor, f32)>,
) -> Result<(CudaStorage, Shape)> {
    let (mut pass, input) = (pass(program, p)?, input(x)?);
    pass.precision = precision;
    pass.step = match step {
        Some((own, h)) => Some((address(own)?, h)),
        None => None,
    };
    let y = pass.value(&input)?;
    let shape = with_members(p.1, &[input.rows, program.outputs()]);
    Ok((stored(owned(y), pass.device), shape))
}

/// `y [rows, out]` and, behind it, `y_dot [rows, per_row, out]`.
fn with_tangents(pass: &Pass, x: &Input, tangents: View, per_row: usize) -> Result<Buffer> {
    let (y, saved) = pass.forward(x)?;
    let tangents = Input {
        values: tangents,
        rows: x.rows * per_row,
        per_member: false,
    };
    let y_dot = pass.tangent(&saved, &tangents)?;
    joined(pass.device, &[&y, &y_dot])
}

/// `y_dot [members, rows, out]` for one tangent per row.
pub(crate) fn pushforward(
    program: &Program,
    p: On,
    x: On,
    x_dot: On,
    saved: Option<&Saved>,
) -> Result<(CudaStorage, Shape)> {
    let (pass, tangents) = (pass(program, p)?, input(x_dot)?);
    let y_dot = match saved {
        Some(saved) => pass.tangent(saved, &tangents)?,
        None => pass.tangent(&pass.forward(&input(x)?)?.1, &tangents)?,
    };
    let shape = with_members(p.1, &[tangents.rows, program.outputs()]);
    Ok((stored(owned(y_dot), pass.device), shape))
}

/// `[2, .., out]`, outputs and behind them their tangents, of `[2, .., in]`, and what the backward pass needs.
pub(crate) fn forward_with_tangent(
    program: &Program,
    p: On,
    both: On,
) -> Result<(CudaStorage, Shape, Saved)> {
    let (pass, mut dims) = (pass(program, p)?, both.1.dims().to_vec());
    let rank = dims.len();
    let (y, saved) = pass.both(view(both.0, both.1)?, dims[rank - 2])?;
    dims[rank - 1] = program.outputs();
    Ok((stored(y, pass.device), dims.into(), saved))
}

/// `[y, y_dot]` for one tangent per row.
pub(crate) fn jvp(program: &Program, p: On, x: On, t: On) -> Result<(CudaStorage, Shape)> {
    let (pass, input) = (pass(program, p)?, input(x)?);
    let both = with_tangents(&pass, &input, view(t.0, t.1)?, 1)?;
    let shape = (2, input.rows, program.outputs());
    Ok((stored(both, pass.device), shape.into()))
}

/// `y`, then the derivatives along the input columns `slot..slot + width`, in one flat tensor.
pub(crate) fn jacobian(
    program: &Program,
    p: On,
    x: On,
    (slot, width): (usize, usize),
) -> Result<(CudaStorage, Shape)> {
    let (pass, input) = (pass(program, p)?, input(x)?);
    let units = unit_tangents(pass.device, input.rows, program.inputs(), (slot, width))?;
    let both = with_tangents(&pass, &input, units.as_view(), width)?;
    let len = (1 + width) * input.rows * program.outputs();
    Ok((stored(both, pass.device), len.into()))
}

/// Primal and tangent rows of a tracked pass.
fn both_rows<'a>((x, layout): On<'a>) -> Result<Input<'a>> {
    Ok(Input {
        values: view(x, layout)?,
        rows: 2 * layout.dims()[1],
        per_member: false,
    })
}

/// `[2, rows, out]` of `[2, rows, in]`, and what the backward pass needs.
pub(crate) fn tracked_forward(
    program: &Program,
    p: On,
    x: On,
) -> Result<(CudaStorage, Shape, TrackedSaved)> {
    let (pass, both) = (pass(program, p)?, both_rows(x)?);
    let (y, saved) = pass.tracked_forward(&both)?;
    let shape = (2, both.rows / 2, program.outputs());
    Ok((stored(y, pass.device), shape.into(), saved))
}

/// Gradients for parameters and `[2, rows, in]`, in one flat tensor.
pub(crate) fn tracked_backward(
    program: &Program,
    p: On,
    x: On,
    cotangent: On,
    saved: Option<TrackedSaved>,
) -> Result<(CudaStorage, Shape)> {
    let (pass, both) = (pass(program, p)?, both_rows(x)?);
    let saved = match saved {
        Some(saved) => saved,
        None => pass.tracked_forward(&both)?.1,
    };
    let found = pass.tracked_backward(&both, &saved, view(cotangent.0, cotangent.1)?)?;
    let parts: Vec<&Buffer> = found.params.iter().chain(found.x.as_deref()).collect();
    let flat = joined(pass.device, &parts)?;
    let len = flat.len();
    Ok((stored(flat, pass.device), len.into()))
}
