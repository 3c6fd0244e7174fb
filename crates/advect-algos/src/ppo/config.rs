//! Constants and switches of proximal policy optimisation.

use advect_kernels::Schedule;
use advect_kernels::optim::AdamConfig;
use advect_rl::advantage::TimeLimits;
use advect_rl::{Data, LoopSettings};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::actor_critic::Start;
use super::experience::Discount;
use super::loss::Coefficients;
use crate::error::AlgoError;
use crate::validate::{at_least_one, finite, narrowest, not_negative, positive, unit_interval};

/// Over which rows advantages get mean 0 and deviation 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdvantageNorm {
    /// Over those of each minibatch (Huang et al., detail 7).
    Minibatch,
    /// Once over those of the rollout (fm_irl.md section 5).
    Rollout,
    /// Not at all.
    Off,
}

/// PPO's configuration. Sources: the paper's table for MuJoCo (Schulman et al., arXiv 1707.06347, appendix A) and, where it is silent, the details
/// for continuous actions of Huang et al. 2022, "The 37 implementation details of proximal policy optimization".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct PpoConfig {
    /// Run of behaviour cloning (`bc`) whose policy and normaliser training begins from; empty begins from random weights. None.
    pub pretrained: String,
    /// Environments that step together, `E`. 1.
    pub num_envs: usize,
    /// Vector steps of a rollout, `T`. 2048.
    pub rollout_steps: usize,
    /// Passes over a rollout. 10.
    pub epochs: usize,
    /// Minibatches of a pass. 32, which are the paper's 64 rows for one environment.
    pub num_minibatches: usize,
    /// Hidden widths of policy and value, tanh. Two times 64.
    pub hidden: Vec<usize>,
    /// Learning rate. 3e-4.
    pub lr: f64,
    /// Rollouts in which the learning rate falls linearly to 0. The paper's 0 keeps it; Huang et al. take the whole run, which is
    /// `steps / (num_envs rollout_steps)`.
    pub lr_decay_updates: u64,
    /// Adam's epsilon. 1e-5 (Huang et al., detail 3).
    pub adam_eps: f64,
    /// Norm to which the gradient of all parameters together is clipped; 0 does not clip. 0.5 (Huang et al., detail 11).
    pub max_grad_norm: f64,
    /// Discount. 0.99.
    pub gamma: f64,
    /// Lambda of the advantages. 0.95.
    pub gae_lambda: f64,
    /// What a time limit means to the advantages: `bootstrap` from the last observation, `terminal`, or `ignore` that transition.
    pub time_limits: TimeLimits,
    /// Clip of the ratio. 0.2.
    pub clip: f64,
    /// Whether the value is clipped around its old one by the same number. Yes (Huang et al., detail 9).
    pub clip_value: bool,
    /// Weight of the value loss, which has a factor 1/2 of its own. 0.5.
    pub value_coef: f64,
    /// Weight of the entropy. 0.
    pub entropy_coef: f64,
    /// Rows over which advantages are normalised: `minibatch`, `rollout` or `off`. The minibatch (Huang et al., detail 7).
    pub advantage_norm: AdvantageNorm,
    /// Added to the deviation of the advantages. 1e-8.
    pub advantage_eps: f64,
    /// Initial `log sigma` of the policy. 0.
    pub init_log_std: f64,
    /// Gain of the orthogonal last layer of the mean. 0.01 (Huang et al., detail 2).
    pub policy_head_gain: f64,
    /// Gain of the orthogonal last layer of the value. 1 (Huang et al., detail 2).
    pub value_head_gain: f64,
    /// Whether observations are normalised by their running mean and deviation. Yes (Huang et al., continuous details 6 and 7).
    pub normalize_obs: bool,
    /// Largest absolute value of a normalised observation; 0 does not clip. 10.
    pub obs_clip: f64,
    /// Whether rewards are divided by the running deviation of the discounted return. Yes (Huang et al., continuous details 8 and 9).
    pub normalize_reward: bool,
    /// Largest absolute value of a normalised reward; 0 does not clip. 10.
    pub reward_clip: f64,
    /// Whether environments get actions clipped to their box. Yes (Huang et al., continuous detail 5).
    pub clip_actions: bool,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self {
            pretrained: String::new(),
            num_envs: 1,
            rollout_steps: 2048,
            epochs: 10,
            num_minibatches: 32,
            hidden: vec![64; 2],
            lr: 3e-4,
            lr_decay_updates: 0,
            adam_eps: 1e-5,
            max_grad_norm: 0.5,
            gamma: 0.99,
            gae_lambda: 0.95,
            time_limits: TimeLimits::Bootstrap,
            clip: 0.2,
            clip_value: true,
            value_coef: 0.5,
            entropy_coef: 0.0,
            advantage_norm: AdvantageNorm::Minibatch,
            advantage_eps: 1e-8,
            init_log_std: 0.0,
            policy_head_gain: 0.01,
            value_head_gain: 1.0,
            normalize_obs: true,
            obs_clip: 10.0,
            normalize_reward: true,
            reward_clip: 10.0,
            clip_actions: true,
        }
    }
}

