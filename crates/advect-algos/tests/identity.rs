//! flame.md eq. (6): `B` rows with the mean velocity have the gradient of `B K` rows.

mod common;

use advect_algos::candidates::{effective_fraction, softmax_weights};
use advect_algos::flame::config::Variant;
use advect_algos::flame::proposals::{ProposalNoise, Proposals, propose};
use advect_algos::flame::{Generator, policy_m, policy_r};
use advect_flow::{TimeConvention, TimeSampler};
use advect_kernels::{Params, init, random};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};
use common::{DIMS, max_abs};

const ROWS: usize = 12;
const K: usize = 9;

struct Problem {
    generator: Generator,
    params: Params,
    obs: Tensor,
    r: Tensor,
    t: Tensor,
    proposals: Proposals,
    weights: Tensor,
}

fn problem(variant: Variant, path: TimeConvention) -> Result<Problem> {
    let device = Device::Cpu;
    let generator = Generator::new(variant, DIMS.obs, DIMS.act, &[32, 32])?;
    let layout = generator.layout().clone();
    let scheme = init::Init::TruncatedNormal { scale: 1.0 };
    let values = init::draw(&layout, scheme, &mut Stream::new(5, "init"));
    let params = Params::from_vec(layout, None, values, &device)?;
    let mut stream = Stream::new(5, "noise");
    let obs = random::normal(&mut stream, (ROWS, DIMS.obs), &device)?;
    let act = random::uniform(&mut stream, -1.0, 1.0, (ROWS, DIMS.act), &device)?;
    let mut uniform = || random::uniform(&mut stream, 0.0, 1.0, ROWS, &device);
    let (r, t) = TimeSampler::Uniform {
        low: 0.05,
        high: 0.95,
    }
    .pair(&uniform()?, &uniform()?)?;
    let noise = ProposalNoise {
        eps0: random::normal(&mut stream, (ROWS, DIMS.act), &device)?,
        levels: random::uniform(&mut stream, 0.0, 1.0, (ROWS, K, DIMS.act), &device)?,
    };
    let proposals = propose(path, &act, &t, &noise, false)?;
    let weights = softmax_weights(&proposals.act.sqr()?.sum(2)?, 0.3)?;
    Ok(Problem {
        generator,
        params,
        obs,
        r,
        t,
        proposals,
        weights,
    })
}

fn gradient(loss: &Tensor, params: &Params) -> Result<Tensor> {
    let missing = || candle_core::Error::Msg("no gradient".into());
    loss.backward()?.remove(params.var()).ok_or_else(missing)
}

fn assert_same(shared: &Tensor, rows: &Tensor) -> Result<()> {
    let scale = max_abs(rows)?;
    let error = max_abs(&(shared - rows)?)?;
    assert!(
        scale > 1e-3 && error < 1e-5 * scale.max(1.0),
        "{error} of {scale}"
    );
    Ok(())
}

#[test]
fn meanflow_gradients_agree() -> Result<()> {
    let p = problem(Variant::M, TimeConvention::NoiseUp)?;
    let Generator::M(net) = &p.generator else {
        unreachable!("variant M")
    };
    let (theta, times) = (p.params.tensor(), (&p.r, &p.t));
    let v_bar = p
        .proposals
        .mean_velocity(TimeConvention::NoiseUp, &p.weights)?;
    let shared = policy_m::shared_loss(net, theta, &p.obs, &p.proposals.z, times, &v_bar, None)?;
    let rows = policy_m::row_loss(net, theta, &p.obs, times, &p.proposals, &p.weights)?;
    assert!(
        rows.to_scalar::<f32>()? > shared.loss.to_scalar::<f32>()?,
        "the row form adds the targets' variance"
    );
    assert_same(
        &gradient(&shared.loss, &p.params)?,
        &gradient(&rows, &p.params)?,
    )
}

#[test]
fn rectified_flow_gradients_agree() -> Result<()> {
    let p = problem(Variant::R, TimeConvention::DataUp)?;
    let Generator::R(net) = &p.generator else {
        unreachable!("variant R")
    };
    let theta = p.params.tensor();
    let u_bar = p
        .proposals
        .mean_velocity(TimeConvention::DataUp, &p.weights)?;
    let shared = policy_r::shared_loss(net, theta, &p.obs, &p.proposals.z, &p.t, &u_bar)?;
    let rows = policy_r::row_loss(net, theta, &p.obs, &p.t, &p.proposals, &p.weights)?;
    assert!(
        rows.to_scalar::<f32>()? > shared.to_scalar::<f32>()?,
        "the row form adds the targets' variance"
    );
    assert_same(&gradient(&shared, &p.params)?, &gradient(&rows, &p.params)?)
}

#[test]
fn weights_are_a_softmax_and_proposals_stay_on_the_path() -> Result<()> {
    let p = problem(Variant::M, TimeConvention::NoiseUp)?;
    let sums = p.weights.sum(1)?.to_vec1::<f32>()?;
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6));
    let ess = effective_fraction(&p.weights)?.to_scalar::<f32>()?;
    assert!(ess > 1.0 / K as f32 && ess < 1.0);
    assert_eq!(
        effective_fraction(&Tensor::full(0.25f32, (3, 4), &Device::Cpu)?)?.to_scalar::<f32>()?,
        1.0
    );
    let (act, eps) = (
        p.proposals.act.to_vec3::<f32>()?,
        p.proposals.eps.to_vec3::<f32>()?,
    );
    let (z, t) = (p.proposals.z.to_vec2::<f32>()?, p.t.to_vec1::<f32>()?);
    for b in 0..ROWS {
        for k in 0..K {
            for i in 0..DIMS.act {
                assert!(act[b][k][i].abs() <= 1.0);
                let back = (1.0 - t[b]) * act[b][k][i] + t[b] * eps[b][k][i];
                assert!((back - z[b][i]).abs() < 1e-5);
            }
        }
    }
    Ok(())
}
