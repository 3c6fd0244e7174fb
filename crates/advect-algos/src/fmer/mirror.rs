//! The mirror step of an update: scores, temperature, weights (fmer.md sections 3.3 and 6).

use advect_kernels::scalars::Scalar;
use advect_rl::Metrics;
use candle_core::{Result, Tensor};

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
        let q_gap = (q.get(0)? - q.get(1)?)?.abs()?.mean_all()?;
        let advantage = advantage(&q.min(0)?)?;
        let spread = advantage.sqr()?.mean(1)?.sqrt()?.mean_all()?;
        let (scores, share) = match &pool.density {
            None => (advantage, None),
            Some(density) => {
                let log_prob = density.log_prob.reshape(advantage.shape())?;
                let alpha = self.alpha()?;
                (entropy_scores(&advantage, &log_prob, &alpha)?, Some(alpha))
            }
        };
        self.update_temperature(&scores, share.as_ref(), &q_gap)?;
        let own = self.temperature()?;
        let temperature = in_all(&own, share.as_ref())?;
        let soft = softmax_weights(&scores, &temperature)?;
        metrics.insert_tensor("critic/q_gap", &q_gap)?;
        metrics.insert_tensor("policy/advantage_std", &spread)?;
        metrics.insert_scalar("temperature/mirror", &own)?;
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
    fn update_temperature(
        &mut self,
        scores: &Tensor,
        share: Option<&Scalar>,
        q_gap: &Tensor,
    ) -> Result<()> {
        let config = &self.config;
        if config.temperature == TemperatureRule::Constant {
            return Ok(());
        }
        let (log_t, target, bounds) = (
            &self.log_temperature,
            config.ess_target,
            config.temperature_bounds(),
        );
        let moved = match config.ess_controller {
            Controller::Integral => {
                let weights = softmax_weights(scores, in_all(&log_t.exp()?, share)?)?;
                let ess = Scalar::of(&effective_fraction(&weights)?)?;
                dual::temperature_step(log_t, &ess, target, config.temperature_lr, bounds)?
            }
            Controller::Bisection => {
                let share = share.map_or(Ok(0.0), Scalar::read)?;
                let total = solve_temperature(scores, target, bounds.above(share))?;
                dual::smoothed(log_t, total - share, config.temperature_smoothing)?
            }
        };
        let floored = dual::floored(&moved, config.floor_kappa, &Scalar::of(q_gap)?)?;
        let log_t = floored.at_most(config.temperature_max.ln())?;
        self.log_temperature.assign(log_t)
    }
}

/// The temperature of the weights: `T`, and what else there is.
fn in_all(own: &Scalar, share: Option<&Scalar>) -> Result<Scalar> {
    share.map_or_else(|| Ok(own.clone()), |share| own.plus(share))
}
