//! One state, two goals: the exact mirror step, and the flow fitted to it by weighted conditional flow matching.

use std::sync::OnceLock;

use advect_algos::candidates::{effective_fraction, softmax_weights};
use advect_algos::fmer::policy::{Sampler, network};
use advect_algos::fmer::wcfm::Pairs;
use advect_flow::VelocityNet;
use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::{Activation, Params, Precision, init, random};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};

use crate::quadrature::normal_quantiles;

/// T, then P(a > 0), E[R] and asymptotic ESS/K after one exact mirror step (fmer.md section 12).
const PRINTED: [(f64, f64, f64, f64); 3] = [
    (1.0, 0.50978, 0.37274, 0.8760),
    (0.3, 0.55864, 0.67840, 0.3332),
    (0.1, 0.71922, 0.91581, 0.1058),
];

fn reward(a: f64) -> f64 {
    let bump = |centre: f64| (-((a - centre) / 0.15).powi(2)).exp();
    bump(0.6) + 0.9 * bump(-0.6)
}

fn rewards(latents: &[f32]) -> Vec<f32> {
    let reward = |u: &f32| reward(f64::from(*u).tanh()) as f32;
    latents.iter().map(reward).collect()
}

/// P(a > 0) and E[R] of weighted latents.
fn summary(latents: &[f32], weights: &[f32]) -> (f64, f64) {
    let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    let mean = |f: &dyn Fn(f64) -> f64| {
        let pairs = latents.iter().zip(weights);
        pairs
            .map(|(u, w)| f(f64::from(*u).tanh()) * f64::from(*w))
            .sum::<f64>()
            / total
    };
    (mean(&|a| f64::from(u8::from(a > 0.0))), mean(&reward))
}

/// Softmax weights of latents at every temperature of the table `[3, K]`.
fn mirror_weights(latents: &[f32]) -> Result<Tensor> {
    let q = Tensor::new(rewards(latents), &Device::Cpu)?.unsqueeze(0)?;
    let rows: Vec<Tensor> = PRINTED
        .iter()
        .map(|(t, ..)| softmax_weights(&q, *t))
        .collect::<Result<_>>()?;
    Tensor::cat(&rows, 0)
}

#[test]
fn one_exact_mirror_step_has_the_printed_values() -> Result<()> {
    let latents = normal_quantiles(20_000);
    let equal = vec![1f32; latents.len()];
    let prior = summary(&latents, &equal).1;
    assert!((prior - 0.25177).abs() < 6e-6, "prior {prior}");
    let weights = mirror_weights(&latents)?;
    for (i, (t, right, mean, ess)) in PRINTED.into_iter().enumerate() {
        let row = weights.narrow(0, i, 1)?;
        let (p, r) = summary(&latents, &row.flatten_all()?.to_vec1::<f32>()?);
        let e = effective_fraction(&row)?.to_scalar::<f32>()?;
        println!("T = {t}: P(a > 0) = {p:.5}, E[R] = {r:.5}, ESS/K = {e:.4}");
        assert!(
            (p - right).abs() < 6e-6 && (r - mean).abs() < 6e-6,
            "T = {t}: {p}, {r}"
        );
        assert!((f64::from(e) - ess).abs() < 6e-5, "T = {t}: ESS/K {e}");
    }
    Ok(())
}

const CANDIDATES: usize = 1024;
/// Of the fixed candidates, every so many-th is in a minibatch.
const STRIDE: usize = 8;
/// Quantiles of the noise that a flow is read off at.
const PROBES: usize = 2000;

/// One network for the three temperatures, which it sees as its state.
struct Fit {
    net: VelocityNet,
    params: Params,
    states: Tensor,
    stream: Stream,
}

impl Fit {
    fn new() -> Result<Self> {
        let device = Device::Cpu;
        let net = network(PRINTED.len(), 1, &[48; 3], Activation::Mish, 1)?;
        let scheme = init::Init::TruncatedNormal { scale: 1.0 };
        let values = init::draw(net.layout(), scheme, &mut Stream::new(1, "init"));
        Ok(Self {
            params: Params::from_vec(net.layout().clone(), None, values, &device)?,
            states: Tensor::eye(PRINTED.len(), DType::F32, &device)?,
            stream: Stream::new(1, "noise"),
            net,
        })
    }

    /// Adam steps on fixed candidates `[3, K, 1]` with weights `[3, K]`; the learning rate falls to zero.
    fn train(&mut self, latent: &Tensor, weights: &Tensor, steps: usize, lr: f64) -> Result<()> {
        let device = Device::Cpu;
        let (states, k, _) = latent.dims3()?;
        let shape = (states, k / STRIDE, STRIDE, 1);
        let (latent, weights) = (
            latent.reshape(shape)?,
            (weights.reshape(shape)? * STRIDE as f64)?,
        );
        let mut adam = Adam::new(&self.params, AdamConfig::default())?;
        for step in 0..steps {
            let part = |x: &Tensor| x.narrow(2, step % STRIDE, 1)?.squeeze(2)?.contiguous();
            let (latent, weights) = (part(&latent)?, part(&weights)?.squeeze(2)?);
            let z = random::normal(&mut self.stream, latent.dims(), &device)?;
            let tau = random::uniform(&mut self.stream, 0.0, 1.0, weights.dims(), &device)?;
            let pairs = Pairs::new(&self.states, &latent, &z, &tau)?;
            let loss = pairs.loss(&pairs.velocity(&self.net, self.params.tensor())?, &weights)?;
            let missing = || candle_core::Error::Msg("no gradient".into());
            let gradient = loss
                .backward()?
                .remove(self.params.var())
                .ok_or_else(missing)?;
            adam.step(
                &self.params,
                &gradient,
                lr * (1.0 - step as f64 / steps as f64),
            )?;
        }
        Ok(())
    }

