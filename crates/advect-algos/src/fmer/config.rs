//! Every constant of FMER; the values that its switches take are in [`switches`](super::switches).

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::dual::Bounds;
use super::policy::Sampler;
use super::switches::{
    Controller, Divergence, DualEntropy, EntropyMode, LocalNodes, Smooth, Source, TemperatureRule,
    Weighting,
};
use crate::error::AlgoError;
use crate::off_policy::OffPolicyConfig;
use crate::scoring::Scoring;
use crate::validate::{at_least_one, finite, narrowest, not_negative, positive, unit_interval};
use crate::volume::VolumeRule;

/// FMER's configuration. (P) is the authors' text, (S) a summary of it by others, (I) our choice where the paper's value is
/// unknown; sections are those of fmer.md. The defaults are v3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct FmerConfig {
    #[serde(flatten)]
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    /// Factor on the reward in the critic's target. (I) 1.
    pub reward_scale: f64,
    /// Hidden widths of policy and critics. (I) three times 256.
    pub hidden: Vec<usize>,
    /// Activation of the policy. (I) mish.
    pub activation: Smooth,
    /// Fourier frequencies of the flow time. (I) 8.
    pub n_freq: usize,
    /// Factor on the policy's last layer at the start, so that the first policy is tanh N(0, I). (I) 0.01.
    pub last_layer_scale: f64,
    /// Learning rate of the critics. (I) 3e-4.
    pub critic_lr: f64,
    /// Learning rate of the policy. (I) 3e-4; QVPO has 1e-4.
    pub policy_lr: f64,
    /// Largest norm of a gradient, of policy and critics; 0 is without clipping. (I) 0.
    pub grad_clip: f64,

    /// Euler steps, `N`. (S) 10.
    pub n_steps: usize,
    /// Bound of the final latent. (I) 5.
    pub latent_clip: f64,
    /// Candidates per state in the policy's update, `K`. (I) 16.
    pub num_candidates: usize,
    /// Policy that generates the candidates, the anchor of the mirror step. (I) online.
    pub candidate_source: Source,
    /// Adds the replayed action to the candidates; it is not from the anchor (3.1). (I) no.
    pub include_replay_action: bool,
    /// Uniform random actions added to the candidates; not from the anchor either. (I) 0.
    pub n_uniform: usize,
    /// Weights of the candidates. (S) softmax.
    pub weighting: Weighting,
    /// Rows per state of the regression, drawn by their weights; 0 regresses on all candidates. (I) 0.
    pub wcfm_rows: usize,

    /// The temperature of the mirror step. (P) v3 ess, v1 constant.
    pub temperature: TemperatureRule,
    /// Initial temperature in units of Q, or its constant value. (I) 1.
    pub init_temperature: f64,
    /// Target of ESS/K, `rho`. (I) 0.5.
    pub ess_target: f64,
    /// How the temperature follows the target. (I) integral.
    pub ess_controller: Controller,
    /// Step of the integral controller. (I) 0.02.
    pub temperature_lr: f64,
    /// Rate of the bisection's moving average in `log T`. (I) 0.05.
    pub temperature_smoothing: f64,
    /// Smallest temperature; a nominal value here makes the constraint one-sided. (I) 1e-3.
    pub temperature_min: f64,
    /// Largest temperature. (I) 1e3.
    pub temperature_max: f64,
    /// The temperature is at least this times mean |Q1 - Q2| (6.2). (I) 0: without, for dense rewards; 1 for sparse ones.
    pub floor_kappa: f64,

    /// Where the entropy enters. (I) local.
    pub entropy_mode: EntropyMode,
    /// Points of the local loss. (I) trajectory.
    pub local_nodes: LocalNodes,
    /// Points per state of the local loss on trajectories, at most one per candidate. (I) 4.
    pub entropy_nodes: usize,
    /// States of a minibatch in the unrolled loss, one sample each. (I) 64.
    pub unrolled_states: usize,
    /// Divergence in an entropy loss. (S) hutchinson; exact has less noise and is cheap for d up to about 9.
    pub divergence: Divergence,
    /// Volume term of log pi wherever its value is used. (S) hutchinson.
    pub log_prob: VolumeRule,
    /// Entropy value of the dual step with a local loss. (I) h2.
    pub dual_entropy: DualEntropy,
    /// Environment step after which the entropy no longer enters (ablation); 0 is never.
    pub entropy_stop_step: u64,
    /// The target entropy is `-target_entropy_scale d`. (I) 1.
    pub target_entropy_scale: f64,
    /// Initial multiplier of the entropy, or its value when `fix_alpha` is set. (I) 0.1.
    pub init_alpha: f64,
    /// Keeps the multiplier at `init_alpha`. (I) no.
    pub fix_alpha: bool,
    /// Step of `log alpha`. (I) 3e-4, of 3e-4 to 1e-3.
    pub alpha_lr: f64,
    /// Smallest multiplier. (I) 1e-4.
    pub alpha_min: f64,
    /// Largest multiplier. (I) 1.
    pub alpha_max: f64,

    /// Subtracts `alpha log pi(a' | s')` in the critic's target. (I) no.
    pub soft_backup: bool,
    /// Candidates of the averaged policy for the action in the critic's target. (I) 1.
    pub td_best_of: usize,
    /// Policy that acts. (I) online.
    pub acting_source: Source,
    /// Candidates ranked by the critics at every decision while collecting data. (I) 1; QVPO has 4.
    pub behaviour_best_of: usize,
    /// The same in an evaluation. (S) several; (I) 32.
    pub eval_best_of: usize,

    /// Arithmetic of candidate generation and scoring.
    pub scoring: Scoring,
}

