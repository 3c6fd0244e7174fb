//! Forward-mode derivatives of a fused network as candle operations.

#[cfg(feature = "cuda")]
use std::sync::Mutex;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

#[cfg(feature = "cuda")]
use super::cuda::ops as cuda_ops;
use super::ops::{ForwardOp, Fused, Kept, input_rows, net, with_members};
use super::pullback::{Pullback, forward_with_pullback};
use super::tangents::Tangents;
#[cfg(feature = "cuda")]
use crate::cuda::computed;
use crate::error::shape_error;
use crate::params::f32_slice;

/// `(y, y_dot)`, both `[B, out]`, without gradient.
///
/// # Errors
/// If the operation fails on the device.
pub(crate) fn jvp<N: Fused>(
    network: &N,
    params: &Tensor,
    x: &Tensor,
    tangent: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let (x, tangent) = (x.detach().contiguous()?, tangent.detach().contiguous()?);
    let params = params.detach().contiguous()?;
    let both = params.apply_op3_no_bwd(&x, &tangent, &JvpOp { network })?;
    Ok((both.get(0)?, both.get(1)?))
}

/// `y [B, out]` and the Jacobian `[B, out, width]` of the input columns `slot..slot + width`, without gradient.
///
/// # Errors
/// If the columns are not the input's, or the operation fails on the device.
pub(crate) fn jacobian<N: Fused>(
    name: &'static str,
    network: &N,
    params: &Tensor,
    x: &Tensor,
    slot: usize,
    width: usize,
) -> Result<(Tensor, Tensor)> {
    let (rows, inputs) = x.dims2()?;
    if width == 0 || slot + width > inputs {
        let expected = format!("input columns that hold {slot}..{}", slot + width);
        return Err(shape_error(name, "x", x.dims(), expected));
    }
    let op = JacobianOp {
        network,
        slot,
        width,
    };
    let params = params.detach().contiguous()?;
    let flat = params.apply_op2_no_bwd(&x.detach().contiguous()?, &op)?;
    let outputs = flat.elem_count() / (rows * (1 + width)).max(1);
    let y = flat
        .narrow(0, 0, rows * outputs)?
        .reshape((rows, outputs))?;
    let columns = flat
        .narrow(0, rows * outputs, rows * width * outputs)?
        .reshape((rows, width, outputs))?;
    Ok((y, columns.transpose(1, 2)?.contiguous()?))
}

/// The derivative of the output of `forward` along `x_dot`, by what the forward pass kept, which stays for a backward pass.
///
/// # Errors
/// If the operation fails on the device.
pub(super) fn pushforward<N: Fused>(
    forward: &ForwardOp<N>,
    params: &Tensor,
    x: &Tensor,
    x_dot: &Tensor,
) -> Result<Tensor> {
    params.apply_op3_no_bwd(x, &x_dot.contiguous()?, &PushOp { forward })
}

/// `y`, `y_dot` and the pullback of one pass over inputs and, behind them, their tangents: `[2, .., in]`.
///
/// # Errors
/// If the operation fails on the device.
pub(crate) fn forward_with_tangent<N: Fused>(
    network: &N,
    params: &Tensor,
    both: &Tensor,
) -> Result<(Tensor, Tensor, Pullback)> {
    #[cfg(feature = "cuda")]
    if both.device().is_cuda() && network.program().is_plain() {
        let (params, both) = (params.detach().contiguous()?, both.detach().contiguous()?);
        let mut kept = None;
        let found = computed(&params, &both, |params, both| {
            let program = network.program();
            let (found, shape, saved) = cuda_ops::forward_with_tangent(&program, params, both)?;
            kept = Some(Kept::Cuda(saved));
            Ok((found, shape))
        })?;
        let op = ForwardOp {
            network: network.clone(),
            keep: true,
            saved: Mutex::new(kept),
        };
        let (y, y_dot) = (found.get(0)?, found.get(1)?);
        let pullback = Pullback::of(op, params, both.get(0)?, &y);
        return Ok((y, y_dot, pullback));
    }
    let (y, pullback) = forward_with_pullback(network, params, &both.get(0)?)?;
    let y_dot = pullback.pushforward(&both.get(1)?)?;
    Ok((y, y_dot, pullback))
}

