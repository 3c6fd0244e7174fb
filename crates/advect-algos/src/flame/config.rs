//! Every switch and constant of FLAME.

use advect_flow::{TimeConvention, TimeSampler};
use advect_kernels::scalars::Scalar;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;
pub use crate::generator::Variant;
pub use crate::noisy_best_of::NoiseRule;
use crate::noisy_best_of::NoisyBestOfConfig;
use crate::off_policy::OffPolicyConfig;
use crate::validate::{at_least_one, positive, unit_interval};

/// The path on which FLAME-M's training pairs lie (flame.md Q1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathConvention {
    /// Pairs, velocity, tangent and sampler share one direction of time.
    Consistent,
    /// As the authors' FLAME-M code: pairs data-up, everything else noise-up.
    RepoMixed,
}

/// The entropy term in the critic's target (flame.md 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TdEntropy {
    /// No entropy term; the authors' better-performing form.
    Omit,
    /// `+ alpha H'`, eq. (1): maximum-entropy reinforcement learning.
    PlusAlphaH,
    /// `- alpha H'`: the sign in the authors' code (Q6).
    MinusAlphaH,
}

/// How the entropy of the policy is estimated (flame.md section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entropy {
    /// Sum of `h tr J`: first order in the step.
    FirstOrder,
    /// Sum of `log|det(I + h J)|`: exact for the discrete map.
    ExactLogdet,
    /// As the authors' FLAME-M code: drift and trace without the step's length, trace clipped to 10 (Q3).
    RepoNoDt,
}

/// How a first-order estimate takes the trace of the Jacobian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trace {
    /// All diagonal entries.
    Exact,
    /// One probe of signs per row.
    Rademacher,
    /// One normal probe per row, as the authors' code.
    Gaussian,
}

/// The temperature of the proposal weights (flame.md Q9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightTemperature {
    /// `softmax(Q / max(alpha, floor))`, eq. (4).
    Alpha,
    /// `softmax(Q / exp(max(alpha, floor)))`, as the authors' FLAME-M code.
    RepoExpAlpha,
}

/// Reduction of the `K` terms of FLAME-R's loss (flame.md 3.2, Q14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KReduction {
    /// `sum_k`: the weights sum to one.
    Sum,
    /// `(1/K) sum_k`, as the authors' code; under Adam only its epsilon sees the difference.
    Mean,
}

/// Rows of the policy's regression (flame.md eq. 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossRows {
    /// `B` rows with the weighted mean velocity: the same gradient, exactly.
    Shared,
    /// `B K` rows, as the authors' code; `K` times the cost.
    PerProposal,
}

/// Distribution of the flow times of the policy's loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// Uniform on `[time_low, time_high]`.
    Uniform,
    /// `sigmoid(N(-0.4, 1))`, Geng et al.'s choice; FLAME-M only.
    LogitNormal,
}

/// FLAME's configuration. Sources: flame.md sections 2 to 8; (C) is the authors' code, whose defaults these are unless
/// the comment says "consistent".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct FlameConfig {
    #[serde(flatten)]
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    #[serde(flatten)]
    /// Critics, schedules, best of `P`, exploration noise and temperature.
    pub shared: NoisyBestOfConfig,

    /// Generation steps. (C) 1 for FLAME-M, 20 for FLAME-R.
    pub n_gen: usize,
    /// Proposals per state in the policy's loss, `K`. (C) 100.
    pub num_proposals: usize,
    /// Lower end of the uniform flow times (of tau for FLAME-R, of t for FLAME-M). (C) tau from 0.001.
    pub time_low: f64,
    /// Upper end of the uniform flow times. (C) tau to 0.9946.
    pub time_high: f64,
    /// Distribution of the flow times. (C) uniform.
    pub time_sampler: Times,
    /// Fraction of rows with `r = t` (FLAME-M). (C) 0; Geng et al. 0.75 (Q4).
    pub meanflow_r_eq_t_frac: f64,
    /// Divides every row's loss by itself plus `adaptive_c` (FLAME-M). (C) no; Geng et al. yes (Q4).
    pub adaptive_weight: bool,
    /// The constant of the adaptive weight. Geng et al. 0.01.
    pub adaptive_c: f64,
    /// Path of FLAME-M's training pairs. Consistent; (C) mixed (Q1).
    pub time_convention: PathConvention,
    /// Clips the noised action to the box before the proposals are drawn, as (C) FLAME-R (Q8). Consistent: off.
    pub clip_z: bool,
    /// Temperature of the weights. Consistent: alpha; (C) FLAME-M exponentiates twice (Q9).
    pub weight_temperature: WeightTemperature,
    /// Smallest temperature of the weights. (C) 1e-3 for FLAME-R, 1e-5 for FLAME-M.
    pub alpha_floor: f64,
    /// Reduction over proposals in FLAME-R's loss. Consistent: sum; (C) mean (Q14).
    pub k_reduction: KReduction,
    /// Rows of the regression. The shared form is exact; (C) one row per proposal.
    pub policy_loss_rows: LossRows,
    /// Coefficient of the extra `-Q` term of eq. (7) (FLAME-M). Consistent: 0; (C) 1 (Q2).
    pub dpg_coef: f64,

    /// Entropy term in the critic's target. Omitted: what the authors' ablation favours; (C) minus (Q6).
    pub td_entropy: TdEntropy,
    /// Entropy estimator. FLAME-M: exact log-determinant; FLAME-R: first order. See `docs/algorithms/flame.md`.
    pub entropy: Entropy,
    /// Trace of a first-order estimate. Exact; (C) a normal probe.
    pub trace: Trace,
    /// Steps of the entropy's integration. 1 with the exact log-determinant, (C) 3 for FLAME-M and 20 for FLAME-R.
    pub n_ent: usize,
}