impl Default for FmerConfig {
    fn default() -> Self {
        Self {
            off_policy: OffPolicyConfig::default(),
            reward_scale: 1.0,
            hidden: vec![256; 3],
            activation: Smooth::Mish,
            n_freq: 8,
            last_layer_scale: 0.01,
            critic_lr: 3e-4,
            policy_lr: 3e-4,
            grad_clip: 0.0,
            n_steps: 10,
            latent_clip: 5.0,
            num_candidates: 16,
            candidate_source: Source::Online,
            include_replay_action: false,
            n_uniform: 0,
            weighting: Weighting::Softmax,
            wcfm_rows: 0,
            temperature: TemperatureRule::Ess,
            init_temperature: 1.0,
            ess_target: 0.5,
            ess_controller: Controller::Integral,
            temperature_lr: 0.02,
            temperature_smoothing: 0.05,
            temperature_min: 1e-3,
            temperature_max: 1e3,
            floor_kappa: 0.0,
            entropy_mode: EntropyMode::Local,
            local_nodes: LocalNodes::Trajectory,
            entropy_nodes: 4,
            unrolled_states: 64,
            divergence: Divergence::Hutchinson,
            log_prob: VolumeRule::Hutchinson,
            dual_entropy: DualEntropy::H2,
            entropy_stop_step: 0,
            target_entropy_scale: 1.0,
            init_alpha: 0.1,
            fix_alpha: false,
            alpha_lr: 3e-4,
            alpha_min: 1e-4,
            alpha_max: 1.0,
            soft_backup: false,
            td_best_of: 1,
            acting_source: Source::Online,
            behaviour_best_of: 1,
            eval_best_of: 32,
            scoring: Scoring::F32,
        }
    }
}

impl FmerConfig {
    /// How latents are generated.
    pub fn sampler(&self) -> Sampler {
        Sampler {
            n_steps: self.n_steps,
            latent_clip: self.latent_clip,
            precision: self.scoring.into(),
        }
    }

    /// Bounds of the multiplier.
    pub fn alpha_bounds(&self) -> Bounds {
        Bounds {
            min: self.alpha_min,
            max: self.alpha_max,
        }
    }

