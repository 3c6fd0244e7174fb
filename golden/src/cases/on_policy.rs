//! `fm_irl.*`: what FM-IRL's student shares with PPO.

use advect_algos::Dims;
use advect_algos::ppo::loss::{Coefficients, Rows, losses};
use advect_algos::ppo::{ActorCritic, regulariser};
use advect_kernels::{ParamLayout, Params};
use advect_rl::advantage::{Rollout, TimeLimits, gae as advantages, normalised};
use advect_rl::{ObsNormalizer, RewardNormalizer};
use candle_core::Tensor;

use super::critics::gradient;
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("fm_irl.gae", gae),
    ("fm_irl.obs_norm", obs_norm),
    ("fm_irl.ppo_loss", ppo_loss),
    ("fm_irl.return_norm", return_norm),
];

fn gae(case: &Case) -> Result<Outputs> {
    let shape = case.shape("reward")?.to_vec();
    let (num_envs, value) = (shape[1], case.values("value")?);
    let (done, truncated) = (case.values("done")?, case.values("timeout")?);
    let terminated: Vec<f32> = done.iter().zip(truncated).map(|(a, b)| a - b).collect();
    let rollout = Rollout {
        reward: case.values("reward")?,
        value: &value[..done.len()],
        next_value: &value[num_envs..],
        terminated: &terminated,
        truncated,
        num_envs,
    };
    let limits = match case.config("proper_time_limits")? {
        true => TimeLimits::Ignore,
        false => TimeLimits::Terminal,
    };
    let found = advantages(&rollout, case.config("gamma")?, case.config("lam")?, limits);
    let advantage = Tensor::from_vec(found, shape.as_slice(), case.device())?;
    let value = Tensor::from_slice(rollout.value, shape.as_slice(), case.device())?;
    let (ddof, eps) = (
        case.config("advantage_std_ddof")?,
        case.config("advantage_eps")?,
    );
    Ok(Outputs::new()
        .with("returns", (&advantage + value)?)
        .with("advantage_normalised", normalised(&advantage, ddof, eps)?)
        .with("advantage", advantage))
}

fn return_norm(case: &Case) -> Result<Outputs> {
    let &[steps, envs] = case.shape("reward")? else {
        return Err(GoldenError::malformed("`reward` is no matrix"));
    };
    let (reward, mask) = (case.values("reward")?, case.values("mask")?);
    let mut normalizer = RewardNormalizer::new(envs, case.config("gamma")?, 0.0)?;
    // the running returns begin at the first rewards; the first mask applies to them
    let begin: Vec<f32> = (0..envs).map(|i| reward[i] * mask[i]).collect();
    normalizer.begin_at(&begin)?;
    let (mut normalised, mut mean, mut var) = (reward.to_vec(), Vec::new(), Vec::new());
    let mut last = Vec::new();
    for (step, row) in normalised.chunks_mut(envs).enumerate() {
        // a mask of 0 says that the step before ended its episode; after the last one nothing is said
        let next = mask.get((step + 1) * envs..(step + 2) * envs);
        let ended: Vec<bool> = match next {
            Some(next) => next.iter().map(|mask| *mask == 0.0).collect(),
            None => vec![false; envs],
        };
        normalizer.follow(row, &ended)?;
        mean.push(normalizer.moments().mean()[0] as f32);
        var.push(normalizer.moments().var()[0] as f32);
        last = normalizer.returns().iter().map(|g| *g as f32).collect();
    }
    Outputs::new()
        .with_values("normalised", &[steps, envs], normalised)?
        .with_values("mean", &[steps], mean)?
        .with_values("var", &[steps], var)?
        .with_values("return_final", &[envs], last)
}

fn obs_norm(case: &Case) -> Result<Outputs> {
    let obs = case.input("obs")?;
    let (steps, envs, width) = obs.dims3()?;
    let mut normalizer = ObsNormalizer::new(width, case.config("clip")?)?;
    let rows = obs.reshape((steps * envs, width))?;
    let (normalised, _) = normalizer.follow(&rows, &rows, envs)?;
    let column = |values: &[f64]| values.iter().map(|x| *x as f32).collect::<Vec<_>>();
    let moments = normalizer.moments();
    Outputs::new()
        .with("normalised", normalised.reshape(obs.shape())?)
        .with("query_out", normalizer.apply(&case.input("query")?)?)
        .with_values("mean", &[width], column(moments.mean()))?
        .with_values("var", &[width], column(moments.var()))
}

fn ppo_loss(case: &Case) -> Result<Outputs> {
    let (actor, value) = (case.mlp_sizes("actor")?, case.mlp_sizes("value")?);
    let dims = Dims {
        obs: actor[0],
        act: actor[actor.len() - 1],
    };
    let net = ActorCritic::new(dims, hidden(&actor), hidden(&value))?;
    let params = whole(case, net.layout())?;
    let rows = Rows {
        obs: case.input("obs")?,
        act: case.input("act")?,
        log_prob: case.input("log_prob_old")?,
        value: case.input("value_old")?,
        advantage: case.input("advantage")?,
        returns: case.input("returns")?,
    };
    let coefficients = Coefficients {
        clip: case.config("clip")?,
        clip_value: true,
        value: case.config("value_coef")?,
        entropy: case.config("entropy_coef")?,
    };
    let losses = losses(&net, params.tensor(), &rows, &coefficients)?;
    let mean = net.mean(params.tensor(), &case.input("gen_obs")?)?;
    let pull = regulariser::loss(&mean, &case.input("gen_act")?)?;
    let total = (losses.total + (&pull * case.config::<f64>("beta")?)?)?;
    let gradient = gradient(&total, &params, "actor, log_std, value")?;
    Ok(Outputs::new()
        .with("log_prob", losses.log_prob)
        .with("loss_pi", losses.policy)
        .with("loss_v", losses.value)
        .with("entropy", losses.entropy)
        .with("loss_reg", pull)
        .with("loss", total)
        .with("grad", in_order(case, net.layout(), &gradient)?))
}

/// The widths between input and output.
fn hidden(sizes: &[usize]) -> &[usize] {
    &sizes[1..sizes.len() - 1]
}

/// The parameters of a buffer whose entries have the names of the file's tensors.
fn whole(case: &Case, layout: &ParamLayout) -> Result<Params> {
    let mut values = Vec::with_capacity(layout.len());
    for entry in layout.entries() {
        values.extend_from_slice(case.values(&entry.name)?);
    }
    Ok(Params::from_vec(
        layout.clone(),
        None,
        values,
        case.device(),
    )?)
}

/// The gradient of such a buffer in `grad_order`.
fn in_order(case: &Case, layout: &ParamLayout, gradient: &Tensor) -> Result<Tensor> {
    let part = |name: &String| {
        let missing = || GoldenError::NoGradient(name.clone());
        let entry = layout.find(name).ok_or_else(missing)?;
        Ok(gradient.narrow(0, entry.offset, entry.len())?)
    };
    let order: Vec<String> = case.config("grad_order")?;
    let parts = order.iter().map(part).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&parts, 0)?)
}