    /// Latents of every state at `count` quantiles of the noise, `[3, count, 1]`.
    fn latents(&self, count: usize) -> Result<Tensor> {
        let z = Tensor::new(normal_quantiles(count), &Device::Cpu)?
            .reshape((1, count, 1))?
            .broadcast_as((PRINTED.len(), count, 1))?
            .contiguous()?;
        let sampler = Sampler {
            n_steps: 64,
            latent_clip: 5.0,
            precision: Precision::F32,
        };
        sampler.latents(&self.net, &self.params.detached(), &self.states, &z)
    }
}

/// The flows fitted to the three mirror steps, made once for all tests.
fn fitted() -> Result<&'static [f32]> {
    static PARAMS: OnceLock<std::result::Result<Vec<f32>, String>> = OnceLock::new();
    let train = || -> Result<Vec<f32>> {
        let latents = normal_quantiles(CANDIDATES);
        let weights = mirror_weights(&latents)?;
        let shape = (PRINTED.len(), CANDIDATES, 1);
        let latent = Tensor::new(latents, &Device::Cpu)?
            .reshape((1, CANDIDATES, 1))?
            .broadcast_as(shape)?
            .contiguous()?;
        let mut fit = Fit::new()?;
        fit.train(&latent, &weights, 8000, 1e-2)?;
        fit.params.to_vec()
    };
    let params = PARAMS.get_or_init(|| train().map_err(|e| e.to_string()));
    params
        .as_deref()
        .map_err(|e| candle_core::Error::Msg(e.clone()))
}

fn load() -> Result<Fit> {
    let fit = Fit::new()?;
    fit.params.set_from_slice(fitted()?)?;
    Ok(fit)
}

/// Latents per state.
fn rows(latents: &Tensor) -> Result<Vec<Vec<f32>>> {
    latents.squeeze(2)?.to_vec2()
}

#[test]
fn the_fitted_flow_is_the_mirror_step_and_keeps_both_modes() -> Result<()> {
    let equal = [1f32; PROBES];
    for (latents, (t, right, mean, _)) in rows(&load()?.latents(PROBES)?)?.iter().zip(PRINTED) {
        let (p, r) = summary(latents, &equal);
        println!("T = {t}: P(a > 0) = {p:.3} of {right:.3}, E[R] = {r:.3} of {mean:.3}");
        assert!(
            (p - right).abs() < 0.02,
            "T = {t}: P(a > 0) = {p} for {right}"
        );
        assert!((r - mean).abs() < 0.03, "T = {t}: E[R] = {r} for {mean}");
        let near = |goal: f64| {
            let hits = latents
                .iter()
                .filter(|u| (f64::from(**u).tanh() - goal).abs() < 0.3);
            hits.count() as f64 / PROBES as f64
        };
        assert!(
            near(0.6) > 0.25 && near(-0.6) > 0.2,
            "T = {t}: a mode is lost"
        );
    }
    Ok(())
}

/// Largest distance of two empirical distribution functions with equally many points.
fn kolmogorov(first: &[f32], second: &[f32]) -> f64 {
    let sorted = |values: &[f32]| {
        let mut values = values.to_vec();
        values.sort_by(f32::total_cmp);
        values
    };
    let (first, second) = (sorted(first), sorted(second));
    let below = |x: f32| second.partition_point(|y| *y <= x) as f64;
    let distances = first
        .iter()
        .enumerate()
        .map(|(i, x)| (below(*x) - i as f64 - 0.5).abs());
    distances.fold(0.0, f64::max) / first.len() as f64
}

#[test]
fn equal_weights_leave_a_converged_flow_as_it_is() -> Result<()> {
    let mut fit = load()?;
    let before = rows(&fit.latents(PROBES)?)?;
    let latent = fit.latents(CANDIDATES)?;
    let equal = Tensor::full(
        1.0 / CANDIDATES as f32,
        (PRINTED.len(), CANDIDATES),
        &Device::Cpu,
    )?;
    let start = fit.params.to_vec()?;
    fit.train(&latent, &equal, 1500, 1e-3)?;
    assert_ne!(start, fit.params.to_vec()?, "the parameters do move");
    assert!(
        kolmogorov(&before[0], &before[2]) > 0.15,
        "the distance sees another policy"
    );
    let after = rows(&fit.latents(PROBES)?)?;
    for ((before, after), (t, ..)) in before.iter().zip(&after).zip(PRINTED) {
        let distance = kolmogorov(before, after);
        println!("T = {t}: distance {distance:.4}");
        assert!(
            distance < 0.04,
            "T = {t}: the distribution moved by {distance}"
        );
    }
    Ok(())
}