    /// Bounds of the temperature.
    pub fn temperature_bounds(&self) -> Bounds {
        Bounds {
            min: self.temperature_min,
            max: self.temperature_max,
        }
    }

    /// Where the entropy enters after that many updates.
    pub fn entropy_mode_at(&self, updates: u64) -> EntropyMode {
        let stop = self.entropy_stop_step;
        if stop > 0 && self.off_policy.env_step(updates) > stop {
            EntropyMode::Off
        } else {
            self.entropy_mode
        }
    }

    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.off_policy.validate()?;
        self.validate_counts()?;
        self.validate_ranges()?;
        self.validate_combinations()
    }

    fn validate_counts(&self) -> Result<(), AlgoError> {
        at_least_one(&[
            ("hidden", narrowest(&self.hidden)),
            ("n_freq", self.n_freq as u64),
            ("n_steps", self.n_steps as u64),
            ("num_candidates", self.num_candidates as u64),
            ("entropy_nodes", self.entropy_nodes as u64),
            ("unrolled_states", self.unrolled_states as u64),
            ("td_best_of", self.td_best_of as u64),
            ("behaviour_best_of", self.behaviour_best_of as u64),
            ("eval_best_of", self.eval_best_of as u64),
        ])
    }

    fn validate_ranges(&self) -> Result<(), AlgoError> {
        positive(&[
            ("reward_scale", self.reward_scale),
            ("latent_clip", self.latent_clip),
            ("init_temperature", self.init_temperature),
            ("temperature_min", self.temperature_min),
            ("init_alpha", self.init_alpha),
            ("alpha_min", self.alpha_min),
        ])?;
        not_negative(&[
            ("critic_lr", self.critic_lr),
            ("policy_lr", self.policy_lr),
            ("last_layer_scale", self.last_layer_scale),
            ("grad_clip", self.grad_clip),
            ("temperature_lr", self.temperature_lr),
            ("floor_kappa", self.floor_kappa),
            ("alpha_lr", self.alpha_lr),
        ])?;
        unit_interval(&[("temperature_smoothing", self.temperature_smoothing)])?;
        if !(self.ess_target > 0.0 && self.ess_target < 1.0) {
            let fix = "give a number above 0 and below 1";
            return Err(AlgoError::value("ess_target", self.ess_target, fix));
        }
        finite(&[("target_entropy_scale", self.target_entropy_scale)])?;
        ordered("temperature", self.temperature_bounds())?;
        ordered("alpha", self.alpha_bounds())
    }

    fn validate_combinations(&self) -> Result<(), AlgoError> {
        let refuse = |key: &str, found: String, fix: &str| Err(AlgoError::value(key, found, fix));
        let in_weights = self.entropy_mode == EntropyMode::Weights;
        if self.wcfm_rows > 0 && self.weighting == Weighting::Unnormalised {
            let found = "unnormalised with wcfm_rows above 0".into();
            return refuse("weighting", found, "take softmax or wcfm_rows = 0");
        }
        if in_weights && self.weighting != Weighting::Softmax {
            let found = "not softmax with entropy_mode = weights".into();
            return refuse("weighting", found, "take softmax");
        }
        if in_weights && (self.include_replay_action || self.n_uniform > 0) {
            let found = "weights with candidates that are not the policy's".into();
            let fix = "take include_replay_action = false and n_uniform = 0";
            return refuse("entropy_mode", found, fix);
        }
        if self.soft_backup && self.td_best_of > 1 {
            let found = "true with td_best_of above 1".into();
            return refuse("soft_backup", found, "take td_best_of = 1");
        }
        Ok(())
    }
}

/// Refuses bounds `{what}_min`, `{what}_max` in the wrong order.
fn ordered(what: &str, bounds: Bounds) -> Result<(), AlgoError> {
    if bounds.max.is_finite() && bounds.min <= bounds.max {
        return Ok(());
    }
    let fix = format!(
        "give a finite number of at least {what}_min = {}",
        bounds.min
    );
    Err(AlgoError::value(format!("{what}_max"), bounds.max, fix))
}
