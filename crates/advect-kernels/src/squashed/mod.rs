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

/// What is computed of a draw.
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
/// let action = gaussian.action(&head, &eps)?.to_vec2::<f32>()?;
/// assert!((action[0][0] - 0.5f32.tanh()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Squashed {
    /// Bounds of `log sigma`.
    pub log_std: (f32, f32),
}

impl Squashed {
    /// `a = tanh(mu + sigma eps)`; differentiable in `head`.
    ///
    /// # Shapes
    /// `head` `[B, 2 d]`, `eps` `[B, d]`, f32, to `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn action(&self, head: &Tensor, eps: &Tensor) -> Result<Tensor> {
        self.draw(What::Action, head, eps)
    }

    /// `log pi(a) = sum_i [-eps^2/2 - log sigma - log(2 pi)/2 - 2 (log 2 - u - softplus(-2 u))]`; differentiable in `head`.
    ///
    /// Source: Haarnoja et al., arXiv 1812.05905, appendix C, eq. (21), with `log(1 - tanh(u)^2)` in a form that is stable for any `u`.
    ///
    /// # Shapes
    /// `head` `[B, 2 d]`, `eps` `[B, d]`, f32, to `[B]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn log_prob(&self, head: &Tensor, eps: &Tensor) -> Result<Tensor> {
        self.draw(What::LogProb, head, eps)
    }

    fn draw(&self, what: What, head: &Tensor, eps: &Tensor) -> Result<Tensor> {
        let fits = match (head.dims(), eps.dims()) {
            ([rows, both], [others, d]) => rows == others && *both == 2 * d,
            _ => false,
        };
        if !fits || [head, eps].iter().any(|x| x.dtype() != DType::F32) {
            let expected = format!("f32 [B, 2 d] for eps {:?}", eps.dims());
            return Err(shape_error("Squashed", "head", head.dims(), expected));
        }
        let op = Draw {
            what,
            log_std: self.log_std,
        };
        head.contiguous()?.apply_op2(&eps.contiguous()?, op)
    }
}

#[derive(Debug, Clone, Copy)]
struct Draw {
    what: What,
    log_std: (f32, f32),
}

impl Draw {
    fn shape(self, eps: &Layout) -> Shape {
        match (self.what, eps.dims()) {
            (What::LogProb, [rows, ..]) => Shape::from(*rows),
            _ => eps.shape().clone(),
        }
    }
}

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
        let (shape, d) = (self.shape(eps_layout), eps_layout.dims()[1]);
        let (head, eps) = (f32_slice(head, head_layout)?, f32_slice(eps, eps_layout)?);
        let columns = Columns::of(head, eps, d, self.log_std);
        let values = match self.what {
            What::Action => columns.actions(),
            What::LogProb => {
                let terms = columns.log_probs();
                let rows = terms.chunks_exact(d.max(1));
                rows.map(|row| row.iter().sum()).collect()
            }
        };
        Ok((CpuStorage::F32(values), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        head: &CudaStorage,
        head_layout: &Layout,
        eps: &CudaStorage,
        eps_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::draw(*self, (head, head_layout), (eps, eps_layout))
    }

    fn bwd(
        &self,
        head: &Tensor,
        eps: &Tensor,
        _: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (head, eps) = (head.detach(), eps.detach());
        let gradient = head.apply_op3_no_bwd(&eps, &upstream.contiguous()?, &Derivative(*self))?;
        Ok((Some(gradient), None))
    }
}

/// The gradient in `head` from that in the result.
struct Derivative(Draw);

impl CustomOp3 for Derivative {
    fn name(&self) -> &'static str {
        "squashed-derivative"
    }

    fn cpu_fwd(
        &self,
        head: &CpuStorage,
        head_layout: &Layout,
        eps: &CpuStorage,
        eps_layout: &Layout,
        upstream: &CpuStorage,
        upstream_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (head, eps) = (f32_slice(head, head_layout)?, f32_slice(eps, eps_layout)?);
        let upstream = f32_slice(upstream, upstream_layout)?;
        let d = eps_layout.dims()[1];
        let columns = Columns::of(head, eps, d, self.0.log_std);
        let out = match self.0.what {
            What::Action => columns.derivatives(What::Action, upstream.to_vec()),
            What::LogProb => {
                let spread = upstream.iter().flat_map(|x| std::iter::repeat_n(*x, d));
                columns.derivatives(What::LogProb, spread.collect())
            }
        };
        Ok((CpuStorage::F32(out), head_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        head: &CudaStorage,
        head_layout: &Layout,
        eps: &CudaStorage,
        eps_layout: &Layout,
        upstream: &CudaStorage,
        upstream_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let upstream = (upstream, upstream_layout);
        cuda::derivative(self.0, (head, head_layout), (eps, eps_layout), upstream)
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
        let actions = GAUSSIAN.action(&head, &eps)?.to_vec2::<f32>()?;
        let log_prob = GAUSSIAN.log_prob(&head, &eps)?.to_vec1::<f32>()?;
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
            let action = (GAUSSIAN.action(head, &eps)? * &weight)?.sum_all()?;
            let log_prob =
                (GAUSSIAN.log_prob(head, &eps)? * weight.narrow(1, 0, 1)?.squeeze(1)?)?;
            action + log_prob.sum_all()?
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
        let error = GAUSSIAN.action(&head()?.narrow(1, 0, 3)?, &eps()?);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`head` has shape [2, 3]"), "{error}");
        Ok(())
    }
}
