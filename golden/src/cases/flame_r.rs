//! `flame_r.*`: the rectified-flow variant.

use advect_algos::flame::config::{Entropy, FlameConfig, KReduction, Trace, Variant};
use advect_algos::flame::entropy::{Estimator, rectified_flow_entropy};
use advect_algos::flame::{Generator, policy_r};
use advect_flow::density::{Volume, transport};
use advect_flow::{Conditional, Grid, TimeConvention, VelocityNet};
use candle_core::Tensor;

use super::flame::{Policy, Weighted};
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("flame_r.policy_loss", policy_loss),
    ("flame_r.log_prob", log_prob),
];

fn network(policy: &Policy) -> Result<&VelocityNet> {
    match &policy.generator {
        Generator::R(net) => Ok(net),
        Generator::M(_) => Err(GoldenError::malformed("the policy is no FLAME-R network")),
    }
}

fn policy_loss(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case, Variant::R)?;
    let net = network(&policy)?;
    let (obs, tau) = (case.input("obs")?, case.input("tau")?);
    let config = FlameConfig {
        alpha_floor: case.config("alpha_floor")?,
        ..FlameConfig::of(Variant::R)
    };
    let Weighted {
        proposals,
        q,
        weights,
    } = Weighted::of(case, TimeConvention::DataUp, &tau, &config)?;
    let u_bar = proposals.mean_velocity(TimeConvention::DataUp, &weights)?;
    let theta = policy.params.tensor();
    let factor = policy_r::reduction_factor(
        case.config("k_reduction").and_then(k_reduction)?,
        weights.dim(1)?,
    );
    let loss = (policy_r::shared_loss(net, theta, &obs, &proposals.z, &tau, &u_bar)? * factor)?;
    let loss_rows = (policy_r::row_loss(net, theta, &obs, &tau, &proposals, &weights)? * factor)?;
    Ok(Outputs::new()
        .with("v", net.forward(theta, &obs, &proposals.z, [&tau])?)
        .with("z", proposals.z)
        .with("proposals", proposals.act)
        .with("q", q)
        .with("weights", weights)
        .with("u_bar", u_bar)
        .with("grad", policy.gradient(case, &loss)?)
        .with("grad_rows", policy.gradient(case, &loss_rows)?)
        .with("loss", loss)
        .with("loss_rows", loss_rows))
}

fn k_reduction(name: String) -> Result<KReduction> {
    match name.as_str() {
        "sum" => Ok(KReduction::Sum),
        "mean" => Ok(KReduction::Mean),
        _ => Err(GoldenError::Config {
            key: "k_reduction".into(),
            problem: format!("`{name}` is none of sum, mean"),
        }),
    }
}

fn log_prob(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case, Variant::R)?;
    let net = network(&policy)?;
    let params = policy.params.detached();
    let (obs, act, probe) = (case.input("obs")?, case.input("act")?, case.input("probe")?);
    let n_ent = case.config("n_ent")?;
    let field = Conditional {
        net,
        params: &params,
        obs: &obs,
    };
    let forms = [
        ("trace", Volume::Trace, Trace::Exact),
        ("hutchinson", Volume::Hutchinson(&probe), Trace::Gaussian),
    ];
    let mut outputs = Outputs::new();
    for (name, volume, trace) in forms {
        let moved = transport(&field, &act, Grid::downwards(n_ent), volume)?;
        let estimator = Estimator {
            entropy: Entropy::FirstOrder,
            trace,
            n_ent,
        };
        let entropy: Tensor = rectified_flow_entropy(net, &params, &obs, &act, &probe, estimator)?;
        outputs.set(&format!("div_{name}"), moved.log_volume.neg()?);
        outputs.set(&format!("log_prob_{name}"), entropy.neg()?);
        outputs.set(&format!("entropy_mean_{name}"), entropy.mean_all()?);
        outputs.set("f0", moved.end);
    }
    Ok(outputs)
}
