//! `qvpo.*`: the diffusion policy and its weighted loss.

use advect_algos::candidates::rank;
use advect_algos::diffusion_policy::DiffusionPolicy;
use advect_algos::qvpo::loss::{RowNoise, actions, weighted};
use advect_algos::qvpo::weights::{advantage, of_rows};
use advect_flow::{NetConfig, NoiseSchedule};
use advect_kernels::decline::Decline;
use advect_kernels::{Activation, Params, Precision};
use candle_core::{D, DType, Tensor};

use super::critics::{Critics, gradient};
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::{Gradients, Outputs};
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("qvpo.schedule", schedule),
    ("qvpo.loss", loss),
    ("qvpo.sample", sample),
];

fn cosine(case: &Case) -> Result<NoiseSchedule> {
    Ok(NoiseSchedule::cosine(
        case.config("n_diffusion")?,
        case.config("cosine_s")?,
        case.config("beta_max")?,
    )?)
}

fn schedule(case: &Case) -> Result<Outputs> {
    let schedule = cosine(case)?;
    let column = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
    let shape = [schedule.n_steps()];
    Outputs::new()
        .with_values("beta", &shape, column(schedule.beta()))?
        .with_values("alpha_bar", &shape, column(schedule.alpha_bar()))
}

/// The policy of a file with its parameters.
fn policy(case: &Case) -> Result<(DiffusionPolicy, Params)> {
    let (trunk, time) = (case.mlp_sizes("policy")?, case.mlp_sizes("policy.time")?);
    let (obs_dim, act_dim) = (case.shape("obs")?[1], trunk[trunk.len() - 1]);
    let hidden = &trunk[1..trunk.len() - 1];
    let net = NetConfig::denoiser(obs_dim, act_dim, hidden, case.config("time_dim")?, time[1])?;
    let policy = DiffusionPolicy::new(&net, cosine(case)?, 1.0)?;
    let params = case.params("policy", policy.layout())?;
    Ok((policy, params))
}

fn loss(case: &Case) -> Result<Outputs> {
    let (policy, params) = policy(case)?;
    let critics = Critics::of(case, ["q1", "q2"], Activation::Mish)?;
    let (obs, candidates, uniform) = (
        case.input("obs")?,
        case.input("candidates")?,
        case.input("uniform")?,
    );
    let online = critics.online.detached();
    let ranked = rank(&critics.net, &online, &obs, &candidates, Precision::F32)?;
    let entropy_coef = Decline {
        high: case.config("entropy_max")?,
        low: case.config("entropy_min")?,
        total: case.config("total_steps")?,
        first: case.config("step")?,
        every: 0,
        per: 1,
    };
    let entropy_coef = entropy_coef.at(0, obs.device())?;
    let omega = advantage(&ranked.score)?;
    let weights = of_rows(&omega, &entropy_coef, uniform.dim(1)?)?;
    let act = actions(&ranked.action, &uniform)?;
    let noise = RowNoise {
        k: case.input("k")?.to_dtype(DType::U32)?,
        eps: case.input("eps")?,
    };
    let found = weighted(&policy, params.tensor(), &obs, &act, &weights, &noise)?;
    let gradient = gradient(&found.loss, &params, "policy")?;
    let gradients = Gradients::new().with("policy", policy.layout(), &gradient)?;
    Outputs::new()
        .with("value", ranked.score.mean(D::Minus1)?)
        .with("q", ranked.score)
        .with("best", ranked.index.to_dtype(DType::F32)?)
        .with("omega", omega)
        .with("weights", weights)
        .with("noised", found.noised)
        .with("loss", found.loss)
        .with("grad", case.flat_gradient(&gradients)?)
        .with_scalar("entropy_coef", entropy_coef.read()?)
}

fn sample(case: &Case) -> Result<Outputs> {
    let (policy, params) = policy(case)?;
    let (start, noise): (Tensor, Tensor) = (case.input("x_start")?, case.input("noise")?);
    let at = |k: usize| noise.get(k)?.unsqueeze(1);
    let (theta, obs) = (params.detached(), case.input("obs")?);
    let action = policy.sample(&theta, &obs, &start.unsqueeze(1)?, at, Precision::F32)?;
    Ok(Outputs::new().with("action", action.squeeze(1)?))
}
