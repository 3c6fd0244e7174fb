//! Density and entropy against closed forms and finite differences.

use advect_algos::fmer::entropy::{
    BASE_ENTROPY, Local, Nodes, density, unrolled, velocity_and_divergence,
};
use advect_algos::fmer::policy::{Sampler, network};
use advect_algos::volume::VolumeRule;
use advect_flow::VelocityNet;
use advect_kernels::{Activation, Params, Precision, init, random};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};

use crate::common::max_abs;
use crate::quadrature::{expectation, normal_grid};

const POINTS: usize = 1801;

/// `v = c u` in one dimension, as a network without hidden layers.
fn linear(c: f64) -> Result<(VelocityNet, Tensor)> {
    let net = network(1, 1, &[], Activation::Mish, 1)?;
    let mut values = vec![0f32; net.layout().len()];
    values[0] = c as f32;
    let params = Tensor::new(values, &Device::Cpu)?;
    Ok((net, params))
}

struct Entropies {
    euler_map: f64,
    h1: f64,
    h2: f64,
    tanh_logdet: f64,
}

/// The entropies of `tanh` of the flow of `v = c u` in `n_steps` Euler steps, by quadrature over the noise.
fn entropies(c: f64, n_steps: usize) -> Result<Entropies> {
    let (net, params) = linear(c)?;
    let (grid, masses) = normal_grid(POINTS);
    let z = Tensor::new(grid, &Device::Cpu)?.unsqueeze(1)?;
    let obs = z.zeros_like()?;
    let of = |form: VolumeRule| density(&net, &params, &obs, &z, n_steps, form.with(&z));
    let mean =
        |values: &Tensor| Ok::<_, candle_core::Error>(expectation(&masses, &values.to_vec1()?));
    let (exact, traces) = (of(VolumeRule::LogDet)?, of(VolumeRule::Trace)?);
    let sampler = Sampler {
        n_steps,
        latent_clip: 1e9,
        precision: Precision::F32,
    };
    let nodes = sampler
        .rollout(&net, &params, &obs, &z.unsqueeze(1)?, true)?
        .nodes;
    let mut h2 = BASE_ENTROPY;
    for (n, u) in nodes.iter().enumerate() {
        let tau = Tensor::full(n as f32 / n_steps as f32, POINTS, &Device::Cpu)?;
        let nodes = Nodes {
            obs: obs.clone(),
            u: u.squeeze(1)?,
            tau,
        };
        let local = Local::at(&net, &params, &nodes, None)?;
        h2 += (mean(&local.divergence)? + mean(&local.tanh_term)?) / n_steps as f64;
    }
    Ok(Entropies {
        euler_map: -mean(&exact.log_prob)?,
        h1: -mean(&traces.log_prob)?,
        h2,
        tanh_logdet: mean(&exact.tanh_logdet)?,
    })
}

#[test]
fn without_velocity_the_entropy_is_that_of_tanh_of_a_normal() -> Result<()> {
    let found = entropies(0.0, 10)?;
    for entropy in [found.euler_map, found.h1, found.h2] {
        assert!((entropy - 0.669_804).abs() < 1e-6, "{entropy}");
    }
    assert!(
        (found.tanh_logdet + 0.749_134).abs() < 1e-6,
        "{}",
        found.tanh_logdet
    );
    Ok(())
}

/// c, gain of ten Euler steps, entropy of the Euler map, (H1) by traces, (H2), continuous limit.
const LINEAR: [(f64, f64, f64, f64, f64, f64); 3] = [
    (-1.0, 0.348_678, 0.25018, 0.30379, 0.32229, 0.29146),
    (0.5, 1.628_895, 0.32561, 0.33771, 0.34376, 0.30983),
    (1.0, 2.593_742, -0.62393, -0.57703, -0.55457, -0.76538),
];

