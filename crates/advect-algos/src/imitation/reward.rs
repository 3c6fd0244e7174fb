//! From the logit of a discriminator to loss and reward (fm_irl.md sections 1.3 and 1.4).

use advect_rl::MeanMetrics;
use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// What of the discriminator's output is the student's reward; `l` is the logit, `D = sigmoid(l)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    /// `log D - log(1 - D) = l`.
    Airl,
    /// `l` and a bonus for staying alive.
    AirlPositive,
    /// `log D`.
    Gail,
    /// `D`.
    Raw,
    /// `log D - 1 - log(-log D)`.
    Revise,
}

impl RewardKind {
    /// The reward of a logit; `bonus` is that of [`RewardKind::AirlPositive`].
    pub fn of(self, logit: f32, bonus: f64) -> f32 {
        let l = f64::from(logit);
        // -log D = softplus(-l), to full precision for any l
        let minus_log_d = (-l).max(0.0) + (-l.abs()).exp().ln_1p();
        let reward = match self {
            Self::Airl => l,
            Self::AirlPositive => l + bonus,
            Self::Gail => -minus_log_d,
            Self::Raw => (-minus_log_d).exp(),
            Self::Revise => -minus_log_d - 1.0 - minus_log_d.ln(),
        };
        reward as f32
    }
}

/// `mean softplus(-l)` over the expert's logits and `mean softplus(l)` over the student's: the cross-entropies `-log D` and `-log(1 - D)`.
///
/// # Shapes
/// `[b]` each, to two scalars.
///
/// # Errors
/// If the device fails.
pub fn cross_entropy(expert: &Tensor, agent: &Tensor) -> Result<[Tensor; 2]> {
    Ok([
        softplus(&expert.neg()?)?.mean_all()?,
        softplus(agent)?.mean_all()?,
    ])
}

/// The sum of both cross-entropies, which are counted with the logits.
///
/// # Errors
/// If the device fails.
pub(super) fn counted_cross_entropy(
    expert: &Tensor,
    agent: &Tensor,
    means: &mut MeanMetrics,
) -> Result<Tensor> {
    record_logits(expert, agent, means)?;
    let [expert, agent] = cross_entropy(expert, agent)?;
    means.add_tensor("discriminator/expert_loss", &expert)?;
    means.add_tensor("discriminator/agent_loss", &agent)?;
    expert + agent
}

/// Counts the mean logits of a step.
pub(super) fn record_logits(
    expert: &Tensor,
    agent: &Tensor,
    means: &mut MeanMetrics,
) -> Result<()> {
    means.add_tensor("discriminator/expert_logit", &expert.mean_all()?)?;
    means.add_tensor("discriminator/agent_logit", &agent.mean_all()?)
}

/// `log(1 + e^x)`, for any `x`.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// fm_irl.md section 8: losses 0.8 and 1.3.
    #[test]
    fn rewards_of_half_a_unit() {
        let d = 0.622_459_33f32;
        for (kind, expected) in [
            (RewardKind::Airl, 0.5),
            (RewardKind::AirlPositive, 20.5),
            (RewardKind::Raw, d),
            (RewardKind::Gail, d.ln()),
            (RewardKind::Revise, d.ln() - 1.0 - (-d.ln()).ln()),
        ] {
            let found = kind.of(1.3 - 0.8, 20.0);
            assert!((found - expected).abs() < 1e-6, "{kind:?}: {found}");
        }
    }

    #[test]
    fn far_logits_stay_finite() -> Result<()> {
        for kind in [RewardKind::Gail, RewardKind::Raw, RewardKind::Revise] {
            for logit in [-600.0, 600.0] {
                assert!(kind.of(logit, 0.0).is_finite(), "{kind:?} of {logit}");
            }
        }
        // -log D = e^-l for a large l
        assert!((RewardKind::Revise.of(600.0, 0.0) - 599.0).abs() < 1e-3);
        let logit = Tensor::new(&[-200f32, 200.0], &Device::Cpu)?;
        let [expert, agent] = cross_entropy(&logit, &logit)?;
        assert_eq!(expert.to_scalar::<f32>()?, 100.0);
        assert_eq!(agent.to_scalar::<f32>()?, 100.0);
        Ok(())
    }
}
