//! `fmer.*`: flow policies by mirror descent with an entropy constraint.

use advect_algos::candidates::{
    effective_fraction, effective_size, kl_from_uniform, softmax_weights,
};
use advect_algos::fmer::critic::next_action;
use advect_algos::fmer::dual::{self, Bounds};
use advect_algos::fmer::entropy::{self, Density, Local, Nodes};
use advect_algos::fmer::policy::{Sampler, network};
use advect_algos::fmer::switches::Weighting;
use advect_algos::fmer::wcfm::Pairs;
use advect_algos::fmer::weights::{advantage, entropy_scores, solve_temperature, weights};
use advect_algos::rows::repeat_rows;
use advect_algos::volume::VolumeRule;
use advect_flow::VelocityNet;
use advect_kernels::{Activation, Params, Precision};
use advect_rl::critic::{soft_value, td_loss, td_target};
use candle_core::{D, Tensor};

use super::critics::{Critics, gradient};
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::{Gradients, Outputs};
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("fmer.candidates", candidates),
    ("fmer.weights", weight_forms),
    ("fmer.wcfm", wcfm),
    ("fmer.entropy_local", entropy_local),
    ("fmer.log_prob", log_prob),
    ("fmer.entropy_unrolled", entropy_unrolled),
    ("fmer.dual", dual_steps),
    ("fmer.critic_loss", critic_loss),
];

/// The velocity network of a file with its parameters.
struct Policy {
    net: VelocityNet,
    params: Params,
}

impl Policy {
    fn of(case: &Case) -> Result<Self> {
        let sizes = case.mlp_sizes("policy")?;
        let (obs_dim, act_dim) = (case.shape("obs")?[1], sizes[sizes.len() - 1]);
        let (hidden, n_freq) = (&sizes[1..sizes.len() - 1], case.config("n_freq")?);
        let net = network(obs_dim, act_dim, hidden, case.activation()?, n_freq)?;
        let params = case.params("policy", net.layout())?;
        Ok(Self { net, params })
    }

    /// Gradient of `loss` in the policy, in `grad_order`.
    fn gradient(&self, case: &Case, loss: &Tensor) -> Result<Tensor> {
        let gradient = gradient(loss, &self.params, "policy")?;
        case.flat_gradient(&Gradients::new().with("policy", self.net.layout(), &gradient)?)
    }
}

fn sampler(case: &Case) -> Result<Sampler> {
    Ok(Sampler {
        n_steps: case.config("n_steps")?,
        latent_clip: case.config("latent_clip")?,
        precision: Precision::F32,
    })
}

fn candidates(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case)?;
    let critics = Critics::of(case, ["q1", "q2"], Activation::Mish)?;
    let obs = case.input("obs")?;
    let params = policy.params.detached();
    let rollout = sampler(case)?.rollout(&policy.net, &params, &obs, &case.input("z")?, true)?;
    let latent = sampler(case)?.clamp(&rollout.end)?;
    let action = latent.tanh()?;
    let online = critics.online.detached();
    let q = critics
        .net
        .min_q_candidates(&online, &obs, &action, Precision::F32)?;
    Ok(Outputs::new()
        .with("trajectory", Tensor::stack(&rollout.nodes, 2)?)
        .with("latent", latent)
        .with("action", action)
        .with("value", q.mean(D::Minus1)?)
        .with("advantage", advantage(&q)?)
        .with("q", q))
}

fn weight_forms(case: &Case) -> Result<Outputs> {
    let (a, log_prob) = (case.input("advantage")?, case.input("log_prob")?);
    let (t, alpha): (f64, f64) = (case.config("temperature")?, case.config("alpha")?);
    let bounds = Bounds {
        min: 1e-3,
        max: 1e3,
    };
    let solved = solve_temperature(&a, case.config("rho")?, bounds)?;
    let soft = weights(&a, t, Weighting::Softmax)?;
    let entropic = softmax_weights(&entropy_scores(&a, &log_prob, alpha)?, t + alpha)?;
    Outputs::new()
        .with("ess", effective_size(&soft)?)
        .with("ess_fraction", effective_fraction(&soft)?)
        .with("kl_uniform", kl_from_uniform(&soft)?)
        .with("weights", soft)
        .with(
            "weights_unnormalised",
            weights(&a, t, Weighting::Unnormalised)?,
        )
        .with("weights_top1", weights(&a, t, Weighting::Top1)?)
        .with("weights_bisect", weights(&a, solved, Weighting::Softmax)?)
        .with("weights_entropy", entropic)
        .with_scalar("temperature_bisect", solved)
}

