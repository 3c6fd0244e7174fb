//! Every constant of RLDT.

use advect_kernels::Schedule;
use advect_rl::advantage::TimeLimits;
use advect_rl::{Data, LoopSettings};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::field::{Field, Kernel, QNorm, Transport};
use super::loss::Coefficients;
use crate::encoder::ImageNetwork;
use crate::error::AlgoError;
use crate::flow_network::FlowNetwork;
use crate::validate::{at_least_one, finite, narrowest, not_negative, positive, unit_interval};

/// What the anchor term pulls towards (rldt.md section 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The policy at the end of the last iteration, as the authors' code: a trust region, the drift is unbounded.
    LastIteration,
    /// The pretrained policy, as the paper is read.
    Pretrained,
    /// A moving average over iterations, with the step `reference_tau`.
    Ema,
}

/// The factor on rewards (rldt.md section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardScale {
    /// One over a moving average of the mean size of a chunk's reward: Gym.
    MeanSize,
    /// One: sparse rewards.
    One,
}

/// How old trajectories are drawn (rldt.md section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// All alike.
    Uniform,
    /// As often of every integer total reward: sparse rewards.
    ByReturn,
    /// As often of those with a reward other than 0 as of those without: images.
    ByReward,
}

/// RLDT's configuration; sections are those of rldt.md. (C) is the authors' code for Gym, whose values are the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct RldtConfig {
    #[serde(flatten)]
    /// The network of the policy.
    pub network: FlowNetwork,
    #[serde(flatten)]
    /// The encoder of frames; the critics have their own of the same sizes.
    pub image: ImageNetwork,
    /// Largest shift in pixels of the frames that the critics learn from, their augmentation; 0 is none. (C) 4.
    pub image_shift: usize,
    /// Run of the pretraining whose policy is fine-tuned; empty begins from random weights.
    pub pretrained: String,
    /// Hidden widths of the critics. (C) three times 256, SiLU.
    pub critic_hidden: Vec<usize>,
    /// Shows the critics, not the policy, what the episode has collected so far. (C) no; Furniture yes.
    pub critic_sees_return: bool,

    /// Environments, `E`. (C) 100.
    pub num_envs: usize,
    /// Chunks per environment in an iteration. (C) 500.
    pub rollout_steps: usize,
    /// Iterations whose trajectories are kept, the present one included. (C) 20 old ones.
    pub keep_iterations: usize,
    /// Smallest share of fresh trajectories in a batch, rounded up. (C) 0.33.
    pub fresh_share: f64,
    /// How old trajectories are drawn. (C) uniform; sparse tasks by return, images by reward.
    pub balance: Balance,

    /// Discount of a chunk. (C) 0.99.
    pub gamma: f64,
    /// Lambda of the returns. (C) 0; sparse tasks 0.5.
    pub lambda: f64,
    /// What a time limit means. Consistent: bootstrap; (C) terminal.
    pub time_limits: TimeLimits,
    /// Factor on rewards. (C) `mean_size`; sparse tasks one.
    pub reward_scale: RewardScale,
    /// Step of the moving average of the rewards' size. (C) 0.01.
    pub reward_rate: f64,
    /// Smallest value that a critic's target bootstraps from. (C) -1e6; sparse tasks 0.
    pub q_min: f64,
    /// Largest value that a critic's target bootstraps from. (C) 1e6; sparse tasks the largest return.
    pub q_max: f64,
    /// Actions per next state in the critic's target. (C) 2.
    pub bootstrap_samples: usize,
    /// Learning rate of the critics. (C) 1e-3.
    pub critic_lr: f64,
    /// Learning rate of their encoder of frames. (C) 4e-5.
    pub critic_encoder_lr: f64,
    /// Step of the target critics' moving average. (C) 0.005.
    pub ema_tau: f64,

    /// Critic steps of an iteration. (C) 512.
    pub critic_updates: usize,
    /// Policy steps of an iteration. (C) 32.
    pub policy_updates: usize,
    /// Random trajectories of a batch whose states serve a policy step; 0 takes every `P`-th in turn. (C) 0; images 16.
    pub policy_trajectories: usize,
    /// Batches of an iteration; each serves its share of the steps. (C) 16.
    pub repeats: usize,
    /// Iterations in which only the critics learn. (C) 2.
    pub critic_warmup: u64,

    /// Euler steps of the flow, `K`. (C) 8.
    pub n_steps: usize,
    /// Particles per state, `P`. (C) 8.
    pub particles: usize,
    /// Particles and interaction of the transport field. (C) normal.
    pub transport: Transport,
    /// What the temperature is relative to. (C) svgd.
    pub q_norm: QNorm,
    /// Kernel between particles. (C) rbf.
    pub kernel: Kernel,
    /// Factor of the temperature. (C) 1e-3; 0 is without repulsion.
    pub svgd_temp: f64,
    /// Bandwidth of the kernel; 0 is the median rule. (C) 0.
    pub bandwidth: f64,
    /// Coefficient of the consistency term. (C) 0.5; 1 from scratch.
    pub c_cons: f64,
    /// Coefficient of the anchor term. (C) 0.2.
    pub c_kl: f64,
    /// What the anchor pulls towards. (C) `last_iteration`.
    pub reference: Reference,
    /// Step of the average with `reference = ema`. 0.1.
    pub reference_tau: f64,
    /// Learning rate of the policy after its warm-up. (C) 2e-5.
    pub policy_lr: f64,
    /// Policy steps over which the rate rises. (C) 32; images 64.
    pub policy_warmup: u64,
    /// Largest norm of the policy's gradient; 0 is without clipping. (C) 0; small batches 1.
    pub grad_clip: f64,

    /// First flow step whose landing makes exploration noise. (C) 6 of 8; 30 of 32.
    pub explore_from: usize,
    /// Largest size of an observation's number after its scaling to `[-1, 1]`; 0 is none. (C) none.
    pub obs_clip: f64,
    /// Evaluates from `x_0 = 0`, which is deterministic. (C) yes for Gym; Furniture and Robomimic draw `x_0`.
    pub zero_noise_eval: bool,
}