#[test]
fn linear_velocities_have_the_printed_entropies() -> Result<()> {
    for (c, gain, euler_map, h1, h2, _) in LINEAR {
        let (net, params) = linear(c)?;
        let one = Tensor::ones((1, 1), DType::F32, &Device::Cpu)?;
        let moved = density(&net, &params, &one, &one, 10, VolumeRule::Trace.with(&one))?;
        let end = f64::from(moved.latent.to_vec2::<f32>()?[0][0]);
        let trace = f64::from(moved.log_volume.to_vec1::<f32>()?[0]);
        assert!(
            (end - gain).abs() < 2e-6 && (trace - c).abs() < 1e-6,
            "{end}, {trace}"
        );
        let found = entropies(c, 10)?;
        for (value, expected) in [(found.euler_map, euler_map), (found.h1, h1), (found.h2, h2)] {
            assert!(
                (value - expected).abs() < 6e-6,
                "c = {c}: {value} for {expected}"
            );
        }
    }
    Ok(())
}

/// Both forms are first order in the step, so that three grids give the limit to third order.
#[test]
fn both_entropy_forms_have_the_same_continuous_limit() -> Result<()> {
    for (c, _, _, _, _, limit) in LINEAR {
        let grids = [64, 128, 256].map(|n| entropies(c, n));
        let [a, b, d] = grids;
        let (a, b, d) = (a?, b?, d?);
        let extrapolated = |a: f64, b: f64, d: f64| (4.0 * (2.0 * d - b) - (2.0 * b - a)) / 3.0;
        for value in [
            extrapolated(a.h1, b.h1, d.h1),
            extrapolated(a.h2, b.h2, d.h2),
        ] {
            assert!((value - limit).abs() < 1e-5, "c = {c}: {value} for {limit}");
        }
    }
    Ok(())
}

const D: usize = 3;
const ROWS: usize = 48;
const STEPS: usize = 10;

struct Problem {
    net: VelocityNet,
    params: Params,
    obs: Tensor,
    z: Tensor,
    tau: Tensor,
}

/// A network whose last layer is `scale` times its draw.
fn problem(scale: f32) -> Result<Problem> {
    let device = Device::Cpu;
    let net = network(2, D, &[24, 24], Activation::Mish, 4)?;
    let scheme = init::Init::TruncatedNormal { scale: 1.0 };
    let mut values = init::draw(net.layout(), scheme, &mut Stream::new(3, "init"));
    let last = values.len() - (24 + 1) * D;
    values[last..].iter_mut().for_each(|w| *w *= scale);
    let mut stream = Stream::new(3, "noise");
    let mut normal = |width| random::normal(&mut stream, (ROWS, width), &device);
    Ok(Problem {
        params: Params::from_vec(net.layout().clone(), None, values, &device)?,
        obs: normal(2)?,
        z: normal(D)?,
        tau: random::uniform(&mut Stream::new(3, "times"), 0.0, 1.0, ROWS, &device)?,
        net,
    })
}

#[test]
fn the_mean_over_all_sign_probes_is_the_exact_trace() -> Result<()> {
    let Problem {
        net,
        params,
        obs,
        z,
        tau,
    } = problem(1.0)?;
    let theta = params.detached();
    let (v, exact) = velocity_and_divergence(&net, &theta, &obs, &z, &tau, None)?;
    let mut mean = exact.zeros_like()?;
    for signs in 0..1 << D {
        let sign = |i: usize| if signs >> i & 1 == 1 { 1f32 } else { -1.0 };
        let row: Vec<f32> = (0..D).map(sign).collect();
        let probe = Tensor::new(row, &Device::Cpu)?
            .broadcast_as((ROWS, D))?
            .contiguous()?;
        let (same, one) = velocity_and_divergence(&net, &theta, &obs, &z, &tau, Some(&probe))?;
        assert!(max_abs(&(same - &v)?)? < 1e-6);
        assert!(
            max_abs(&(&one - &exact)?)? > 1e-2,
            "one probe is an estimate"
        );
        mean = (mean + (one / f64::from(1 << D))?)?;
    }
    assert!(max_abs(&exact)? > 0.1 && max_abs(&(mean - exact)?)? < 1e-5);
    Ok(())
}

