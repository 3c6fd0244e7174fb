//! `rldt.*`: transport field, chains, losses, lambda returns.

use advect_algos::rldt::critic::{Share, action_gradient, bootstrap_value, disjoint_losses};
use advect_algos::rldt::field::{Field, Kernel, QNorm, Transport};
use advect_algos::rldt::landing::{Particles, explored, sample};
use advect_algos::rldt::loss::Coefficients;
use advect_algos::rldt::step::{PolicyStep, StepLoss, StepNoise};
use advect_flow::sampler::trajectory;
use advect_flow::{Candidates, Grid, VelocityNet};
use advect_kernels::Precision;
use advect_kernels::kernel_matrix::{RadialKernel, kernel_matrix};
use advect_rl::CriticNet;
use advect_rl::advantage::{TimeLimits, lambda_returns};
use candle_core::{DType, Tensor};

use super::critics::{Critics, gradient};
use super::rldt_policy::RldtPolicy;
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::{Gradients, Outputs};
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("rldt.actor_loss", actor),
    ("rldt.critic_loss", critic_loss),
    ("rldt.sample", chains),
    ("rldt.svgd_field", svgd_field),
    ("rldt.td_lambda", td_lambda),
];

/// The names of both critics.
const CRITICS: [&str; 2] = ["q1", "q2"];

fn field(case: &Case) -> Result<Field> {
    let (transport, q_norm): (String, String) = (case.config("svgd_type")?, case.config("q_norm")?);
    Ok(Field {
        transport: match transport.as_str() {
            "normal" => Transport::Normal,
            "interp" => Transport::Interp,
            "hybrid" => Transport::Hybrid,
            "delta" => Transport::Delta,
            other => return Err(GoldenError::unknown_choice("svgd_type", other)),
        },
        q_norm: match q_norm.as_str() {
            "svgd" => QNorm::Svgd,
            "q_grad" => QNorm::QGrad,
            "none" => QNorm::None,
            other => return Err(GoldenError::unknown_choice("q_norm", other)),
        },
        kernel: Kernel::Rbf,
        temperature: case.config("svgd_temp")?,
        bandwidth: case.config("bandwidth")?,
    })
}

fn svgd_field(case: &Case) -> Result<Outputs> {
    let field = field(case)?;
    let (y, a) = (case.input("y")?, case.input("a")?);
    let landings = field.takes_landing_gradients();
    let g = case.input(if landings { "g_y" } else { "g" })?;
    let steps: f64 = case.config("K")?;
    let last = case.input("k")?.eq(steps - 1.0)?.to_dtype(DType::F32)?;
    let moved = field.at(&y, &a, &g, &last)?;
    let outputs = Outputs::new().with("phi", moved.phi);
    let Some(parts) = moved.parts else {
        return Ok(outputs);
    };
    let particles = match field.transport {
        Transport::Interp => &y,
        _ => &a,
    };
    let kernel = kernel_matrix(RadialKernel::Rbf, &y, particles, &parts.bandwidth)?;
    Ok(outputs
        .with("h", parts.bandwidth)
        .with("kernel", kernel)
        .with("kappa", parts.kappa)
        .with("attraction", parts.attraction)
        .with("repulsion", parts.repulsion))
}

fn td_lambda(case: &Case) -> Result<Outputs> {
    let q = case.input("q_target")?;
    let (times, envs, samples, critics) = q.dims4()?;
    let members = q
        .reshape((times * envs, samples, critics))?
        .permute((2, 0, 1))?
        .contiguous()?;
    let clip = (case.config("q_min")?, case.config("q_max")?);
    let q_hat = bootstrap_value(&members, clip)?;
    let rows = |name: &str| -> Result<Tensor> { Ok(case.input(name)?.flatten_all()?) };
    let (reward, done) = (rows("reward")?, rows("done")?);
    let discount = (case.config("gamma")?, case.config("lam")?);
    let (running, limits) = (done.zeros_like()?, TimeLimits::Terminal);
    let returns = lambda_returns(&reward, &done, &running, envs, discount, limits)?;
    let y = returns.of(&q_hat.narrow(0, envs, (times - 1) * envs)?)?;
    Ok(Outputs::new()
        .with("q_hat", q_hat.reshape((times, envs))?)
        .with("y", y.reshape((times - 1, envs))?))
}

fn critic_loss(case: &Case) -> Result<Outputs> {
    let (sizes, widths) = (case.mlp_sizes("q1")?, case.shape("obs")?.to_vec());
    let (obs_dim, hidden) = (widths[2], &sizes[1..sizes.len() - 1]);
    let activation = case.activation_at("critic_activation")?;
    let net = CriticNet::new(obs_dim, sizes[0] - obs_dim, hidden, activation)?;
    let params = case.ensemble(&CRITICS, &net.layout())?;
    let (mut shares, mut y) = (Vec::new(), Vec::new());
    for e in 0..CRITICS.len() {
        shares.push(Share {
            obs: share(case, e, "obs")?,
            act: share(case, e, "act")?,
        });
        y.push(share(case, e, "y")?);
    }
    let each = Tensor::stack(&disjoint_losses(&net, params.tensor(), &shares, &y)?, 0)?;
    let loss = each.sum_all()?;
    let gradient = gradient(&loss, &params, "q1, q2")?;
    let gradients = Gradients::new().with_members(&CRITICS, &net.layout(), &gradient)?;
    Ok(Outputs::new()
        .with("loss_each", each.detach())
        .with("loss", loss.reshape(1)?)
        .with("grad", case.flat_gradient(&gradients)?))
}