impl Default for RldtConfig {
    fn default() -> Self {
        Self {
            network: FlowNetwork::default(),
            image: ImageNetwork::default(),
            image_shift: 4,
            pretrained: String::new(),
            critic_hidden: vec![256; 3],
            critic_sees_return: false,
            num_envs: 100,
            rollout_steps: 500,
            keep_iterations: 21,
            fresh_share: 0.33,
            balance: Balance::Uniform,
            gamma: 0.99,
            lambda: 0.0,
            time_limits: TimeLimits::Bootstrap,
            reward_scale: RewardScale::MeanSize,
            reward_rate: 0.01,
            q_min: -1e6,
            q_max: 1e6,
            bootstrap_samples: 2,
            critic_lr: 1e-3,
            critic_encoder_lr: 4e-5,
            ema_tau: 0.005,
            critic_updates: 512,
            policy_updates: 32,
            policy_trajectories: 0,
            repeats: 16,
            critic_warmup: 2,
            n_steps: 8,
            particles: 8,
            transport: Transport::Normal,
            q_norm: QNorm::Svgd,
            kernel: Kernel::Rbf,
            svgd_temp: 1e-3,
            bandwidth: 0.0,
            c_cons: 0.5,
            c_kl: 0.2,
            reference: Reference::LastIteration,
            reference_tau: 0.1,
            policy_lr: 2e-5,
            policy_warmup: 32,
            grad_clip: 0.0,
            explore_from: 6,
            obs_clip: 0.0,
            zero_noise_eval: true,
        }
    }
}

