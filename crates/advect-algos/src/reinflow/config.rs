//! Every constant of ReinFlow.

use advect_kernels::Schedule;
use advect_kernels::optim::AdamConfig;
use advect_rl::advantage::TimeLimits;
use advect_rl::{Data, LoopSettings};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::chain::{Rules, StepTimes};
use super::loss::Coefficients;
use super::noise::{Annealing, Bounds};
use crate::error::AlgoError;
use crate::flow_network::FlowNetwork;
use crate::ppo::Discount;
use crate::ppo::config::check_minibatches;
use crate::validate::{at_least_one, narrowest, not_negative, positive, unit_interval};

/// ReinFlow's configuration. (C) is the authors' code for Hopper with RLDT's sizes (rldt.md section 9), whose values are the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct ReinFlowConfig {
    #[serde(flatten)]
    /// The velocity network.
    pub network: FlowNetwork,
    /// Run of the pretraining whose policy is fine-tuned; empty begins from random weights.
    pub pretrained: String,
    /// Hidden widths of the noise network, tanh. (C) 64, 64.
    pub noise_hidden: Vec<usize>,
    /// Hidden widths of the value network, Mish. (C) three times 256, with a residual connection.
    pub critic_hidden: Vec<usize>,

    /// Environments, `E`. (C) 100.
    pub num_envs: usize,
    /// Chunks per environment in an iteration. (C) 500.
    pub rollout_steps: usize,
    /// Passes over a rollout. (C) 5 over ten copies of it, in batches of as many rows as the rollout has.
    pub epochs: usize,
    /// Minibatches of a pass. (C) 1: 50,000 rows.
    pub num_minibatches: usize,
    /// Divergence from the policy that acted, beyond which an iteration ends; 0 is without. (C) 1.
    pub target_kl: f64,

    /// Discount of a chunk. (C) 0.99.
    pub gamma: f64,
    /// Lambda of the advantages. (C) 0.95.
    pub gae_lambda: f64,
    /// What a time limit means to the advantages: `bootstrap` from the last observation, `terminal`, or `ignore` that transition.
    pub time_limits: TimeLimits,
    /// Whether rewards are divided by the running deviation of the discounted return. (C) yes.
    pub normalize_reward: bool,
    /// Largest absolute value of a normalised reward; 0 does not clip. (C) 10.
    pub reward_clip: f64,
    /// Added to the deviation of the advantages of a minibatch. (C) 1e-8.
    pub advantage_eps: f64,

    /// Clip of the ratio. (C) 0.01: log-probabilities are per coordinate and step.
    pub clip: f64,
    /// Largest absolute value of a log-probability. (C) 1.
    pub log_prob_limit: f64,
    /// Weight of the value loss, which has a factor 1/2 of its own. (C) 0.5.
    pub value_coef: f64,
    /// Weight of the entropy per coordinate and step. (C) 0.03.
    pub entropy_coef: f64,

    /// Largest learning rate of velocity and noise. (C) 4.5e-5.
    pub policy_lr: f64,
    /// Their smallest one. (C) 2e-5.
    pub policy_lr_min: f64,
    /// Largest learning rate of the value. (C) 6.5e-4.
    pub critic_lr: f64,
    /// Its smallest one. (C) 3e-4.
    pub critic_lr_min: f64,
    /// Iterations of a cycle of the learning rates. (C) 20; ReinFlow's own 100.
    pub lr_cycle: u64,
    /// Iterations over which the rates rise in a cycle. (C) 10.
    pub lr_warmup: u64,
    /// AdamW's weight decay of the value. (C) 1e-5.
    pub critic_weight_decay: f64,
    /// Largest norm of either gradient; 0 is without clipping. (C) 0.
    pub grad_clip: f64,

    /// Steps of the flow, `K`; may differ from the pretraining's. (C) 4.
    pub n_steps: usize,
    /// Flow times of the steps: `start`, k/K, or `inclusive`, k/(K - 1). Consistent: start; (C) inclusive.
    pub step_times: StepTimes,
    /// Whether the mean of every step is clipped to [-1, 1]. (C) yes.
    pub clip_intermediate: bool,
    /// Largest absolute value of the standard normals of the injected noise. (C) 3.
    pub noise_clip: f64,
    /// Takes the likelihood of the last point after it was clipped to [-1, 1]. Consistent: no; (C) yes.
    pub clip_end: bool,
    /// Smallest deviation of the injected noise. (C) 0.1.
    pub sigma_min: f64,
    /// Largest deviation of the injected noise at the start. (C) 0.24.
    pub sigma_max: f64,
    /// Iterations over which the largest deviation comes down: those of the run, `steps / (num_envs rollout_steps)`. 0 keeps it.
    pub sigma_decay_updates: u64,
    /// Share of them before it begins to fall. (C) 0.35.
    pub sigma_hold: f64,
    /// Where it ends, as a share of the way from `sigma_min` to `sigma_max`. (C) 0.7.
    pub sigma_end: f64,
    /// Largest size of an observation's number after its scaling to `[-1, 1]`; 0 is none. (C) none.
    pub obs_clip: f64,
    /// Evaluates from `x_0 = 0`, which is deterministic. (C) no.
    pub zero_noise_eval: bool,
}

