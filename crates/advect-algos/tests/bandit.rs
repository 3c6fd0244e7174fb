//! With a known Q of two modes, the reweighted losses learn `exp(Q / alpha) / Z`.

mod common;

use advect_algos::candidates::softmax_weights;
use advect_algos::flame::config::Variant;
use advect_algos::flame::proposals::{ProposalNoise, propose};
use advect_algos::flame::{Generator, policy_m, policy_r};
use advect_flow::{TimeConvention, TimeSampler};
use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::{Params, Precision, init, random};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

const ROWS: usize = 256;
const K: usize = 32;
const ALPHA: f64 = 0.2;
const BINS: usize = 16;

/// `Q / alpha` is the logarithm of two bumps of unequal height.
fn q(a: f64) -> f64 {
    let bump = |centre: f64, width: f64| (-0.5 * ((a - centre) / width).powi(2)).exp();
    ALPHA * (0.7 * bump(-0.5, 0.2) + 0.3 * bump(0.5, 0.2) + 1e-3).ln()
}

fn q_values(act: &Tensor) -> Result<Tensor> {
    let values = act
        .flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(|a| q(f64::from(a)) as f32)
        .collect();
    Tensor::from_vec(values, (act.dim(0)?, act.dim(1)?), act.device())
}

/// Probability of every bin under `exp(Q / alpha) / Z` on [-1, 1].
fn target() -> [f64; BINS] {
    const FINE: usize = 200;
    let mut mass = [0.0; BINS];
    for (i, mass) in mass.iter_mut().enumerate() {
        let at = |j: usize| -1.0 + 2.0 * (i as f64 + (j as f64 + 0.5) / FINE as f64) / BINS as f64;
        *mass = (0..FINE).map(|j| (q(at(j)) / ALPHA).exp()).sum();
    }
    let z: f64 = mass.iter().sum();
    mass.map(|m| m / z)
}

fn histogram(actions: &[f32]) -> [f64; BINS] {
    let mut counts = [0.0; BINS];
    for a in actions {
        let bin = ((a.clamp(-1.0, 1.0) + 1.0) * 0.5 * BINS as f32) as usize;
        counts[bin.min(BINS - 1)] += 1.0 / actions.len() as f64;
    }
    counts
}

fn loss(
    generator: &Generator,
    params: &Params,
    obs: &Tensor,
    stream: &mut Stream,
) -> Result<Tensor> {
    let device = Device::Cpu;
    let act = random::uniform(stream, -1.0, 1.0, (ROWS, 1), &device)?;
    let noise = ProposalNoise {
        eps0: random::normal(stream, (ROWS, 1), &device)?,
        levels: random::uniform(stream, 0.0, 1.0, (ROWS, K, 1), &device)?,
    };
    let uniform = |stream: &mut Stream| random::uniform(stream, 0.0, 1.0, ROWS, &device);
    let theta = params.tensor();
    match generator {
        Generator::M(net) => {
            let sampler = TimeSampler::Uniform {
                low: 0.0054,
                high: 0.999,
            };
            let (r, t) = sampler.pair(&uniform(stream)?, &uniform(stream)?)?;
            let proposals = propose(TimeConvention::NoiseUp, &act, &t, &noise, false)?;
            let v_bar = proposals.mean_velocity(
                TimeConvention::NoiseUp,
                &softmax_weights(&q_values(&proposals.act)?, ALPHA)?,
            )?;
            Ok(policy_m::shared_loss(net, theta, obs, &proposals.z, (&r, &t), &v_bar, None)?.loss)
        }
        Generator::R(net) => {
            let tau = TimeSampler::Uniform {
                low: 0.001,
                high: 0.9946,
            }
            .map(&uniform(stream)?)?;
            let proposals = propose(TimeConvention::DataUp, &act, &tau, &noise, false)?;
            let u_bar = proposals.mean_velocity(
                TimeConvention::DataUp,
                &softmax_weights(&q_values(&proposals.act)?, ALPHA)?,
            )?;
            policy_r::shared_loss(net, theta, obs, &proposals.z, &tau, &u_bar)
        }
    }
}

/// Actions generated in 1 and in `n_gen` steps after `steps` updates.
fn train_and_generate(variant: Variant, steps: u64, n_gen: usize) -> Result<[Vec<f32>; 2]> {
    let device = Device::Cpu;
    let generator = Generator::new(variant, 1, 1, &[64, 64])?;
    let layout = generator.layout().clone();
    let scheme = init::Init::TruncatedNormal { scale: 1.0 };
    let values = init::draw(&layout, scheme, &mut Stream::new(2, "init"));
    let params = Params::from_vec(layout, None, values, &device)?;
    let mut adam = Adam::new(&params, AdamConfig::default())?;
    let mut stream = Stream::new(2, "noise");
    let obs = Tensor::zeros((ROWS, 1), candle_core::DType::F32, &device)?;
    for step in 0..steps {
        let loss = loss(&generator, &params, &obs, &mut stream)?;
        let gradients = loss.backward()?;
        let missing = || candle_core::Error::Msg("no gradient".into());
        let gradient = gradients.get(params.var()).ok_or_else(missing)?;
        let lr = 3e-3 * (1.0 - step as f64 / steps as f64);
        adam.step(&params, gradient, lr)?;
    }
    let z = random::normal(&mut stream, (ROWS, 64, 1), &device)?;
    let generate = |n| {
        let act = generator.candidates(&params.detached(), &obs, &z, n, Precision::F32)?;
        act.flatten_all()?.to_vec1::<f32>()
    };
    Ok([generate(1)?, generate(n_gen)?])
}

/// Half the L1 distance between the histogram of the actions and the target.
fn total_variation(actions: &[f32]) -> f64 {
    0.5 * histogram(actions)
        .iter()
        .zip(target())
        .map(|(a, b)| (a - b).abs())
        .sum::<f64>()
}

/// Share of the actions in the left mode's half.
fn left_share(actions: &[f32]) -> f64 {
    actions.iter().filter(|a| **a < 0.0).count() as f64 / actions.len() as f64
}

#[test]
fn rectified_flow_learns_the_boltzmann_policy() -> Result<()> {
    let [_, actions] = train_and_generate(Variant::R, 2000, 50)?;
    let (distance, left) = (total_variation(&actions), left_share(&actions));
    assert!(distance < 0.1, "total variation {distance}");
    assert!((left - 0.7).abs() < 0.06, "{left} of the mass is left");
    Ok(())
}

/// The exact one-step map from a normal to two modes is nearly a step function: a small network puts some mass between
/// them, which more steps of the same network remove.
#[test]
fn meanflow_learns_the_boltzmann_policy() -> Result<()> {
    let [one, ten] = train_and_generate(Variant::M, 5000, 10)?;
    let (one_step, ten_steps) = (total_variation(&one), total_variation(&ten));
    assert!(one_step < 0.2, "total variation of one step {one_step}");
    assert!(ten_steps < 0.12, "total variation of ten steps {ten_steps}");
    for actions in [&one, &ten] {
        let left = left_share(actions);
        assert!((left - 0.7).abs() < 0.06, "{left} of the mass is left");
    }
    Ok(())
}