impl RldtConfig {
    /// What the training loop has to know.
    pub fn loop_settings(&self) -> LoopSettings {
        LoopSettings {
            num_envs: self.num_envs,
            clip_actions: true,
            data: Data::Rollout {
                steps: self.rollout_steps,
                keep: self.keep_iterations,
            },
        }
    }

    /// How the transport field is made.
    pub fn field(&self) -> Field {
        Field {
            transport: self.transport,
            q_norm: self.q_norm,
            kernel: self.kernel,
            temperature: self.svgd_temp,
            bandwidth: self.bandwidth,
        }
    }

    /// Weights of the policy's loss.
    pub fn coefficients(&self) -> Coefficients {
        Coefficients {
            consistency: self.c_cons,
            anchor: self.c_kl,
            n_steps: self.n_steps,
        }
    }

    /// The policy's learning rate over its optimiser's steps.
    pub fn policy_schedule(&self) -> Schedule {
        Schedule::Warmup {
            lr: self.policy_lr,
            warmup: self.policy_warmup,
        }
    }

    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.network.validate()?;
        self.image.validate()?;
        self.validate_counts()?;
        self.validate_ranges()?;
        self.validate_repeats()?;
        if self.time_limits == TimeLimits::Ignore {
            let fix = "take bootstrap or terminal: a critic needs a target";
            return Err(AlgoError::value("time_limits", "ignore", fix));
        }
        if self.explore_from >= self.n_steps {
            let fix = format!("give less than n_steps = {}", self.n_steps);
            return Err(AlgoError::value("explore_from", self.explore_from, fix));
        }
        if self.q_min.partial_cmp(&self.q_max) != Some(std::cmp::Ordering::Less) {
            let fix = format!("give more than q_min = {}", self.q_min);
            return Err(AlgoError::value("q_max", self.q_max, fix));
        }
        Ok(())
    }

    /// Every batch serves as many steps as any other.
    fn validate_repeats(&self) -> Result<(), AlgoError> {
        let counts = [
            ("critic_updates", self.critic_updates),
            ("policy_updates", self.policy_updates),
        ];
        match counts.into_iter().find(|(_, n)| n % self.repeats != 0) {
            None => Ok(()),
            Some((key, found)) => {
                let fix = format!("give a multiple of repeats = {}", self.repeats);
                Err(AlgoError::value(key, found, fix))
            }
        }
    }

    fn validate_counts(&self) -> Result<(), AlgoError> {
        at_least_one(&[
            ("critic_hidden", narrowest(&self.critic_hidden)),
            ("num_envs", self.num_envs as u64),
            ("rollout_steps", self.rollout_steps as u64),
            ("keep_iterations", self.keep_iterations as u64),
            ("bootstrap_samples", self.bootstrap_samples as u64),
            ("critic_updates", self.critic_updates as u64),
            ("repeats", self.repeats as u64),
            ("n_steps", self.n_steps as u64),
            ("particles", self.particles as u64),
        ])
    }

    fn validate_ranges(&self) -> Result<(), AlgoError> {
        unit_interval(&[
            ("fresh_share", self.fresh_share),
            ("gamma", self.gamma),
            ("lambda", self.lambda),
            ("reward_rate", self.reward_rate),
            ("ema_tau", self.ema_tau),
            ("reference_tau", self.reference_tau),
        ])?;
        finite(&[("q_min", self.q_min), ("q_max", self.q_max)])?;
        not_negative(&[
            ("critic_lr", self.critic_lr),
            ("critic_encoder_lr", self.critic_encoder_lr),
            ("policy_lr", self.policy_lr),
            ("svgd_temp", self.svgd_temp),
            ("bandwidth", self.bandwidth),
            ("c_cons", self.c_cons),
            ("c_kl", self.c_kl),
            ("grad_clip", self.grad_clip),
            ("obs_clip", self.obs_clip),
        ])?;
        positive(&[("reward_rate", self.reward_rate)])
    }
}