impl PpoConfig {
    /// What the training loop has to know.
    pub fn loop_settings(&self) -> LoopSettings {
        LoopSettings {
            num_envs: self.num_envs,
            clip_actions: self.clip_actions,
            data: Data::Rollout {
                steps: self.rollout_steps,
                keep: 1,
            },
        }
    }

    /// The learning rate by rollouts learnt from.
    pub fn schedule(&self) -> Schedule {
        match self.lr_decay_updates {
            0 => Schedule::Constant { lr: self.lr },
            duration => Schedule::Linear {
                lr: self.lr,
                lr_end: 0.0,
                begin: 0,
                duration,
            },
        }
    }

    /// The optimiser's constants.
    pub fn adam(&self) -> AdamConfig {
        AdamConfig {
            eps: self.adam_eps,
            clip_norm: (self.max_grad_norm > 0.0).then_some(self.max_grad_norm),
            ..AdamConfig::default()
        }
    }

    /// The weights of the loss.
    pub fn coefficients(&self) -> Coefficients {
        Coefficients {
            clip: self.clip,
            clip_value: self.clip_value,
            value: self.value_coef,
            entropy: self.entropy_coef,
        }
    }

    /// How rewards to come count.
    pub fn discount(&self) -> Discount {
        Discount {
            gamma: self.gamma,
            lambda: self.gae_lambda,
            limits: self.time_limits,
        }
    }

    /// The networks' initial values.
    pub fn start(&self) -> Start {
        Start {
            log_std: self.init_log_std,
            policy_head: self.policy_head_gain,
            value_head: self.value_head_gain,
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        at_least_one(&[
            ("num_envs", self.num_envs as u64),
            ("rollout_steps", self.rollout_steps as u64),
            ("epochs", self.epochs as u64),
            ("num_minibatches", self.num_minibatches as u64),
            ("hidden", narrowest(&self.hidden)),
        ])?;
        unit_interval(&[("gamma", self.gamma), ("gae_lambda", self.gae_lambda)])?;
        positive(&[
            ("lr", self.lr),
            ("adam_eps", self.adam_eps),
            ("clip", self.clip),
            ("advantage_eps", self.advantage_eps),
            ("policy_head_gain", self.policy_head_gain),
            ("value_head_gain", self.value_head_gain),
        ])?;
        not_negative(&[
            ("max_grad_norm", self.max_grad_norm),
            ("value_coef", self.value_coef),
            ("entropy_coef", self.entropy_coef),
            ("obs_clip", self.obs_clip),
            ("reward_clip", self.reward_clip),
        ])?;
        finite(&[("init_log_std", self.init_log_std)])?;
        if !self.pretrained.is_empty() && !self.normalize_obs {
            let fix = "set it to true: a cloned policy has normalised observations";
            return Err(AlgoError::value("normalize_obs", false, fix));
        }
        self.validate_minibatches()
    }

    fn validate_minibatches(&self) -> Result<(), AlgoError> {
        let rows = self.rollout_steps.saturating_mul(self.num_envs);
        // the advantage of a minibatch of one row would be normalised to zero
        let least = match self.advantage_norm {
            AdvantageNorm::Minibatch => 2,
            _ => 1,
        };
        check_minibatches(self.num_minibatches, rows, least)
    }
}

/// Refuses minibatches of fewer than `least` of the `rows` of a rollout.
pub(crate) fn check_minibatches(count: usize, rows: usize, least: usize) -> Result<(), AlgoError> {
    if count.saturating_mul(least) <= rows {
        return Ok(());
    }
    let fix = format!(
        "give at least {least} of the {rows} rows of a rollout (rollout_steps num_envs) to each"
    );
    Err(AlgoError::value("num_minibatches", count, fix))
}
