//! What the minibatches of an update have in common.

use advect_rl::Metrics;
use candle_core::{Result, Tensor};

use super::loss::Losses;
use super::surrogate;

/// Names of the summed scalars.
const NAMES: [&str; 5] = [
    "policy/loss",
    "value/loss",
    "policy/entropy",
    "policy/kl",
    "policy/clip_fraction",
];

/// Sums over minibatches; they stay on the device until the end of the update.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Of [`NAMES`] `[5]`.
    sums: Option<Tensor>,
    grad_norm: Option<Tensor>,
    count: u64,
}

impl Report {
    /// Takes in a minibatch with its gradient's norm before clipping.
    pub(crate) fn add(&mut self, losses: &Losses, clip: f64, grad_norm: Tensor) -> Result<()> {
        let log_ratio = losses.log_ratio.detach();
        let scalars = Tensor::stack(
            &[
                losses.policy.detach(),
                losses.value.detach(),
                losses.entropy.detach(),
                surrogate::kl(&log_ratio)?,
                surrogate::clip_fraction(&log_ratio, clip)?,
            ],
            0,
        )?;
        add(&mut self.sums, scalars)?;
        add(&mut self.grad_norm, grad_norm)?;
        self.count += 1;
        Ok(())
    }

    /// The means.
    pub(crate) fn metrics(self) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        let (Some(sums), Some(grad_norm)) = (self.sums, self.grad_norm) else {
            return Ok(metrics);
        };
        let count = self.count as f64;
        for (name, sum) in NAMES.into_iter().zip(sums.to_vec1::<f32>()?) {
            metrics.insert(name, f64::from(sum) / count);
        }
        metrics.insert_tensor("policy/grad_norm", &(grad_norm / count)?)?;
        Ok(metrics)
    }
}

/// Adds a summand to a sum that may not have begun.
fn add(sum: &mut Option<Tensor>, summand: Tensor) -> Result<()> {
    *sum = match sum.take() {
        Some(sum) => Some((sum + summand)?),
        None => Some(summand),
    };
    Ok(())
}
