//! Constants of soft actor-critic.

use advect_rl::LoopSettings;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;

/// SAC's configuration; baselines.md section 1, after Haarnoja et al. (arXiv 1812.05905).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct SacConfig {
    /// Environments that step together. 1.
    pub num_envs: usize,
    /// Transitions of uniform random actions before the agent acts. 10,000 (5 to 10 thousand in common use).
    pub warmup_transitions: u64,
    /// Whether the warm-up counts as environment steps. Yes.
    pub warmup_counts: bool,
    /// Updates after every vector step. 1.
    pub updates_per_vector_step: u32,
    /// Transitions in a minibatch. 256.
    pub batch_size: usize,
    /// Transitions that the replay keeps. 1e6.
    pub replay_capacity: usize,
    /// Discount. 0.99.
    pub gamma: f64,
    /// Step of the target critics' moving average, every update. 0.005.
    pub ema_tau: f64,
    /// Hidden widths of actor and critics. Two times 256, ReLU.
    pub hidden: Vec<usize>,
    /// Learning rate of the critics. 3e-4.
    pub critic_lr: f64,
    /// Learning rate of the actor. 3e-4.
    pub actor_lr: f64,
    /// Learning rate of `log alpha`. 3e-4.
    pub alpha_lr: f64,
    /// Initial temperature, or its value when `fix_alpha` is set. 1.
    pub init_alpha: f64,
    /// Keeps the temperature at `init_alpha`. No.
    pub fix_alpha: bool,
    /// The target entropy is `-target_entropy_scale d`. 1.
    pub target_entropy_scale: f64,
}

impl Default for SacConfig {
    fn default() -> Self {
        Self {
            num_envs: 1,
            warmup_transitions: 10_000,
            warmup_counts: true,
            updates_per_vector_step: 1,
            batch_size: 256,
            replay_capacity: 1_000_000,
            gamma: 0.99,
            ema_tau: 0.005,
            hidden: vec![256; 2],
            critic_lr: 3e-4,
            actor_lr: 3e-4,
            alpha_lr: 3e-4,
            init_alpha: 1.0,
            fix_alpha: false,
            target_entropy_scale: 1.0,
        }
    }
}

impl SacConfig {
    /// What the training loop has to know.
    pub fn loop_settings(&self) -> LoopSettings {
        LoopSettings {
            num_envs: self.num_envs,
            warmup_transitions: self.warmup_transitions,
            warmup_counts: self.warmup_counts,
            updates_per_vector_step: self.updates_per_vector_step,
            batch_size: self.batch_size,
            replay_capacity: self.replay_capacity,
        }
    }

    /// `-target_entropy_scale d`.
    pub fn target_entropy(&self, act_dim: usize) -> f64 {
        -self.target_entropy_scale * act_dim as f64
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        let hidden = self.hidden.iter().copied().min().unwrap_or(0);
        let counts = [
            ("num_envs", self.num_envs),
            ("batch_size", self.batch_size),
            ("replay_capacity", self.replay_capacity),
            ("hidden", hidden),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(AlgoError::value(key, "0", "give at least 1"));
        }
        let unit = [("gamma", self.gamma), ("ema_tau", self.ema_tau)];
        if let Some((key, value)) = unit.iter().find(|(_, v)| !(0.0..=1.0).contains(v)) {
            return Err(AlgoError::value(
                key,
                value,
                "give a number between 0 and 1",
            ));
        }
        if !(self.init_alpha.is_finite() && self.init_alpha > 0.0) {
            return Err(AlgoError::value(
                "init_alpha",
                self.init_alpha,
                "give a positive number",
            ));
        }
        Ok(())
    }
}
