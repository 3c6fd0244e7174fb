//! SDAC's objective: fresh actions, noised; weights from the critics; regression on the mean noise.

use advect_kernels::random;
use advect_rl::Metrics;
use advect_rng::Stream;
use candle_core::{Result, Tensor};

use super::reverse_sampling::{implied_actions, loss};
use crate::candidates::{effective_fraction, softmax_weights};
use crate::diffusion_policy::DiffusionPolicy;
use crate::noisy_best_of::{LossInputs, Objective, States};

/// Reverse-sampling score matching with `softmax(value_scale min Q / alpha)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReverseSampling {
    /// Noises per noised action, `K`.
    pub num_noises: usize,
    /// Factor on the values before they are divided by the temperature.
    pub value_scale: f64,
}

impl Objective<DiffusionPolicy> for ReverseSampling {
    fn repeats(&self) -> bool {
        true
    }

    fn states(&self) -> States {
        States::Current
    }

    fn loss(
        &self,
        policy: &DiffusionPolicy,
        inputs: &LossInputs<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<Tensor> {
        let LossInputs {
            params,
            obs,
            critic,
            alpha,
            precision,
            ..
        } = *inputs;
        let (rows, d) = inputs.act.dims2()?;
        let k = policy.steps(stream, rows, obs)?;
        let eps_0 = random::normal(stream, (rows, d), obs.device())?;
        let denoised = policy.denoise(params, obs, inputs.act, &eps_0, &k)?;
        let eps = random::normal(stream, (rows, self.num_noises, d), obs.device())?;
        let act = implied_actions(policy.schedule(), &denoised.noised, &k, &eps)?;
        let critics = critic.online().detached();
        let q = critic
            .net()
            .min_q_candidates(&critics, obs, &act, precision)?;
        let weights = softmax_weights(&q, &alpha.affine(self.value_scale.recip(), 0.0)?)?;
        metrics.insert_tensor("policy/weight_ess", &effective_fraction(&weights)?)?;
        loss(&denoised.predicted, &eps, &weights)
    }
}