/// `[y, y_dot]` one after the other for one given tangent per row.
struct JvpOp<'a, N> {
    network: &'a N,
}

impl<N: Fused> CustomOp3 for JvpOp<'_, N> {
    fn name(&self) -> &'static str {
        "fused-jvp"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
        t: &CpuStorage,
        t_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let net = net(self.network, p, p_l)?;
        let (rows, outputs) = (x_l.dims()[0], net.output_dim());
        let mut both = vec![0.0; 2 * rows * outputs];
        let (y, y_dot) = both.split_at_mut(rows * outputs);
        let tangents = Tangents::Given {
            values: f32_slice(t, t_l)?,
            per_row: 1,
        };
        let x = f32_slice(x, x_l)?;
        self.network.jvp(&net, x, rows, tangents, y, y_dot);
        Ok((CpuStorage::F32(both), (2, rows, outputs).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        p: &CudaStorage,
        p_l: &Layout,
        x: &CudaStorage,
        x_l: &Layout,
        t: &CudaStorage,
        t_l: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda_ops::jvp(&self.network.program(), (p, p_l), (x, x_l), (t, t_l))
    }
}

/// `[y, J columns]`: `[rows, out]`, then `[rows, width, out]` with the derivatives along the input columns
/// `slot..slot + width`, in one flat tensor.
struct JacobianOp<'a, N> {
    network: &'a N,
    slot: usize,
    width: usize,
}

impl<N: Fused> CustomOp2 for JacobianOp<'_, N> {
    fn name(&self) -> &'static str {
        "fused-jacobian"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let net = net(self.network, p, p_l)?;
        let (rows, outputs) = (x_l.dims()[0], net.output_dim());
        let mut both = vec![0.0; (1 + self.width) * rows * outputs];
        let (y, columns) = both.split_at_mut(rows * outputs);
        let tangents = Tangents::Units {
            slot: self.slot,
            width: self.width,
        };
        let x = f32_slice(x, x_l)?;
        self.network.jvp(&net, x, rows, tangents, y, columns);
        let len = both.len();
        Ok((CpuStorage::F32(both), len.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        p: &CudaStorage,
        p_l: &Layout,
        x: &CudaStorage,
        x_l: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let columns = (self.slot, self.width);
        cuda_ops::jacobian(&self.network.program(), (p, p_l), (x, x_l), columns)
    }
}

/// See [`pushforward`].
struct PushOp<'a, N: Fused> {
    forward: &'a ForwardOp<N>,
}

impl<N: Fused> CustomOp3 for PushOp<'_, N> {
    fn name(&self) -> &'static str {
        "fused-pushforward"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
        t: &CpuStorage,
        t_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let network = &self.forward.network;
        let net = net(network, p, p_l)?;
        let (rows, count) = input_rows(&net, f32_slice(x, x_l)?, x_l.dims());
        let (tangents, _) = input_rows(&net, f32_slice(t, t_l)?, t_l.dims());
        let mut y_dot = vec![0.0; net.members * count * net.output_dim()];
        let mut push = |saved: &N::Saved| {
            network.pushforward(&net, rows, tangents, count, saved, &mut y_dot);
        };
        match self.forward.saved.lock().ok().as_deref() {
            Some(Some(Kept::Cpu(saved))) => push(saved),
            _ => {
                let mut y = vec![0.0; net.members * count * net.output_dim()];
                push(&network.forward_saving(&net, rows, count, &mut y));
            }
        }
        let shape = with_members(p_l, &[count, net.output_dim()]);
        Ok((CpuStorage::F32(y_dot), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        p: &CudaStorage,
        p_l: &Layout,
        x: &CudaStorage,
        x_l: &Layout,
        t: &CudaStorage,
        t_l: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let program = self.forward.network.program();
        let (p, x, t) = ((p, p_l), (x, x_l), (t, t_l));
        match self.forward.saved.lock().ok().as_deref() {
            Some(Some(Kept::Cuda(saved))) => cuda_ops::pushforward(&program, p, x, t, Some(saved)),
            _ => cuda_ops::pushforward(&program, p, x, t, None),
        }
    }
}