fn wcfm(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case)?;
    let latent = case.input("latent")?;
    let (obs, z, tau) = (case.input("obs")?, case.input("z")?, case.input("tau")?);
    let pairs = Pairs::new(&obs, &latent, &z, &tau)?;
    let v = pairs.velocity(&policy.net, policy.params.tensor())?;
    let loss = pairs.loss(&v, &case.input("weights")?)?;
    Ok(Outputs::new()
        .with("v", v.reshape(latent.shape())?)
        .with("grad", policy.gradient(case, &loss)?)
        .with("loss", loss))
}

fn entropy_local(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case)?;
    let nodes = Nodes {
        obs: case.input("obs")?,
        u: case.input("u")?,
        tau: case.input("tau")?,
    };
    let probe = case.input("probe")?;
    let alpha: f64 = case.config("alpha")?;
    let mut outputs = Outputs::new();
    for (name, probe) in [("exact", None), ("hutchinson", Some(&probe))] {
        let local = Local::at(&policy.net, policy.params.tensor(), &nodes, probe)?;
        let loss = local.loss(alpha)?;
        outputs.set(&format!("grad_{name}"), policy.gradient(case, &loss)?);
        outputs.set(&format!("loss_{name}"), loss);
        outputs.set(&format!("h2_{name}"), local.entropy()?);
        outputs.set(&format!("div_{name}"), local.divergence);
        outputs.set("tanh_term", local.tanh_term);
    }
    Ok(outputs)
}

const FORMS: [(&str, VolumeRule); 4] = [
    ("trace", VolumeRule::Trace),
    ("hutchinson", VolumeRule::Hutchinson),
    ("second_order", VolumeRule::SecondOrder),
    ("logdet", VolumeRule::LogDet),
];

fn log_prob(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case)?;
    let (z, steps) = (case.input("z")?, case.config("n_steps")?);
    let (rows, k, _) = z.dims3()?;
    let (obs, noise) = (repeat_rows(&case.input("obs")?, k)?, z.flatten(0, 1)?);
    let probe = case.input("probe")?.flatten(0, 1)?;
    let params = policy.params.detached();
    let mut outputs = Outputs::new();
    for (name, form) in FORMS {
        let volume = form.with(&probe);
        let density = entropy::density(&policy.net, &params, &obs, &noise, steps, volume)?;
        outputs.set(&format!("entropy_h1_{name}"), density.entropy()?);
        let Density {
            latent,
            tanh_logdet,
            log_prob,
            ..
        } = density;
        outputs.set("latent", latent.reshape(z.shape())?);
        outputs.set("tanh_logdet", tanh_logdet.reshape((rows, k))?);
        outputs.set(&format!("log_prob_{name}"), log_prob.reshape((rows, k))?);
    }
    Ok(outputs.with("entropy_h2", entropy_h2(case, &policy, &z)?))
}

/// (H2) over all candidates and all points of their trajectories.
fn entropy_h2(case: &Case, policy: &Policy, z: &Tensor) -> Result<Tensor> {
    let (rows, k, d) = z.dims3()?;
    let sampler = Sampler {
        n_steps: case.config("n_steps")?,
        latent_clip: f64::INFINITY,
        precision: Precision::F32,
    };
    let (obs, params) = (case.input("obs")?, policy.params.detached());
    let trajectory = sampler.rollout(&policy.net, &params, &obs, z, true)?.nodes;
    let steps = trajectory.len();
    let times: Vec<f32> = (0..steps).map(|n| n as f32 / steps as f32).collect();
    let tau = Tensor::new(times, z.device())?.unsqueeze(1)?;
    let count = rows * k;
    let nodes = Nodes {
        obs: repeat_rows(&obs, k)?.repeat((steps, 1))?,
        u: Tensor::stack(&trajectory, 0)?.reshape((steps * count, d))?,
        tau: tau.broadcast_as((steps, count))?.flatten_all()?,
    };
    Ok(Local::at(&policy.net, &params, &nodes, None)?.entropy()?)
}