impl Default for FlameConfig {
    fn default() -> Self {
        Self::of(Variant::M)
    }
}

impl FlameConfig {
    /// The defaults of a variant.
    pub fn of(variant: Variant) -> Self {
        let common = Self::flame_m();
        match variant {
            Variant::M => common,
            Variant::R => Self {
                n_gen: 20,
                time_low: 0.001,
                time_high: 0.9946,
                alpha_floor: 1e-3,
                entropy: Entropy::FirstOrder,
                n_ent: 20,
                ..common
            },
        }
    }

    fn flame_m() -> Self {
        Self {
            // (C): 30,000 random transitions that do not count; 5 environments on its command line, 1 to 10 in its history.
            off_policy: OffPolicyConfig {
                warmup_transitions: 30_000,
                warmup_counts: false,
                ..OffPolicyConfig::default()
            },
            shared: NoisyBestOfConfig {
                noise_scale: 0.001,
                td_noise: false,
                init_alpha: 0.01,
                alpha_lr: 0.005,
                delay_alpha_update: 100,
                target_entropy_scale: 1.0,
                ..NoisyBestOfConfig::default()
            },
            n_gen: 1,
            num_proposals: 100,
            time_low: 0.0054,
            time_high: 0.999,
            time_sampler: Times::Uniform,
            meanflow_r_eq_t_frac: 0.0,
            adaptive_weight: false,
            adaptive_c: 0.01,
            time_convention: PathConvention::Consistent,
            clip_z: false,
            weight_temperature: WeightTemperature::Alpha,
            alpha_floor: 1e-5,
            k_reduction: KReduction::Sum,
            policy_loss_rows: LossRows::Shared,
            dpg_coef: 0.0,
            td_entropy: TdEntropy::Omit,
            entropy: Entropy::ExactLogdet,
            trace: Trace::Exact,
            n_ent: 1,
        }
    }

    /// The distribution of flow times.
    pub fn sampler(&self) -> TimeSampler {
        match self.time_sampler {
            Times::Uniform => TimeSampler::Uniform {
                low: self.time_low,
                high: self.time_high,
            },
            Times::LogitNormal => TimeSampler::LogitNormal {
                mean: -0.4,
                std: 1.0,
            },
        }
    }

    /// The path on which a variant's training pairs lie.
    pub fn path(&self, variant: Variant) -> TimeConvention {
        match (variant, self.time_convention) {
            (Variant::M, PathConvention::Consistent) => TimeConvention::NoiseUp,
            (Variant::M, PathConvention::RepoMixed) | (Variant::R, _) => TimeConvention::DataUp,
        }
    }

    /// Temperature of the proposal weights (flame.md 3.2 step 4, Q9).
    ///
    /// # Errors
    /// If the device fails.
    pub fn weight_temperature(&self, alpha: impl Into<Scalar>) -> candle_core::Result<Scalar> {
        let alpha = alpha.into().at_least(self.alpha_floor)?;
        match self.weight_temperature {
            WeightTemperature::Alpha => Ok(alpha),
            WeightTemperature::RepoExpAlpha => alpha.exp(),
        }
    }

    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self, variant: Variant) -> Result<(), AlgoError> {
        self.off_policy.validate()?;
        self.shared.validate()?;
        self.validate_counts()?;
        self.validate_ranges()?;
        if variant == Variant::R {
            self.validate_rectified()?;
        }
        if self.adaptive_weight && self.policy_loss_rows == LossRows::PerProposal {
            return Err(AlgoError::value(
                "adaptive_weight",
                "true with policy_loss_rows = per_proposal",
                "take shared",
            ));
        }
        Ok(())
    }

    fn validate_counts(&self) -> Result<(), AlgoError> {
        at_least_one(&[
            ("n_gen", self.n_gen as u64),
            ("num_proposals", self.num_proposals as u64),
            ("n_ent", self.n_ent as u64),
        ])
    }

    fn validate_ranges(&self) -> Result<(), AlgoError> {
        positive(&[("alpha_floor", self.alpha_floor)])?;
        unit_interval(&[("meanflow_r_eq_t_frac", self.meanflow_r_eq_t_frac)])?;
        if !(0.0 < self.time_low && self.time_low < self.time_high && self.time_high < 1.0) {
            let found = format!("[{}, {}]", self.time_low, self.time_high);
            return Err(AlgoError::value(
                "time_low, time_high",
                found,
                "take 0 < time_low < time_high < 1",
            ));
        }
        Ok(())
    }

    fn validate_rectified(&self) -> Result<(), AlgoError> {
        let only_m = |key, found| {
            Err(AlgoError::value(
                key,
                found,
                "leave it out: it belongs to flame-m",
            ))
        };
        match self {
            Self {
                entropy: Entropy::RepoNoDt,
                ..
            } => only_m("entropy", "repo_no_dt"),
            Self {
                time_convention: PathConvention::RepoMixed,
                ..
            } => only_m("time_convention", "repo_mixed"),
            Self {
                time_sampler: Times::LogitNormal,
                ..
            } => only_m("time_sampler", "logit_normal"),
            Self {
                adaptive_weight: true,
                ..
            } => only_m("adaptive_weight", "true"),
            Self { dpg_coef, .. } if *dpg_coef != 0.0 => only_m("dpg_coef", "not 0"),
            Self {
                meanflow_r_eq_t_frac,
                ..
            } if *meanflow_r_eq_t_frac != 0.0 => only_m("meanflow_r_eq_t_frac", "not 0"),
            _ => Ok(()),
        }
    }
}
