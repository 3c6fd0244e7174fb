//! The mirror step of an update: scores, temperature, weights (fmer.md sections 3.3 and 6).

use advect_rl::Metrics;
use candle_core::{DType, Result, Tensor};

use super::agent::Fmer;
use super::dual;
use super::improvement::Pool;
use super::switches::{Controller, TemperatureRule, Weighting};
use super::weights::{advantage, entropy_scores, solve_temperature, weights};
use crate::candidates::{effective_fraction, kl_from_uniform, softmax_weights};
use crate::off_policy::ActorCritic;

impl Fmer {
    /// Weights of the candidates under the online critics, after the temperature's step (sections 3.3 and 6).
    pub(super) fn weigh(
        &mut self,
        parts: &ActorCritic,
        obs: &Tensor,
        pool: &Pool,
        metrics: &mut Metrics,
    ) -> Result<Tensor> {
        let (net, critics) = (parts.critic.net(), parts.critic.online().detached());
        let q = net.q_candidates(&critics, obs, &pool.action, self.config.scoring.into())?;
        let q_gap = scalar(&(q.get(0)? - q.get(1)?)?.abs()?.mean_all()?)?;
        let advantage = advantage(&q.min(0)?)?;
        let spread = advantage.sqr()?.mean(1)?.sqrt()?.mean_all()?;
        let (scores, share) = match &pool.density {
            None => (advantage, 0.0),
            Some(density) => {
                let log_prob = density.log_prob.reshape(advantage.shape())?;
                let alpha = self.alpha();
                (entropy_scores(&advantage, &log_prob, alpha)?, alpha)
            }
        };
        self.update_temperature(&scores, share, q_gap)?;
        let temperature = self.temperature() + share;
        let soft = softmax_weights(&scores, temperature)?;
        metrics.insert("critic/q_gap", q_gap);
        metrics.insert_tensor("policy/advantage_std", &spread)?;
        metrics.insert("temperature/mirror", self.temperature());
        metrics.insert_tensor("policy/weight_ess", &effective_fraction(&soft)?)?;
        metrics.insert_tensor(
            "temperature/weight_kl",
            &kl_from_uniform(&soft)?.mean_all()?,
        )?;
        match self.config.weighting {
            Weighting::Softmax => Ok(soft),
            other => weights(&scores, temperature, other),
        }
    }

    /// Moves T towards the target of ESS/K; `share` is the part of the weights' temperature that is not T.
    fn update_temperature(&mut self, scores: &Tensor, share: f64, q_gap: f64) -> Result<()> {
        let config = &self.config;
        if config.temperature == TemperatureRule::Constant {
            return Ok(());
        }
        let (log_t, target, bounds) = (
            self.log_temperature,
            config.ess_target,
            config.temperature_bounds(),
        );
        let moved = match config.ess_controller {
            Controller::Integral => {
                let weights = softmax_weights(scores, log_t.exp() + share)?;
                let ess = scalar(&effective_fraction(&weights)?)?;
                dual::temperature_step(log_t, ess, target, config.temperature_lr, bounds)
            }
            Controller::Bisection => {
                let total = solve_temperature(scores, target, bounds.above(share))?;
                dual::smoothed(log_t, total - share, config.temperature_smoothing)
            }
        };
        let floored = dual::floored(moved, config.floor_kappa, q_gap);
        self.log_temperature = floored.min(config.temperature_max.ln());
        Ok(())
    }
}

/// The value of a scalar tensor; waits for the device.
pub(super) fn scalar(value: &Tensor) -> Result<f64> {
    value.to_dtype(DType::F64)?.to_scalar()
}