fn entropy_unrolled(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case)?;
    let z = case.input("z")?;
    let obs = repeat_rows(&case.input("obs")?, z.dim(1)?)?;
    let (z, probe) = (z.flatten(0, 1)?, case.input("probe")?.flatten(0, 1)?);
    let (steps, alpha): (usize, f64) = (case.config("n_steps")?, case.config("alpha")?);
    let theta = policy.params.tensor();
    let unrolled = entropy::unrolled(&policy.net, theta, &obs, &z, steps, Some(&probe))?;
    let loss = (unrolled.entropy * -alpha)?;
    Ok(Outputs::new()
        .with("grad", policy.gradient(case, &loss)?)
        .with("loss", loss))
}

fn dual_steps(case: &Case) -> Result<Outputs> {
    let bounds = |name: &str| -> Result<Bounds> {
        Ok(Bounds {
            min: case.config(&format!("{name}_min"))?,
            max: case.config(&format!("{name}_max"))?,
        })
    };
    let (alpha, temperature) = (bounds("alpha")?, bounds("temperature")?);
    let (target, lr) = (case.config("target_entropy")?, case.config("lr_alpha")?);
    let (rho, lr_t) = (case.config("rho")?, case.config("lr_temperature")?);
    let kappa = case.config("floor_kappa")?;
    let next_alpha = map(case, ["log_alpha", "entropy"], |log_alpha, entropy| {
        dual::alpha_step(&log_alpha.into(), &entropy.into(), target, lr, alpha)?.read()
    })?;
    let moved = map(case, ["log_temperature", "ess_fraction"], |log_t, e| {
        dual::temperature_step(&log_t.into(), &e.into(), rho, lr_t, temperature)?.read()
    })?;
    let gaps = case.values("q_gap")?.iter();
    let floored = moved.iter().zip(gaps).map(|(log_t, gap)| {
        dual::floored(&(*log_t).into(), kappa, &f64::from(*gap).into())?.read()
    });
    let n = [next_alpha.len()];
    let single = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    let floored = single(&floored.collect::<candle_core::Result<Vec<f64>>>()?);
    Outputs::new()
        .with_values("log_alpha_next", &n, single(&next_alpha))?
        .with_values("log_temperature_next", &n, single(&moved))?
        .with_values("log_temperature_floored", &n, floored)
}

/// `step` of the elements of two inputs.
fn map(
    case: &Case,
    names: [&str; 2],
    step: impl Fn(f64, f64) -> candle_core::Result<f64>,
) -> Result<Vec<f64>> {
    let (first, second) = (case.values(names[0])?, case.values(names[1])?);
    let pairs = first.iter().zip(second);
    let moved: candle_core::Result<_> = pairs
        .map(|(a, b)| step(f64::from(*a), f64::from(*b)))
        .collect();
    Ok(moved?)
}

fn critic_loss(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case)?;
    let critics = Critics::of(case, ["q1", "q2"], Activation::Mish)?;
    let targets = Critics::of(case, ["q1_target", "q2_target"], Activation::Mish)?;
    let (next_obs, z) = (case.input("next_obs")?, case.input("z")?);
    let probe = case.input("probe")?;
    let volume = VolumeRule::Hutchinson.with(&probe);
    let (params, sampler) = (policy.params.detached(), sampler(case)?);
    let next = next_action(&policy.net, &params, &next_obs, &z, &sampler, volume)?;
    let q_next = targets.min_q(&next_obs, &next.action)?;
    let value = match case.config("soft_backup")? {
        true => soft_value(&q_next, &next.log_prob, case.config::<f64>("alpha")?)?,
        false => q_next,
    };
    let (reward, terminated) = (case.input("reward")?, case.input("terminated")?);
    let y = td_target(&reward, &terminated, &value, 1.0, case.config("gamma")?)?;
    let (obs, act) = (case.input("obs")?, case.input("act")?);
    let q = critics.net.q_values(critics.online.tensor(), &obs, &act)?;
    let loss = td_loss(&q, &y)?;
    Ok(Outputs::new()
        .with("next_action", next.action)
        .with("log_prob", next.log_prob)
        .with("y", y)
        .with("grad", critics.gradient(case, &loss)?)
        .with("loss", loss))
}
