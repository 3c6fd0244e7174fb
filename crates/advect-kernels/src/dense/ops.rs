//! The passes of a fused network as candle operations.

use std::sync::Mutex;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::context::Context;
#[cfg(feature = "cuda")]
use super::cuda::{Program as CudaProgram, Saved as CudaSaved, ops as cuda_ops};
use super::net::{Linear, Net};
use super::split::Candidates;
use super::tangents::Tangents;
use super::weights::Rows;
#[cfg(feature = "cuda")]
use crate::cuda::computed;
use crate::error::shape_error;
use crate::mlp::{Activation, Precision};
use crate::params::f32_slice;
use crate::pointwise;

/// A network whose passes are kernels over flat parameters.
pub(crate) trait Fused: Clone + Send + Sync + 'static {
    /// What a forward pass keeps for the backward pass.
    type Saved: Send + Sync + 'static;

    /// The linear layers, from the input to the output.
    fn linears(&self) -> &[Linear];

    /// The activation.
    fn activation(&self) -> Activation;

    /// The same network for the passes on a CUDA device.
    #[cfg(feature = "cuda")]
    fn program(&self) -> CudaProgram;

    /// `y [members, rows, out]` for `rows` rows of every member.
    fn forward(&self, net: &Net, x: Rows, rows: usize, y: &mut [f32]);

    /// As [`Fused::forward`], keeping what [`Fused::backward`] needs.
    fn forward_saving(&self, net: &Net, x: Rows, rows: usize, y: &mut [f32]) -> Self::Saved;

    /// Gradients of `sum(cotangent * y)`.
    fn backward(
        &self,
        net: &Net,
        x: Rows,
        rows: usize,
        saved: &Self::Saved,
        cotangent: &[f32],
        wanted: Wanted,
    ) -> Gradients;

    /// `y_dot [members, rows, out]` for tangents `x_dot` of the input `x`.
    fn pushforward(
        &self,
        net: &Net,
        x: Rows,
        x_dot: Rows,
        rows: usize,
        saved: &Self::Saved,
        y_dot: &mut [f32],
    );

    /// `y [members, states, per_state, out]`.
    fn forward_shared(&self, net: &Net, input: Candidates, precision: Precision, y: &mut [f32]);

    /// `y [rows, out]` and `y_dot [rows, per_row, out]` for `x [rows, in]`.
    fn jvp(
        &self,
        net: &Net,
        x: &[f32],
        rows: usize,
        tangents: Tangents,
        y: &mut [f32],
        y_dot: &mut [f32],
    );
}

/// Which gradients are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub params: bool,
    pub x: bool,
}

/// Gradients of `sum(cotangent * y)`: parameters `[members, P]` and inputs `[members, rows, in]`.
#[derive(Default)]
pub(crate) struct Gradients {
    pub params: Option<Vec<f32>>,
    pub x: Option<Vec<f32>>,
}

/// The network over a CPU tensor of parameters, `[P]` or `[E, P]`.
pub(crate) fn net<'a>(
    fused: &'a impl Fused,
    params: &'a CpuStorage,
    layout: &Layout,
) -> Result<Net<'a>> {
    let members = if layout.dims().len() == 2 {
        layout.dims()[0]
    } else {
        1
    };
    Ok(Net {
        linears: fused.linears(),
        activation: fused.activation(),
        members,
        params: f32_slice(params, layout)?,
    })
}

/// Rows per member and the distance of members of an input `[rows, in]` or `[E, rows, in]`.
pub(super) fn input_rows<'a>(net: &Net, x: &'a [f32], dims: &[usize]) -> (Rows<'a>, usize) {
    let (ld, rows) = (net.input_dim(), dims[dims.len() - 2]);
    let member_stride = if dims.len() == 3 { rows * ld } else { 0 };
    (
        Rows {
            values: x,
            ld,
            member_stride,
        },
        rows,
    )
}

/// `dims` for one network, with the members before them for an ensemble.
pub(super) fn with_members(params: &Layout, dims: &[usize]) -> Shape {
    match params.dims() {
        [members, _] => [&[*members], dims].concat().into(),
        _ => dims.into(),
    }
}

