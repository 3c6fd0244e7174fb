//! `flame.*`: what both variants of FLAME share.

use advect_algos::candidates::{rank, softmax_weights};
use advect_algos::flame::config::{TdEntropy, Variant};
use advect_algos::flame::critic::soft_value;
use advect_algos::flame::proposals::{ProposalNoise, Proposals, propose};
use advect_algos::flame::{FlameConfig, Generator};
use advect_algos::noisy_best_of::FlowPolicy;
use advect_flow::TimeConvention;
use advect_kernels::{Activation, Params, Precision};
use advect_rl::critic::{td_loss, td_target};
use advect_rl::temperature::{entropy_gradient, target_entropy};
use candle_core::{DType, Tensor};

use super::critics::{Critics, gradient};
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::{Gradients, Outputs};
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("flame.critic_loss", critic_loss),
    ("flame.temperature", temperature),
    ("flame.act", act),
];

/// The policy network of a file with its parameters.
pub(super) struct Policy {
    pub generator: Generator,
    pub params: Params,
}

impl Policy {
    pub fn of(case: &Case, variant: Variant) -> Result<Self> {
        let sizes = case.mlp_sizes("policy")?;
        let (obs_dim, act_dim) = (case.shape("obs")?[1], sizes[sizes.len() - 1]);
        let generator = Generator::new(variant, obs_dim, act_dim, &sizes[1..sizes.len() - 1])?;
        let params = case.params("policy", generator.layout())?;
        Ok(Self { generator, params })
    }

    /// Gradient of `loss` in the policy, in `grad_order`.
    pub fn gradient(&self, case: &Case, loss: &Tensor) -> Result<Tensor> {
        let gradient = gradient(loss, &self.params, "policy")?;
        case.flat_gradient(&Gradients::new().with("policy", self.generator.layout(), &gradient)?)
    }
}

/// The proposals of a policy-loss file with their scores and weights.
pub(super) struct Weighted {
    pub proposals: Proposals,
    pub q: Tensor,
    pub weights: Tensor,
}

impl Weighted {
    /// Proposals at flow times `t` on `path`, scored by `q1` and `q2`, weighted at `config`'s temperature.
    pub fn of(case: &Case, path: TimeConvention, t: &Tensor, config: &FlameConfig) -> Result<Self> {
        let critics = Critics::of(case, ["q1", "q2"], Activation::Mish)?;
        let noise = ProposalNoise {
            eps0: case.input("eps0")?,
            levels: case.input("u")?,
        };
        let proposals = propose(path, &case.input("act")?, t, &noise, false)?;
        let (obs, params) = (case.input("obs")?, critics.online.detached());
        let q = critics
            .net
            .min_q_candidates(&params, &obs, &proposals.act, Precision::F32)?;
        let weights =
            softmax_weights(&q, config.weight_temperature(case.config::<f64>("alpha")?)?)?;
        Ok(Self {
            proposals,
            q,
            weights,
        })
    }
}

fn critic_loss(case: &Case) -> Result<Outputs> {
    let critics = Critics::of(case, ["q1", "q2"], Activation::Mish)?;
    let targets = Critics::of(case, ["q1_target", "q2_target"], Activation::Mish)?;
    let q_next = targets.min_q(&case.input("next_obs")?, &case.input("next_act")?)?;
    let (reward, terminated, entropy) = (
        case.input("reward")?,
        case.input("terminated")?,
        case.input("entropy")?,
    );
    let (alpha, gamma, scale) = (
        case.config::<f64>("alpha")?,
        case.config("gamma")?,
        case.config("reward_scale")?,
    );
    let y = |mode| -> Result<Tensor> {
        let value = soft_value(&q_next, Some(&entropy), alpha, mode)?;
        Ok(td_target(&reward, &terminated, &value, scale, gamma)?)
    };
    let q = critics.net.q_values(
        critics.online.tensor(),
        &case.input("obs")?,
        &case.input("act")?,
    )?;
    let loss = td_loss(&q, &y(case.config("td_entropy").and_then(td_entropy)?)?)?;
    Ok(Outputs::new()
        .with("q_next", q_next.clone())
        .with("y_omit", y(TdEntropy::Omit)?)
        .with("y_plus_alpha_H", y(TdEntropy::PlusAlphaH)?)
        .with("y_minus_alpha_H", y(TdEntropy::MinusAlphaH)?)
        .with("grad", critics.gradient(case, &loss)?)
        .with("loss", loss))
}

fn td_entropy(name: String) -> Result<TdEntropy> {
    match name.as_str() {
        "omit" => Ok(TdEntropy::Omit),
        "plus_alpha_H" => Ok(TdEntropy::PlusAlphaH),
        "minus_alpha_H" => Ok(TdEntropy::MinusAlphaH),
        _ => Err(GoldenError::Config {
            key: "td_entropy".into(),
            problem: format!("`{name}` is none of omit, plus_alpha_H, minus_alpha_H"),
        }),
    }
}

fn temperature(case: &Case) -> Result<Outputs> {
    let scale = case.config("target_entropy_scale")?;
    let target = target_entropy(scale, case.config("act_dim")?);
    let gradient = entropy_gradient(&case.input("entropy")?, target)?.reshape(1)?;
    Ok(Outputs::new()
        .with("loss", (case.input("log_alpha")? * &gradient)?)
        .with("grad", gradient))
}

fn act(case: &Case) -> Result<Outputs> {
    let variant = match case.config::<String>("variant")?.as_str() {
        "M" => Variant::M,
        "R" => Variant::R,
        other => {
            let problem = format!("`{other}` is none of M, R");
            return Err(GoldenError::Config {
                key: "variant".into(),
                problem,
            });
        }
    };
    let policy = Policy::of(case, variant)?;
    let critics = Critics::of(case, ["q1", "q2"], Activation::Mish)?;
    let (obs, xi) = (case.input("obs")?, case.input("xi")?);
    let sampler = FlowPolicy {
        act_dim: xi.dim(2)?,
        generator: policy.generator,
        n_gen: case.config("n_gen")?,
        base_std: case.config("base_std")?,
        clip_candidates: false,
        one_step_eval: false,
    };
    let (params, online) = (policy.params.detached(), critics.online.detached());
    let candidates = sampler.generate(&params, &obs, &xi, Precision::F32)?;
    let ranked = rank(&critics.net, &online, &obs, &candidates, Precision::F32)?;
    Ok(Outputs::new()
        .with("candidates", candidates)
        .with("score", ranked.score)
        .with("index", ranked.index.to_dtype(DType::F32)?)
        .with("action", ranked.action.clamp(-1.0, 1.0)?))
}