impl Default for ReinFlowConfig {
    fn default() -> Self {
        Self {
            network: FlowNetwork::default(),
            pretrained: String::new(),
            noise_hidden: vec![64; 2],
            critic_hidden: vec![256; 3],
            num_envs: 100,
            rollout_steps: 500,
            epochs: 50,
            num_minibatches: 1,
            target_kl: 1.0,
            gamma: 0.99,
            gae_lambda: 0.95,
            time_limits: TimeLimits::Bootstrap,
            normalize_reward: true,
            reward_clip: 10.0,
            advantage_eps: 1e-8,
            clip: 0.01,
            log_prob_limit: 1.0,
            value_coef: 0.5,
            entropy_coef: 0.03,
            policy_lr: 4.5e-5,
            policy_lr_min: 2e-5,
            critic_lr: 6.5e-4,
            critic_lr_min: 3e-4,
            lr_cycle: 20,
            lr_warmup: 10,
            critic_weight_decay: 1e-5,
            grad_clip: 0.0,
            n_steps: 4,
            step_times: StepTimes::Start,
            clip_intermediate: true,
            noise_clip: 3.0,
            clip_end: false,
            sigma_min: 0.1,
            sigma_max: 0.24,
            sigma_decay_updates: 0,
            sigma_hold: 0.35,
            sigma_end: 0.7,
            obs_clip: 0.0,
            zero_noise_eval: false,
        }
    }
}

impl ReinFlowConfig {
    /// What the training loop has to know.
    pub fn loop_settings(&self) -> LoopSettings {
        LoopSettings {
            num_envs: self.num_envs,
            clip_actions: true,
            data: Data::Rollout {
                steps: self.rollout_steps,
                keep: 1,
            },
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

    /// Weights of the loss.
    pub fn coefficients(&self) -> Coefficients {
        Coefficients {
            clip: self.clip,
            log_prob_limit: self.log_prob_limit,
            value: self.value_coef,
            entropy: self.entropy_coef,
        }
    }

    /// Switches of the chain.
    pub fn rules(&self) -> Rules {
        Rules {
            times: self.step_times,
            clip_mean: self.clip_intermediate,
            noise_clip: self.noise_clip,
            clip_end: self.clip_end,
        }
    }

    /// Bounds of the noise over iterations.
    pub fn annealing(&self) -> Annealing {
        Annealing {
            bounds: Bounds {
                low: self.sigma_min,
                high: self.sigma_max,
            },
            updates: self.sigma_decay_updates,
            hold: self.sigma_hold,
            end: self.sigma_end,
        }
    }

    /// Learning rates of policy and value over iterations.
    pub fn schedules(&self) -> [Schedule; 2] {
        let cycles = |lr, lr_min| Schedule::CosineCycles {
            lr,
            lr_min,
            warmup: self.lr_warmup,
            period: self.lr_cycle,
        };
        [
            cycles(self.policy_lr, self.policy_lr_min),
            cycles(self.critic_lr, self.critic_lr_min),
        ]
    }

    /// Adam with this weight decay.
    pub fn adam(&self, weight_decay: f64) -> AdamConfig {
        AdamConfig {
            weight_decay,
            clip_norm: (self.grad_clip > 0.0).then_some(self.grad_clip),
            ..AdamConfig::default()
        }
    }

    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.network.validate()?;
        self.validate_counts()?;
        self.validate_ranges()?;
        if self.lr_cycle <= self.lr_warmup {
            let fix = format!("give more than lr_warmup = {}", self.lr_warmup);
            return Err(AlgoError::value("lr_cycle", self.lr_cycle, fix));
        }
        if self.sigma_max < self.sigma_min {
            let fix = format!("give at least sigma_min = {}", self.sigma_min);
            return Err(AlgoError::value("sigma_max", self.sigma_max, fix));
        }
        let rows = self.rollout_steps.saturating_mul(self.num_envs);
        check_minibatches(self.num_minibatches, rows, 2)
    }

    fn validate_counts(&self) -> Result<(), AlgoError> {
        at_least_one(&[
            ("noise_hidden", narrowest(&self.noise_hidden)),
            ("critic_hidden", narrowest(&self.critic_hidden)),
            ("num_envs", self.num_envs as u64),
            ("rollout_steps", self.rollout_steps as u64),
            ("epochs", self.epochs as u64),
            ("num_minibatches", self.num_minibatches as u64),
            ("n_steps", self.n_steps as u64),
            ("lr_cycle", self.lr_cycle),
        ])
    }

    fn validate_ranges(&self) -> Result<(), AlgoError> {
        unit_interval(&[
            ("gamma", self.gamma),
            ("gae_lambda", self.gae_lambda),
            ("sigma_hold", self.sigma_hold),
            ("sigma_end", self.sigma_end),
        ])?;
        positive(&[
            ("advantage_eps", self.advantage_eps),
            ("clip", self.clip),
            ("log_prob_limit", self.log_prob_limit),
            ("noise_clip", self.noise_clip),
            ("sigma_min", self.sigma_min),
            ("sigma_max", self.sigma_max),
        ])?;
        not_negative(&[
            ("target_kl", self.target_kl),
            ("obs_clip", self.obs_clip),
            ("reward_clip", self.reward_clip),
            ("value_coef", self.value_coef),
            ("entropy_coef", self.entropy_coef),
            ("policy_lr", self.policy_lr),
            ("policy_lr_min", self.policy_lr_min),
            ("critic_lr", self.critic_lr),
            ("critic_lr_min", self.critic_lr_min),
            ("critic_weight_decay", self.critic_weight_decay),
            ("grad_clip", self.grad_clip),
        ])
    }
}
