//! Actions of a Gaussian behind a tanh, `a = tanh(u)`, `u = mu + sigma eps`, and their log-density: one pass instead of a dozen operations.
//!
//! `head` is what a network gives: `mu` and the unbounded `log sigma` side by side.

#[cfg(feature = "cuda")]
mod cuda;
mod host;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor};

use crate::error::shape_error;
use crate::params::f32_slice;
use host::Columns;

/// What a pass over coordinates is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// `a` `[B, d]`.
    Action,
    /// `log pi(a)` `[B]`.
    LogProb,
}

/// A Gaussian behind a tanh whose `log sigma` is clipped to these bounds.
///
/// ```
/// use advect_kernels::squashed::Squashed;
/// use candle_core::{Device, Tensor};
/// let gaussian = Squashed { log_std: (-20.0, 2.0) };
/// let head = Tensor::new(&[[0.5f32, 0.0]], &Device::Cpu)?; // mu = 0.5, sigma = 1
/// let eps = Tensor::new(&[[0f32]], &Device::Cpu)?;
/// let (action, log_prob) = gaussian.sample(&head, &eps)?;
/// let slope = 1.0 - 0.5f32.tanh().powi(2);
/// assert!((action.to_vec2::<f32>()?[0][0] - 0.5f32.tanh()).abs() < 1e-6);
/// assert!((log_prob.to_vec1::<f32>()?[0] + 0.918_938_5 + slope.ln()).abs() < 1e-5);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Squashed {
    /// Bounds of `log sigma`.
    pub log_std: (f32, f32),
}

impl Squashed {
    /// `a = tanh(mu + sigma eps)` and
    /// `log pi(a) = sum_i [-eps^2/2 - log sigma - log(2 pi)/2 - 2 (log 2 - u - softplus(-2 u))]`; differentiable in `head`.
    ///
    /// Source: Haarnoja et al., arXiv 1812.05905, appendix C, eq. (21), with `log(1 - tanh(u)^2)` in a form that is stable for any `u`.
    ///
    /// # Shapes
    /// `head` `[B, 2 d]`, `eps` `[B, d]`, f32, to `[B, d]` and `[B]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn sample(&self, head: &Tensor, eps: &Tensor) -> Result<(Tensor, Tensor)> {
        check(head, eps)?;
        let both = head
            .contiguous()?
            .apply_op2(&eps.contiguous()?, Draw(*self))?;
        split(&both, eps)
    }

    /// The gradient in `head` of a loss whose gradients in actions and log-densities are these.
    ///
    /// # Shapes
    /// `action` `[B, d]`, `log_prob` `[B]` to `[B, 2 d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn gradient(
        &self,
        head: &Tensor,
        eps: &Tensor,
        action: &Tensor,
        log_prob: &Tensor,
    ) -> Result<Tensor> {
        check(head, eps)?;
        if action.dims() != eps.dims() || log_prob.dims() != &eps.dims()[..1] {
            let expected = format!("{:?} for eps, and its rows", eps.dims());
            return Err(shape_error("Squashed", "action", action.dims(), expected));
        }
        let [head, eps, action, log_prob] =
            [head, eps, action, log_prob].map(|x| x.detach().contiguous());
        let op = Gradient {
            of: *self,
            log_prob: log_prob?,
        };
        head?.apply_op3_no_bwd(&eps?, &action?, &op)
    }
}

fn check(head: &Tensor, eps: &Tensor) -> Result<()> {
    let fits = match (head.dims(), eps.dims()) {
        ([rows, both], [others, d]) => rows == others && *both == 2 * d,
        _ => false,
    };
    if !fits || [head, eps].iter().any(|x| x.dtype() != DType::F32) {
        let expected = format!("f32 [B, 2 d] for eps {:?}", eps.dims());
        return Err(shape_error("Squashed", "head", head.dims(), expected));
    }
    Ok(())
}

/// Actions `[B, d]` and, behind them, log-densities `[B]`.
fn split(both: &Tensor, eps: &Tensor) -> Result<(Tensor, Tensor)> {
    let (rows, n) = (eps.dims()[0], eps.elem_count());
    let action = both.narrow(0, 0, n)?.reshape(eps.shape())?;
    Ok((action, both.narrow(0, n, rows)?))
}

#[derive(Debug, Clone, Copy)]
struct Draw(Squashed);