/// `y` of contiguous parameters and rows, differentiable in both.
///
/// # Errors
/// If the operation fails on the device.
pub(crate) fn forward<N: Fused>(network: &N, params: &Tensor, x: &Tensor) -> Result<Tensor> {
    let keep = params.track_op() || x.track_op();
    let op = ForwardOp {
        network: network.clone(),
        keep,
        saved: Mutex::new(None),
    };
    let (params, x) = (params.contiguous()?, x.contiguous()?);
    if keep {
        params.apply_op2(&x, op)
    } else {
        params.apply_op2_no_bwd(&x, &op)
    }
}

/// `y` of many candidates per state, or with a length of step `own + h y`; without gradient.
///
/// # Errors
/// If context and candidates do not make up the network's inputs, or the operation fails on the device.
pub(crate) fn candidates<N: Fused>(
    name: &'static str,
    network: &N,
    params: &Tensor,
    (context, own): (Context<'_>, &Tensor),
    step: Option<f64>,
    precision: Precision,
) -> Result<Tensor> {
    let linears = network.linears();
    context.check(name, own, linears[0].inputs)?;
    let outputs = linears[linears.len() - 1].outputs;
    if step.is_some() && (own.dims().last() != Some(&outputs) || params.rank() != 1) {
        let expected = format!("[B, K, {outputs}], for a single network");
        return Err(shape_error(name, "own", own.dims(), expected));
    }
    let (params, own) = (params.detach().contiguous()?, own.detach().contiguous()?);
    #[cfg(feature = "cuda")]
    if own.device().is_cuda() {
        return candidates_on_cuda(network, &params, (context, &own), step, precision);
    }
    let (context, slot) = context.joined(&own)?;
    let op = SharedOp {
        network,
        slot,
        precision,
    };
    let y = params.apply_op3_no_bwd(&context, &own, &op)?;
    match step {
        Some(h) => pointwise::step(&own, &y, h),
        None => Ok(y),
    }
}

#[cfg(feature = "cuda")]
fn candidates_on_cuda<N: Fused>(
    network: &N,
    params: &Tensor,
    (context, own): (Context<'_>, &Tensor),
    step: Option<f64>,
    precision: Precision,
) -> Result<Tensor> {
    let ((states, per_state, _), program) = (own.dims3()?, network.program());
    let in_kernel = step.filter(|_| program.can_step());
    let in_kernel = in_kernel.map(|h| (own, h as f32));
    let y = computed(params, &context.rows(own)?, |params, x| {
        cuda_ops::rows(&program, params, x, precision, in_kernel)
    })?;
    let members = &y.dims()[..y.rank() - 2];
    let y = y.reshape([members, &[states, per_state, program.outputs()]].concat())?;
    match step {
        Some(h) if in_kernel.is_none() => pointwise::step(own, &y, h),
        _ => Ok(y),
    }
}

/// What a forward pass kept, where it ran.
pub(super) enum Kept<S> {
    Cpu(S),
    #[cfg(feature = "cuda")]
    Cuda(CudaSaved),
}

/// `y` with gradients for parameters and input.
pub(super) struct ForwardOp<N: Fused> {
    pub network: N,
    pub keep: bool,
    pub saved: Mutex<Option<Kept<N::Saved>>>,
}

impl<N: Fused> ForwardOp<N> {
    /// The gradients that are wanted, of untracked parameters and input.
    pub fn backward(
        &self,
        p: &Tensor,
        x: &Tensor,
        cotangent: &Tensor,
        wanted: Wanted,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let saved = self.saved.lock().ok().and_then(|mut slot| slot.take());
        let op = BackwardOp {
            network: &self.network,
            saved: Mutex::new(saved),
            wanted,
        };
        let flat = p.apply_op3_no_bwd(x, &cotangent.contiguous()?, &op)?;
        let mut at = 0;
        let mut part = |is_wanted: bool, like: &Tensor| -> Result<Option<Tensor>> {
            if !is_wanted {
                return Ok(None);
            }
            let gradient = flat.narrow(0, at, like.elem_count())?;
            at += like.elem_count();
            Ok(Some(gradient.reshape(like.shape())?))
        };
        Ok((part(wanted.params, p)?, part(wanted.x, x)?))
    }
}

impl<N: Fused> CustomOp2 for ForwardOp<N> {
    fn name(&self) -> &'static str {
        "fused-forward"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let net = net(&self.network, p, p_l)?;
        let (rows, count) = input_rows(&net, f32_slice(x, x_l)?, x_l.dims());
        let mut y = vec![0.0; net.members * count * net.output_dim()];
        if self.keep {
            let saved = self.network.forward_saving(&net, rows, count, &mut y);
            if let Ok(mut slot) = self.saved.lock() {
                *slot = Some(Kept::Cpu(saved));
            }
        } else {
            self.network.forward(&net, rows, count, &mut y);
        }
        let shape = with_members(p_l, &[count, net.output_dim()]);
        Ok((CpuStorage::F32(y), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        p: &CudaStorage,
        p_l: &Layout,
        x: &CudaStorage,
        x_l: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let program = self.network.program();
        let (y, shape, saved) = cuda_ops::forward(&program, (p, p_l), (x, x_l), self.keep)?;
        if let Ok(mut slot) = self.saved.lock() {
            *slot = saved.map(Kept::Cuda);
        }
        Ok((y, shape))
    }

    fn bwd(
        &self,
        p: &Tensor,
        x: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let wanted = Wanted {
            params: p.track_op(),
            x: x.track_op(),
        };
        self.backward(&p.detach(), &x.detach(), grad, wanted)
    }
}

/// Gradients of the forward pass, parameters then input in one flat tensor.
struct BackwardOp<'a, N: Fused> {
    network: &'a N,
    saved: Mutex<Option<Kept<N::Saved>>>,
    wanted: Wanted,
}

impl<N: Fused> CustomOp3 for BackwardOp<'_, N> {
    fn name(&self) -> &'static str {
        "fused-backward"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
        g: &CpuStorage,
        g_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let net = net(self.network, p, p_l)?;
        let (rows, count) = input_rows(&net, f32_slice(x, x_l)?, x_l.dims());
        let saved = self.saved.lock().ok().and_then(|mut slot| slot.take());
        let saved = match saved {
            Some(Kept::Cpu(saved)) => saved,
            _ => {
                let mut y = vec![0.0; net.members * count * net.output_dim()];
                self.network.forward_saving(&net, rows, count, &mut y)
            }
        };
        let cotangent = f32_slice(g, g_l)?;
        let grads = self
            .network
            .backward(&net, rows, count, &saved, cotangent, self.wanted);
        let mut flat = grads.params.unwrap_or_default();
        if let Some(x) = grads.x {
            let shared = net.members > 1 && rows.member_stride == 0;
            flat.extend(if shared {
                sum_members(&x, net.members)
            } else {
                x
            });
        }
        let len = flat.len();
        Ok((CpuStorage::F32(flat), len.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        p: &CudaStorage,
        p_l: &Layout,
        x: &CudaStorage,
        x_l: &Layout,
        g: &CudaStorage,
        g_l: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let saved = match self.saved.lock().ok().and_then(|mut slot| slot.take()) {
            Some(Kept::Cuda(saved)) => Some(saved),
            _ => None,
        };
        let program = self.network.program();
        let (p, x, g) = ((p, p_l), (x, x_l), (g, g_l));
        cuda_ops::backward(&program, p, x, g, saved, self.wanted)
    }
}

/// `[E, n] -> [n]`, members added in order.
fn sum_members(values: &[f32], members: usize) -> Vec<f32> {
    let len = values.len() / members;
    let mut sum = values[..len].to_vec();
    for member in values[len..].chunks_exact(len) {
        sum.iter_mut().zip(member).for_each(|(s, v)| *s += v);
    }
    sum
}

/// Candidates of many states, see [`candidates`].
struct SharedOp<'a, N> {
    network: &'a N,
    slot: usize,
    precision: Precision,
}

impl<N: Fused> CustomOp3 for SharedOp<'_, N> {
    fn name(&self) -> &'static str {
        "fused-forward-shared"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        c: &CpuStorage,
        c_l: &Layout,
        o: &CpuStorage,
        o_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let net = net(self.network, p, p_l)?;
        let (states, per_state, width) = o_l.shape().dims3()?;
        let (context, own) = (f32_slice(c, c_l)?, f32_slice(o, o_l)?);
        let outputs = net.output_dim();
        let mut y = vec![0.0; net.members * states * per_state * outputs];
        let input = Candidates {
            context,
            own,
            states,
            per_state,
            slot: self.slot,
            width,
        };
        self.network
            .forward_shared(&net, input, self.precision, &mut y);
        let shape = with_members(p_l, &[states, per_state, outputs]);
        Ok((CpuStorage::F32(y), shape))
    }
}
