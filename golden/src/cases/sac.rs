//! `sac.*`: soft actor-critic.

use advect_algos::sac::{GaussianPolicy, SacConfig, actor};
use advect_kernels::ensemble::minimum;
use advect_kernels::{Activation, Params};
use advect_rl::critic::{soft_value, td_loss, td_target};
use advect_rl::temperature::{sac_gradient, target_entropy};

use super::critics::Critics;
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::{Gradients, Outputs};
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("sac.sample", sample),
    ("sac.critic_loss", critic_loss),
    ("sac.actor_loss", actor_loss),
    ("sac.temperature", temperature),
];

fn policy(case: &Case) -> Result<(GaussianPolicy, Params)> {
    let sizes = case.mlp_sizes("actor")?;
    let (outputs, hidden) = (sizes[sizes.len() - 1], &sizes[1..sizes.len() - 1]);
    let policy = GaussianPolicy::new(sizes[0], outputs / 2, hidden)?;
    let params = case.params("actor", &policy.layout())?;
    Ok((policy, params))
}

fn sample(case: &Case) -> Result<Outputs> {
    let (policy, params) = policy(case)?;
    let (params, obs, eps) = (params.detached(), case.input("obs")?, case.input("eps")?);
    let (mean, log_std) = policy.moments(&params, &obs)?;
    let sample = policy.sample(&params, &obs, &eps)?;
    Ok(Outputs::new()
        .with("pre_tanh", (&mean + (log_std.exp()? * &eps)?)?)
        .with("mean", mean)
        .with("log_std", log_std)
        .with("action", sample.action)
        .with("log_prob", sample.log_prob))
}

fn critic_loss(case: &Case) -> Result<Outputs> {
    let (policy, params) = policy(case)?;
    let critics = Critics::of(case, ["q1", "q2"], Activation::Relu)?;
    let targets = Critics::of(case, ["q1_target", "q2_target"], Activation::Relu)?;
    let next_obs = case.input("next_obs")?;
    let next = policy.sample(&params.detached(), &next_obs, &case.input("eps")?)?;
    let q_next = targets.min_q(&next_obs, &next.action)?;
    let value = soft_value(&q_next, &next.log_prob, case.config::<f64>("alpha")?)?;
    let (reward, terminated) = (case.input("reward")?, case.input("terminated")?);
    let y = td_target(&reward, &terminated, &value, 1.0, case.config("gamma")?)?;
    let q = critics.net.q_values(
        critics.online.tensor(),
        &case.input("obs")?,
        &case.input("act")?,
    )?;
    let loss = td_loss(&q, &y)?;
    Ok(Outputs::new()
        .with("next_action", next.action)
        .with("next_log_prob", next.log_prob)
        .with("y", y)
        .with("grad", critics.gradient(case, &loss)?)
        .with("loss", loss))
}

fn actor_loss(case: &Case) -> Result<Outputs> {
    let (policy, params) = policy(case)?;
    let critics = Critics::of(case, ["q1", "q2"], Activation::Relu)?;
    let obs = case.input("obs")?;
    let (eps, alpha) = (case.input("eps")?, case.config::<f64>("alpha")?);
    let critic = (&critics.net, critics.online.tensor());
    let actor = actor::loss(
        (&policy, params.tensor()),
        critic,
        &obs,
        &eps,
        &alpha.into(),
    )?;
    let gradients = Gradients::new().with("actor", &policy.layout(), &actor.gradient)?;
    Ok(Outputs::new()
        .with("q", minimum(&actor.q)?)
        .with("log_prob", actor.sample.log_prob)
        .with("grad", case.flat_gradient(&gradients)?)
        .with("loss", actor.loss))
}

fn temperature(case: &Case) -> Result<Outputs> {
    let target = target_entropy(
        SacConfig::default().target_entropy_scale,
        case.config("act_dim")?,
    );
    let gradient = sac_gradient(&case.input("log_prob")?, target)?.reshape(1)?;
    Ok(Outputs::new()
        .with("loss", (case.input("log_alpha")? * &gradient)?)
        .with("grad", gradient))
}