#[test]
fn tangents_are_finite_differences_of_the_velocity() -> Result<()> {
    let Problem {
        net,
        params,
        obs,
        z,
        tau,
    } = problem(1.0)?;
    let theta = params.detached();
    let direction = random::normal(&mut Stream::new(4, "direction"), (ROWS, D), &Device::Cpu)?;
    let (_, tangent) = net.jvp_tracked(&theta, &obs, &z, [&tau], &direction)?;
    let step = 5e-3;
    let at = |s: f64| net.forward(&theta, &obs, &(&z + (&direction * s)?)?, [&tau]);
    let difference = ((at(step)? - at(-step)?)? / (2.0 * step))?;
    let error = max_abs(&(&tangent - difference)?)?;
    assert!(error < 1e-3 * max_abs(&tangent)?, "{error}");
    Ok(())
}

/// (H1) by exact traces of the Euler map, at parameters moved along `direction`.
fn h1_at(p: &Problem, direction: &Tensor, step: f64) -> Result<f64> {
    let params = (p.params.detached() + (direction * step)?)?;
    let moved = density(
        &p.net,
        &params,
        &p.obs,
        &p.z,
        STEPS,
        VolumeRule::Trace.with(&p.z),
    )?;
    let rows = (moved.log_volume + moved.tanh_logdet)?.to_vec1::<f32>()?;
    Ok(rows.iter().map(|row| f64::from(*row)).sum::<f64>() / ROWS as f64)
}

/// Compares a gradient with central differences of (H1) along itself and along a random direction.
fn assert_gradient_of_h1(p: &Problem, gradient: &Tensor, step: f64) -> Result<()> {
    let norm = f64::from(gradient.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?);
    let random = random::normal(
        &mut Stream::new(5, "direction"),
        gradient.dims(),
        &Device::Cpu,
    )?;
    let mixed = ((gradient / norm)? + (random * (0.5 / (gradient.elem_count() as f64).sqrt()))?)?;
    for direction in [(gradient / norm)?, mixed] {
        let slope = f64::from((gradient * &direction)?.sum_all()?.to_scalar::<f32>()?);
        let difference =
            (h1_at(p, &direction, step)? - h1_at(p, &direction, -step)?) / (2.0 * step);
        assert!(
            (slope - difference).abs() < 2e-3 * norm,
            "slope {slope}, difference {difference}"
        );
    }
    Ok(())
}

#[test]
fn the_local_gradient_without_velocity_is_that_of_h1() -> Result<()> {
    let p = problem(0.0)?;
    let times: Vec<f32> = (0..STEPS * ROWS)
        .map(|i| (i / ROWS) as f32 / STEPS as f32)
        .collect();
    let nodes = Nodes {
        obs: p.obs.repeat((STEPS, 1))?,
        u: p.z.repeat((STEPS, 1))?,
        tau: Tensor::new(times, &Device::Cpu)?,
    };
    let entropy = Local::at(&p.net, p.params.tensor(), &nodes, None)?.entropy()?;
    let gradient = gradient(&entropy, &p.params)?;
    assert_gradient_of_h1(&p, &gradient, 1e-2)
}

#[test]
fn the_unrolled_gradient_is_that_of_h1_anywhere() -> Result<()> {
    let p = problem(1.0)?;
    let value = unrolled(&p.net, p.params.tensor(), &p.obs, &p.z, STEPS, None)?;
    let gradient = gradient(&value.entropy, &p.params)?;
    assert_gradient_of_h1(&p, &gradient, 2e-3)
}

fn gradient(loss: &Tensor, params: &Params) -> Result<Tensor> {
    let missing = || candle_core::Error::Msg("no gradient".into());
    loss.backward()?.remove(params.var()).ok_or_else(missing)
}

/// fmer.md section 5.4: v = u in ten steps: traces 1, second order 0.950, exact 0.953 per dimension.
#[test]
fn the_second_order_term_takes_most_of_the_bias() -> Result<()> {
    let (net, params) = linear(1.0)?;
    let one = Tensor::ones((1, 1), DType::F32, &Device::Cpu)?;
    for (form, expected) in [
        (VolumeRule::Trace, 1.0),
        (VolumeRule::Hutchinson, 1.0),
        (VolumeRule::SecondOrder, 0.95),
        (VolumeRule::LogDet, 0.953_102),
    ] {
        let moved = density(&net, &params, &one, &one, 10, form.with(&one))?;
        let found = moved.log_volume.to_vec1::<f32>()?[0];
        assert!(
            (f64::from(found) - expected).abs() < 1e-5,
            "{form:?}: {found}"
        );
    }
    Ok(())
}
