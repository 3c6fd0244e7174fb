//! The kernels as candle operations.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::backward::{Wanted, backward};
use super::forward::{Rows, Saved, forward, forward_saving};
use super::net::Net;
use super::shared::{Candidates, forward_shared};
use super::tangent::{Tangents, jvp};
use super::{Mlp, Precision, tracked_tangent};
use crate::params::f32_slice;

/// The network over a CPU tensor of parameters, `[P]` or `[E, P]`.
fn net<'a>(mlp: &'a Mlp, params: &'a CpuStorage, layout: &Layout) -> Result<Net<'a>> {
    let members = if layout.dims().len() == 2 {
        layout.dims()[0]
    } else {
        1
    };
    Ok(Net {
        mlp,
        members,
        params: f32_slice(params, layout)?,
    })
}

/// Rows per member and the distance of members of an input `[rows, in]` or `[E, rows, in]`.
fn input_rows<'a>(mlp: &Mlp, x: &'a [f32], dims: &[usize]) -> (Rows<'a>, usize) {
    let (ld, rows) = (mlp.input_dim(), dims[dims.len() - 2]);
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

fn output_shape(mlp: &Mlp, params: &Layout, rows: usize) -> Shape {
    match params.dims() {
        [members, _] => (*members, rows, mlp.output_dim()).into(),
        _ => (rows, mlp.output_dim()).into(),
    }
}

/// `y = MLP(x)` with gradients for parameters and input.
pub(super) struct ForwardOp {
    pub mlp: Mlp,
    pub keep: bool,
    pub saved: Mutex<Option<Saved>>,
}

impl CustomOp2 for ForwardOp {
    fn name(&self) -> &'static str {
        "mlp-forward"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let net = net(&self.mlp, p, p_l)?;
        let (rows, count) = input_rows(&self.mlp, f32_slice(x, x_l)?, x_l.dims());
        let mut y = vec![0.0; net.members * count * self.mlp.output_dim()];
        if self.keep {
            let saved = forward_saving(&net, rows, count, &mut y);
            if let Ok(mut slot) = self.saved.lock() {
                *slot = Some(saved);
            }
        } else {
            forward(&net, rows, count, &mut y);
        }
        Ok((CpuStorage::F32(y), output_shape(&self.mlp, p_l, count)))
    }

    fn bwd(
        &self,
        p: &Tensor,
        x: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let saved = self.saved.lock().ok().and_then(|mut slot| slot.take());
        let wanted = Wanted {
            params: p.track_op(),
            x: x.track_op(),
        };
        let op = BackwardOp {
            mlp: self.mlp.clone(),
            saved: Mutex::new(saved),
            wanted,
        };
        let flat = p
            .detach()
            .apply_op3_no_bwd(&x.detach(), &grad.contiguous()?, &op)?;
        let (at, params) = if wanted.params {
            let len = p.elem_count();
            (len, Some(flat.narrow(0, 0, len)?.reshape(p.shape())?))
        } else {
            (0, None)
        };
        let x = if wanted.x {
            Some(flat.narrow(0, at, x.elem_count())?.reshape(x.shape())?)
        } else {
            None
        };
        Ok((params, x))
    }
}

/// Gradients of the forward pass, parameters then input in one flat tensor.
struct BackwardOp {
    mlp: Mlp,
    saved: Mutex<Option<Saved>>,
    wanted: Wanted,
}

impl CustomOp3 for BackwardOp {
    fn name(&self) -> &'static str {
        "mlp-backward"
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
        let net = net(&self.mlp, p, p_l)?;
        let (rows, count) = input_rows(&self.mlp, f32_slice(x, x_l)?, x_l.dims());
        let saved = self.saved.lock().ok().and_then(|mut slot| slot.take());
        let saved = saved.unwrap_or_else(|| {
            let mut y = vec![0.0; net.members * count * self.mlp.output_dim()];
            forward_saving(&net, rows, count, &mut y)
        });
        let grads = backward(&net, rows, count, &saved, f32_slice(g, g_l)?, self.wanted);
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

/// Candidates of many states, see [`Mlp::forward_shared`].
pub(super) struct SharedOp<'a> {
    pub mlp: &'a Mlp,
    pub slot: usize,
    pub precision: Precision,
}

impl CustomOp3 for SharedOp<'_> {
    fn name(&self) -> &'static str {
        "mlp-forward-shared"
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
        let net = net(self.mlp, p, p_l)?;
        let (states, per_state, width) = o_l.shape().dims3()?;
        let (context, own) = (f32_slice(c, c_l)?, f32_slice(o, o_l)?);
        let outputs = self.mlp.output_dim();
        let mut y = vec![0.0; net.members * states * per_state * outputs];
        let input = Candidates {
            context,
            own,
            states,
            per_state,
            slot: self.slot,
            width,
        };
        forward_shared(&net, input, self.precision, &mut y);
        let shape: Shape = match p_l.dims() {
            [members, _] => (*members, states, per_state, outputs).into(),
            _ => (states, per_state, outputs).into(),
        };
        Ok((CpuStorage::F32(y), shape))
    }
}