/// Rows of the trajectories of critic `e` (e, e + 2, e + 4, ...) of an input.
fn share(case: &Case, e: usize, name: &str) -> Result<Tensor> {
    let whole = case.input(name)?;
    let own: Vec<u32> = (e as u32..whole.dim(0)? as u32)
        .step_by(CRITICS.len())
        .collect();
    let index = Tensor::new(own.as_slice(), whole.device())?;
    Ok(whole.index_select(&index, 0)?.flatten(0, 1)?)
}

/// The particles of a file.
struct Sampled {
    policy: RldtPolicy,
    obs: Tensor,
    particles: Particles,
    n_steps: usize,
}

fn sampled(case: &Case) -> Result<Sampled> {
    let policy = RldtPolicy::of(case)?;
    let (obs, noise) = (case.input("obs")?, case.input("x0")?);
    let (n_steps, per_state): (usize, usize) = (case.config("K")?, case.config("P")?);
    let (states, width) = (obs.dim(0)?, noise.dim(1)?);
    let step = case.input("k")?.to_dtype(DType::U32)?;
    let particles = {
        let params = policy.params.detached();
        let field = field_of(&policy, &params, &obs);
        let noise = noise.reshape((states, per_state, width))?;
        sample(&field, &noise, &step.reshape((states, per_state))?, n_steps)?
    };
    Ok(Sampled {
        policy,
        obs,
        particles,
        n_steps,
    })
}

fn field_of<'a>(
    policy: &'a RldtPolicy,
    params: &'a Tensor,
    obs: &'a Tensor,
) -> Candidates<'a, VelocityNet> {
    Candidates {
        net: &policy.net,
        params,
        obs,
        precision: Precision::F32,
    }
}

fn chains(case: &Case) -> Result<Outputs> {
    let Sampled {
        policy,
        obs,
        particles,
        n_steps,
    } = sampled(case)?;
    let [action, landing, point] =
        [&particles.action, &particles.landing, &particles.point].map(|x| x.flatten(0, 1));
    let (action, landing) = (action?, landing?);
    let params = policy.params.detached();
    let field = field_of(&policy, &params, &obs);
    let noise = case.input("x0")?.reshape(particles.action.shape())?;
    let chain = trajectory(&field, &noise, Grid::data_up(n_steps))?;
    Ok(Outputs::new()
        .with("chain", Tensor::stack(&chain, 2)?.flatten(0, 1)?)
        .with("explore", explored(&action, &landing, &case.input("eps")?)?)
        .with("x_at_k", point?)
        .with("action", action)
        .with("landing", landing))
}

fn actor(case: &Case) -> Result<Outputs> {
    let policy = RldtPolicy::of(case)?;
    let reference = policy.params_of(case, "ref")?;
    let critics = Critics::of(case, CRITICS, case.activation_at("critic_activation")?)?;
    let (obs, x_0, step) = (case.input("obs")?, case.input("x0")?, case.input("k")?);
    let per_state: usize = case.config("P")?;
    let (states, width) = (obs.dim(0)?, x_0.dim(1)?);
    let noise = StepNoise {
        x_0: x_0.reshape((states, per_state, width))?,
        step: step.to_dtype(DType::U32)?.reshape((states, per_state))?,
        z: case.input("z_ref")?,
        anchor_step: case.input("k_ref")?.to_dtype(DType::U32)?,
    };
    let policy_step = PolicyStep {
        net: &policy.net,
        field: field(case)?,
        coefficients: Coefficients {
            consistency: case.config("c_cons")?,
            anchor: case.config("c_kl")?,
            n_steps: case.config("K")?,
        },
    };
    let (online, anchor) = (policy.params.tensor(), reference.tensor());
    let value = |obs: &Tensor, act: &Tensor| {
        action_gradient(&critics.net, critics.online.tensor(), obs, act)
    };
    let loss = policy_step.loss(online, anchor, &obs, &noise, value)?;
    actor_outputs(case, &policy, loss)
}

fn actor_outputs(case: &Case, policy: &RldtPolicy, loss: StepLoss) -> Result<Outputs> {
    let StepLoss {
        terms,
        targets,
        landing,
        g,
        v,
    } = loss;
    let total = terms.total()?;
    let gradient = gradient(&total, &policy.params, "policy")?;
    let gradients = Gradients::new().with("policy", policy.net.layout(), &gradient)?;
    Ok(Outputs::new()
        .with("loss_svgd", terms.transport.reshape(1)?)
        .with("loss_cons", terms.consistency.reshape(1)?)
        .with("loss_kl", terms.anchor.reshape(1)?)
        .with("loss", total.reshape(1)?)
        .with("grad", case.flat_gradient(&gradients)?)
        .with("v", v.detach())
        .with("v_ref", targets.v_ref)
        .with("phi", targets.phi)
        .with("q_grad", g)
        .with("action", targets.action)
        .with("landing", landing))
}
