//! `flame_m.*` and `meanflow.loss`: the MeanFlow variant.

use advect_algos::flame::config::{Entropy, FlameConfig, Trace, Variant};
use advect_algos::flame::entropy::{Estimator, mean_flow_entropy};
use advect_algos::flame::proposals::Proposals;
use advect_algos::flame::{Generator, policy_m};
use advect_flow::density::standard_normal_entropy;
use advect_flow::density::standard_normal_log_prob;
use advect_flow::meanflow::{self, SampleWeight};
use advect_flow::sampler::integrate;
use advect_flow::{Conditional, Grid, MeanVelocityNet, TimeConvention};
use advect_kernels::Activation;
use candle_core::Tensor;

use super::critics::Critics;
use super::flame::{Policy, Weighted};
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("flame_m.policy_loss", policy_loss),
    ("flame_m.entropy", entropy),
    ("meanflow.loss", meanflow_loss),
];

fn network(policy: &Policy) -> Result<&MeanVelocityNet> {
    match &policy.generator {
        Generator::M(net) => Ok(net),
        Generator::R(_) => Err(GoldenError::malformed("the policy is no FLAME-M network")),
    }
}

fn policy_loss(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case, Variant::M)?;
    let net = network(&policy)?;
    let (obs, r, t) = (case.input("obs")?, case.input("r")?, case.input("t")?);
    let config = FlameConfig::of(Variant::M);
    let Weighted {
        proposals,
        q,
        weights,
    } = Weighted::of(case, TimeConvention::NoiseUp, &t, &config)?;
    let v_bar = proposals.mean_velocity(TimeConvention::NoiseUp, &weights)?;
    let theta = policy.params.tensor();
    let shared = policy_m::shared_loss(net, theta, &obs, &proposals.z, (&r, &t), &v_bar, None)?;
    let mut outputs = Outputs::new();
    let dpg = dpg_loss(case, net, &policy, &mut outputs)?;
    let total = |loss: &Tensor| -> Result<Tensor> {
        Ok(match &dpg {
            Some(dpg) => (loss + dpg)?,
            None => loss.clone(),
        })
    };
    if case.config("rows")? {
        let loss = policy_m::row_loss(net, theta, &obs, (&r, &t), &proposals, &weights)?;
        outputs.set("grad_rows", policy.gradient(case, &total(&loss)?)?);
        outputs.set("loss_rows", loss);
    }
    let loss_total = total(&shared.loss)?;
    let Proposals { z, act, .. } = proposals;
    Ok(outputs
        .with("z", z)
        .with("proposals", act)
        .with("q", q)
        .with("weights", weights)
        .with("v_bar", v_bar)
        .with("u", shared.u)
        .with("jvp", shared.target.jvp)
        .with("target", shared.target.target)
        .with("loss", shared.loss)
        .with("grad", policy.gradient(case, &loss_total)?)
        .with("loss_total", loss_total))
}

/// `dpg_coef` times the -Q term, where the coefficient is above zero.
fn dpg_loss(
    case: &Case,
    net: &MeanVelocityNet,
    policy: &Policy,
    outputs: &mut Outputs,
) -> Result<Option<Tensor>> {
    let coefficient: f64 = case.config("dpg_coef")?;
    if coefficient <= 0.0 {
        return Ok(None);
    }
    let targets = Critics::of(case, ["q1_target", "q2_target"], Activation::Mish)?;
    let (obs, xi, base_std) = (
        case.input("obs")?,
        case.input("xi")?,
        case.config("base_std")?,
    );
    let (theta, critics) = (policy.params.tensor(), targets.online.detached());
    let dpg = policy_m::dpg_loss(net, theta, &targets.net, &critics, &obs, &xi, base_std)?;
    outputs.set("gen_action", dpg.action);
    outputs.set("dpg_loss", dpg.loss.clone());
    Ok(Some((dpg.loss * coefficient)?))
}

fn entropy(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case, Variant::M)?;
    let net = network(&policy)?;
    let params = policy.params.detached();
    let (obs, z_1, probe) = (case.input("obs")?, case.input("z1")?, case.input("probe")?);
    let n_ent = case.config("n_ent")?;
    let base = standard_normal_entropy(z_1.dim(1)?);
    let forms = [
        ("first_order", Entropy::FirstOrder, Trace::Exact),
        ("hutchinson", Entropy::FirstOrder, Trace::Rademacher),
        ("exact_logdet", Entropy::ExactLogdet, Trace::Exact),
    ];
    let mut outputs = Outputs::new();
    for (name, entropy, trace) in forms {
        let estimator = Estimator {
            entropy,
            trace,
            n_ent,
        };
        let entropy = mean_flow_entropy(net, &params, &obs, &z_1, &probe, estimator)?;
        let log_prob = (standard_normal_log_prob(&z_1)? - (&entropy - base)?)?;
        outputs.set(&format!("log_prob_{name}"), log_prob);
        outputs.set(&format!("entropy_mean_{name}"), entropy.mean_all()?);
        outputs.set(&format!("entropy_{name}"), entropy);
    }
    let field = Conditional {
        net,
        params: &params,
        obs: &obs,
    };
    Ok(outputs.with("action", integrate(&field, &z_1, Grid::downwards(n_ent))?))
}

fn meanflow_loss(case: &Case) -> Result<Outputs> {
    let policy = Policy::of(case, Variant::M)?;
    let weight = match case.config("adaptive_weight")? {
        true => SampleWeight::Adaptive {
            c: case.config("adaptive_c")?,
        },
        false => SampleWeight::Uniform,
    };
    let [obs, act, eps, r, t] = ["obs", "act", "eps", "r", "t"].map(|name| case.input(name));
    let (obs, act, eps) = (obs?, act?, eps?);
    let theta = policy.params.tensor();
    let found = meanflow::loss(
        network(&policy)?,
        theta,
        &obs,
        &act,
        &eps,
        (&r?, &t?),
        weight,
    )?;
    Ok(Outputs::new()
        .with("jvp", found.target.jvp)
        .with("target", found.target.target)
        .with("sample_loss", found.sample_loss)
        .with("grad", policy.gradient(case, &found.loss)?)
        .with("loss", found.loss))
}