/// `[y, y_dot]` one after the other for one given tangent per row.
pub(super) struct JvpOp<'a> {
    pub mlp: &'a Mlp,
}

impl CustomOp3 for JvpOp<'_> {
    fn name(&self) -> &'static str {
        "mlp-jvp"
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
        let net = net(self.mlp, p, p_l)?;
        let (rows, outputs) = (x_l.dims()[0], self.mlp.output_dim());
        let mut both = vec![0.0; 2 * rows * outputs];
        let (y, y_dot) = both.split_at_mut(rows * outputs);
        let tangents = Tangents::Given {
            values: f32_slice(t, t_l)?,
            per_row: 1,
        };
        jvp(&net, f32_slice(x, x_l)?, rows, tangents, y, y_dot);
        Ok((CpuStorage::F32(both), (2, rows, outputs).into()))
    }
}

/// `[y, J columns]`: row `0` is `y`, row `1 + j` the derivative along input column `slot + j`; `[rows, 1 + width, out]`
/// in two flat parts.
pub(super) struct JacobianOp<'a> {
    pub mlp: &'a Mlp,
    pub slot: usize,
    pub width: usize,
}

impl CustomOp2 for JacobianOp<'_> {
    fn name(&self) -> &'static str {
        "mlp-jacobian"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let net = net(self.mlp, p, p_l)?;
        let (rows, outputs) = (x_l.dims()[0], self.mlp.output_dim());
        let mut both = vec![0.0; (1 + self.width) * rows * outputs];
        let (y, columns) = both.split_at_mut(rows * outputs);
        let tangents = Tangents::Units {
            slot: self.slot,
            width: self.width,
        };
        jvp(&net, f32_slice(x, x_l)?, rows, tangents, y, columns);
        let len = both.len();
        Ok((CpuStorage::F32(both), len.into()))
    }
}

/// As [`JvpOp`] with gradients: the input is `[2, rows, in]`, the output `[2, rows, out]`.
pub(super) struct TrackedJvpOp {
    pub mlp: Mlp,
    pub saved: Mutex<Option<tracked_tangent::Saved>>,
}

impl CustomOp2 for TrackedJvpOp {
    fn name(&self) -> &'static str {
        "mlp-jvp-tracked"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let net = net(&self.mlp, p, p_l)?;
        let (rows, outputs) = (x_l.dims()[1], self.mlp.output_dim());
        let mut both = vec![0.0; 2 * rows * outputs];
        let saved = tracked_tangent::forward(&net, f32_slice(x, x_l)?, rows, &mut both);
        if let Ok(mut slot) = self.saved.lock() {
            *slot = Some(saved);
        }
        Ok((CpuStorage::F32(both), (2, rows, outputs).into()))
    }

    fn bwd(
        &self,
        p: &Tensor,
        x: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let op = TrackedJvpBackward { forward: self };
        let flat = p
            .detach()
            .apply_op3_no_bwd(&x.detach(), &grad.contiguous()?, &op)?;
        let params = flat.narrow(0, 0, p.elem_count())?.reshape(p.shape())?;
        let x = flat
            .narrow(0, p.elem_count(), x.elem_count())?
            .reshape(x.shape())?;
        Ok((Some(params), Some(x)))
    }
}

struct TrackedJvpBackward<'a> {
    forward: &'a TrackedJvpOp,
}

impl CustomOp3 for TrackedJvpBackward<'_> {
    fn name(&self) -> &'static str {
        "mlp-jvp-tracked-backward"
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
        let mlp = &self.forward.mlp;
        let net = net(mlp, p, p_l)?;
        let rows = x_l.dims()[1];
        let saved = self
            .forward
            .saved
            .lock()
            .ok()
            .and_then(|mut slot| slot.take());
        let saved = match saved {
            Some(saved) => saved,
            None => {
                let mut both = vec![0.0; 2 * rows * mlp.output_dim()];
                tracked_tangent::forward(&net, f32_slice(x, x_l)?, rows, &mut both)
            }
        };
        let grads = tracked_tangent::backward(&net, rows, &saved, f32_slice(g, g_l)?);
        let flat = [grads.params, grads.x, grads.tangent].concat();
        let len = flat.len();
        Ok((CpuStorage::F32(flat), len.into()))
    }
}