impl CustomOp2 for Draw {
    fn name(&self) -> &'static str {
        "squashed"
    }

    fn cpu_fwd(
        &self,
        head: &CpuStorage,
        head_layout: &Layout,
        eps: &CpuStorage,
        eps_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let d = eps_layout.dims()[1];
        let (head, eps) = (f32_slice(head, head_layout)?, f32_slice(eps, eps_layout)?);
        let columns = Columns::of(head, eps, d, self.0.log_std);
        let mut values = columns.actions();
        let terms = columns.log_probs();
        let rows = terms.chunks_exact(d.max(1));
        values.extend(rows.map(|row| row.iter().sum::<f32>()));
        let len = values.len();
        Ok((CpuStorage::F32(values), Shape::from(len)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        head: &CudaStorage,
        head_layout: &Layout,
        eps: &CudaStorage,
        eps_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::sample(self.0, (head, head_layout), (eps, eps_layout))
    }

    fn bwd(
        &self,
        head: &Tensor,
        eps: &Tensor,
        _: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (action, log_prob) = split(upstream, eps)?;
        let gradient = self.0.gradient(head, eps, &action, &log_prob)?;
        Ok((Some(gradient), None))
    }
}

/// The gradient in `head` from those in actions and log-densities.
struct Gradient {
    of: Squashed,
    log_prob: Tensor,
}

impl CustomOp3 for Gradient {
    fn name(&self) -> &'static str {
        "squashed-gradient"
    }

    fn cpu_fwd(
        &self,
        head: &CpuStorage,
        head_layout: &Layout,
        eps: &CpuStorage,
        eps_layout: &Layout,
        action: &CpuStorage,
        action_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (head, eps) = (f32_slice(head, head_layout)?, f32_slice(eps, eps_layout)?);
        let d = eps_layout.dims()[1];
        let columns = Columns::of(head, eps, d, self.of.log_std);
        let action = f32_slice(action, action_layout)?.to_vec();
        let log_prob = self.log_prob.to_vec1::<f32>()?;
        let spread = log_prob.iter().flat_map(|x| std::iter::repeat_n(*x, d));
        let mut out = columns.derivatives(What::Action, action);
        let of_density = columns.derivatives(What::LogProb, spread.collect());
        out.iter_mut().zip(of_density).for_each(|(x, y)| *x += y);
        Ok((CpuStorage::F32(out), head_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        head: &CudaStorage,
        head_layout: &Layout,
        eps: &CudaStorage,
        eps_layout: &Layout,
        action: &CudaStorage,
        action_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let action = (action, action_layout);
        let (head, eps) = ((head, head_layout), (eps, eps_layout));
        cuda::gradient(self.of, head, eps, action, &self.log_prob)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    const GAUSSIAN: Squashed = Squashed {
        log_std: (-3.0, 1.0),
    };

    /// `mu` and `log sigma`, the last one out of its bounds.
    fn head() -> Result<Tensor> {
        let rows = [[0.3f32, -1.2, -0.5, 0.7], [2.5, 0.0, -2.0, 1.6]];
        Tensor::new(&rows, &Device::Cpu)
    }

    fn eps() -> Result<Tensor> {
        Tensor::new(&[[0.4f32, -1.5], [1.1, -0.2]], &Device::Cpu)
    }

    /// The same in f64 by the definitions.
    fn reference(head: &[f32], eps: &[f32]) -> (Vec<f64>, f64) {
        let mut actions = Vec::new();
        let mut log_prob = 0.0;
        for (i, eps) in eps.iter().map(|e| f64::from(*e)).enumerate() {
            let log_std = f64::from(head[2 + i]).clamp(-3.0, 1.0);
            let u = f64::from(head[i]) + log_std.exp() * eps;
            actions.push(u.tanh());
            log_prob += -0.5 * eps * eps - log_std - 0.5 * (2.0 * std::f64::consts::PI).ln();
            log_prob -= (1.0 - u.tanh().powi(2)).ln();
        }
        (actions, log_prob)
    }

    #[test]
    fn actions_and_densities_are_those_of_the_definitions() -> Result<()> {
        let (head, eps) = (head()?, eps()?);
        let (action, log_prob) = GAUSSIAN.sample(&head, &eps)?;
        let actions = action.to_vec2::<f32>()?;
        let log_prob = log_prob.to_vec1::<f32>()?;
        let (head, eps) = (head.to_vec2::<f32>()?, eps.to_vec2::<f32>()?);
        for row in 0..2 {
            let (expected, density) = reference(&head[row], &eps[row]);
            for (found, expected) in actions[row].iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-6);
            }
            let found = f64::from(log_prob[row]);
            assert!((found - density).abs() < 1e-5, "{found} and {density}");
        }
        Ok(())
    }

    #[test]
    fn gradients_are_those_of_differences() -> Result<()> {
        let (values, eps) = (head()?.flatten_all()?.to_vec1::<f32>()?, eps()?);
        let weight = Tensor::new(&[[0.7f32, -0.3], [1.3, 0.2]], &Device::Cpu)?;
        let loss = |head: &Tensor| -> Result<Tensor> {
            let (action, log_prob) = GAUSSIAN.sample(head, &eps)?;
            let log_prob = (log_prob * weight.narrow(1, 0, 1)?.squeeze(1)?)?;
            (action * &weight)?.sum_all()? + log_prob.sum_all()?
        };
        let var = Var::from_tensor(&head()?)?;
        let gradients = loss(var.as_tensor())?.backward()?;
        let missing = || candle_core::Error::Msg("no gradient".into());
        let found = gradients.get(&var).ok_or_else(missing)?;
        let found = found.flatten_all()?.to_vec1::<f32>()?;
        for (i, found) in found.iter().enumerate() {
            let at = |shift: f32| -> Result<f64> {
                let mut moved = values.clone();
                moved[i] += shift;
                let head = Tensor::from_vec(moved, (2, 4), &Device::Cpu)?;
                Ok(f64::from(loss(&head)?.to_scalar::<f32>()?))
            };
            let expected = (at(1e-2)? - at(-1e-2)?) / 2e-2;
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error < 2e-3 * expected.abs().max(1.0),
                "{i}: {found} and {expected}"
            );
        }
        assert_eq!(found[7], 0.0, "a clipped deviation has no gradient");
        Ok(())
    }

    #[test]
    fn a_head_of_another_width_is_refused() -> Result<()> {
        let error = GAUSSIAN.sample(&head()?.narrow(1, 0, 3)?, &eps()?);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`head` has shape [2, 3]"), "{error}");
        Ok(())
    }
}
