//! The entropy temperature `alpha = exp(log_alpha)` and its dual step.

use std::sync::Arc;

use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::params::ParamLayout;
use advect_kernels::scalars::Scalar;
use advect_kernels::{KernelError, Params};
use candle_core::{Device, Result, Tensor};

use crate::state::{StateDict, StateError};

/// SAC's dual gradient `d/d log_alpha [-log_alpha mean(log_prob + target_entropy)] = -mean(log_prob + target_entropy)`.
///
/// `target_entropy` is `-d` in SAC. Haarnoja et al. 2018 (arXiv 1812.05905), eq. (18), in `log alpha`.
///
/// # Shapes
/// `log_prob [B]` -> scalar.
///
/// # Errors
/// What the device reports.
pub fn sac_gradient(log_prob: &Tensor, target_entropy: f64) -> Result<Tensor> {
    log_prob.detach().mean_all()?.affine(-1.0, -target_entropy)
}

/// FLAME's dual gradient `d/d log_alpha [log_alpha (mean H - H_target)] = mean H - H_target`, eq. (10).
///
/// `H_target` is that of [`target_entropy`]. The same step as [`sac_gradient`] with `H = -log_prob`.
///
/// # Shapes
/// `entropy [B]` -> scalar.
///
/// # Errors
/// What the device reports.
pub fn entropy_gradient(entropy: &Tensor, target_entropy: f64) -> Result<Tensor> {
    entropy.detach().mean_all()?.affine(1.0, -target_entropy)
}

/// `H_target = -scale d` for actions of width `d`; SAC's scale is 1.
pub fn target_entropy(scale: f64, act_dim: usize) -> f64 {
    -scale * act_dim as f64
}

/// `log_alpha` with its Adam state.
#[derive(Debug)]
pub struct Temperature {
    log_alpha: Params,
    adam: Adam,
}

impl Temperature {
    /// A temperature that starts at `alpha`.
    ///
    /// # Errors
    /// If `alpha` is not a positive number.
    pub fn new(alpha: f64, adam: AdamConfig, device: &Device) -> Result<Self> {
        if !(alpha.is_finite() && alpha > 0.0) {
            let (what, problem) = ("initial temperature".into(), format!("alpha = {alpha}"));
            return Err(KernelError::Invalid {
                what,
                problem,
                fix: "give a positive number".into(),
            }
            .into());
        }
        let mut layout = ParamLayout::new();
        layout.push("log_alpha", &[1]);
        let log_alpha = Params::from_vec(Arc::new(layout), None, vec![alpha.ln() as f32], device)?;
        let adam = Adam::new(&log_alpha, adam)?;
        Ok(Self { log_alpha, adam })
    }

    /// `log alpha` `[1]`, on the device.
    pub fn log_alpha(&self) -> &Params {
        &self.log_alpha
    }

    /// `alpha`, as it is now; a CUDA device is not waited for.
    ///
    /// # Errors
    /// What the device reports.
    pub fn alpha(&self) -> Result<Scalar> {
        let log_alpha = self.log_alpha.detached();
        match log_alpha.device().is_cuda() {
            true => Ok(Scalar::Device(log_alpha.exp()?)),
            false => Ok(Scalar::Host(f64::from(self.log_alpha.to_vec()?[0]).exp())),
        }
    }

    /// One Adam step with a scalar gradient from [`sac_gradient`] or [`entropy_gradient`].
    ///
    /// # Errors
    /// If the gradient is no scalar.
    pub fn step(&mut self, gradient: &Tensor, lr: f64) -> Result<()> {
        let gradient = gradient.reshape(1)?;
        self.adam.step(&self.log_alpha, &gradient, lr)?;
        Ok(())
    }

    /// Writes `log_alpha` and the optimiser as `{prefix}/...`.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, prefix: &str, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_params(format!("{prefix}/log_alpha"), &self.log_alpha)?;
        out.put_adam(&format!("{prefix}/adam"), &self.adam)
    }

    /// Continues from what [`Temperature::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, prefix: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        from.load_params(&format!("{prefix}/log_alpha"), &self.log_alpha)?;
        from.load_adam(&format!("{prefix}/adam"), &mut self.adam)
    }
}
