//! Critics, temperature and state dictionaries.

use advect_kernels::init::{Init, draw};
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, Params, Precision};
use advect_rl::critic::{td_loss, td_target};
use advect_rl::temperature::{entropy_gradient, sac_gradient};
use advect_rl::{CriticNet, StateDict, StateError, Temperature, TwinCritic};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

const OBS: usize = 3;
const ACT: usize = 2;
const BATCH: usize = 5;

fn critic() -> Result<TwinCritic> {
    let net = CriticNet::new(OBS, ACT, &[8, 8], Activation::Mish)?;
    let mut stream = Stream::new(4, "init");
    let layout = net.layout();
    let mut values = draw(&layout, Init::FanInUniform, &mut stream);
    values.extend(draw(&layout, Init::FanInUniform, &mut stream));
    let online = Params::from_vec(layout, Some(2), values, &Device::Cpu)?;
    TwinCritic::new(net, online, AdamConfig::default())
}

fn normal(stream: &mut Stream, shape: &[usize]) -> Result<Tensor> {
    let mut values = vec![0.0; shape.iter().product()];
    stream.fill_normal(&mut values);
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// The network in f64, without tensors: the reference of these tests.
fn reference_q(params: &[f32], obs: &[f32], act: &[f32]) -> f64 {
    let mut x: Vec<f64> = obs.iter().chain(act).map(|v| f64::from(*v)).collect();
    let mut rest = params;
    for (layer, out) in [8, 8, 1].into_iter().enumerate() {
        let (weight, tail) = rest.split_at(out * x.len());
        let (bias, tail) = tail.split_at(out);
        let row = |j: usize| {
            weight[j * x.len()..(j + 1) * x.len()]
                .iter()
                .zip(&x)
                .map(|(w, x)| f64::from(*w) * x)
                .sum::<f64>()
        };
        let z: Vec<f64> = (0..out).map(|j| row(j) + f64::from(bias[j])).collect();
        x = if layer < 2 {
            z.iter().map(|z| z * z.exp().ln_1p().tanh()).collect()
        } else {
            z
        };
        rest = tail;
    }
    x[0]
}

fn reference_loss(params: &[f32], obs: &[Vec<f32>], act: &[Vec<f32>], y: &[f32]) -> f64 {
    let each = params.chunks(params.len() / 2).map(|member| {
        let error = |b: usize| reference_q(member, &obs[b], &act[b]) - f64::from(y[b]);
        (0..y.len()).map(|b| error(b).powi(2)).sum::<f64>() / y.len() as f64
    });
    each.sum()
}

#[test]
fn values_loss_and_gradient_equal_a_plain_f64_network() -> Result<()> {
    let critic = critic()?;
    let mut stream = Stream::new(5, "data");
    let (obs, act) = (
        normal(&mut stream, &[BATCH, OBS])?,
        normal(&mut stream, &[BATCH, ACT])?,
    );
    let y = normal(&mut stream, &[BATCH])?;
    let q = critic
        .net()
        .q_values(critic.online().tensor(), &obs, &act)?;
    let loss = td_loss(&q, &y)?;
    let gradient = critic.gradient(&loss)?.flatten_all()?.to_vec1::<f32>()?;
    let params = critic.online().to_vec()?;
    let (obs, act, y) = (
        obs.to_vec2::<f32>()?,
        act.to_vec2::<f32>()?,
        y.to_vec1::<f32>()?,
    );
    let q = q.to_vec2::<f32>()?;
    for (member, q) in params.chunks(params.len() / 2).zip(&q) {
        for b in 0..BATCH {
            assert!((f64::from(q[b]) - reference_q(member, &obs[b], &act[b])).abs() < 1e-5);
        }
    }
    let expected = reference_loss(&params, &obs, &act, &y);
    assert!((f64::from(loss.to_scalar::<f32>()?) - expected).abs() < 1e-5 * expected);
    let step = 1.0 / 1024.0;
    for index in (0..params.len()).step_by(7) {
        let moved = |by: f32| {
            let mut params = params.clone();
            params[index] += by;
            reference_loss(&params, &obs, &act, &y)
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
        assert!(
            (f64::from(gradient[index]) - difference).abs() < 1e-4 * (1.0 + difference.abs()),
            "{index}"
        );
    }
    Ok(())
}

#[test]
fn candidates_score_as_single_actions() -> Result<()> {
    let critic = critic()?;
    let mut stream = Stream::new(6, "data");
    let (obs, act) = (
        normal(&mut stream, &[BATCH, OBS])?,
        normal(&mut stream, &[BATCH, 4, ACT])?,
    );
    let params = critic.online().detached();
    let scores = critic
        .net()
        .min_q_candidates(&params, &obs, &act, Precision::F32)?;
    assert_eq!(scores.dims(), [BATCH, 4]);
    for k in 0..4 {
        let single = critic
            .net()
            .min_q(&params, &obs, &act.narrow(1, k, 1)?.squeeze(1)?)?;
        let difference = (scores.narrow(1, k, 1)?.squeeze(1)? - single)?
            .abs()?
            .max(0)?
            .to_scalar::<f32>()?;
        assert!(difference < 1e-5, "{difference}");
    }
    Ok(())
}

#[test]
fn only_termination_cuts_the_target() -> Result<()> {
    let device = Device::Cpu;
    let reward = Tensor::new(&[1f32, 2.0], &device)?;
    let (terminated, value) = (
        Tensor::new(&[0f32, 1.0], &device)?,
        Tensor::new(&[10f32, 10.0], &device)?,
    );
    let y = td_target(&reward, &terminated, &value, 0.5, 0.9)?.to_vec1::<f32>()?;
    assert_eq!(y, [9.5, 1.0]);
    Ok(())
}

#[test]
fn targets_follow_slowly_and_the_optimiser_lowers_the_loss() -> Result<()> {
    let mut critic = critic()?;
    let mut stream = Stream::new(7, "data");
    let (obs, act) = (
        normal(&mut stream, &[BATCH, OBS])?,
        normal(&mut stream, &[BATCH, ACT])?,
    );
    let y = normal(&mut stream, &[BATCH])?;
    let mut losses = Vec::new();
    for _ in 0..100 {
        let loss = td_loss(
            &critic
                .net()
                .q_values(critic.online().tensor(), &obs, &act)?,
            &y,
        )?;
        losses.push(loss.to_scalar::<f32>()?);
        let gradient = critic.gradient(&loss)?;
        critic.step(&gradient, 1e-2)?;
    }
    assert!(losses[99] < 0.2 * losses[0], "{losses:?}");
    let (before, online) = (critic.target().to_vec()?[0], critic.online().to_vec()?[0]);
    critic.update_target(0.25)?;
    assert!((critic.target().to_vec()?[0] - (0.75 * before + 0.25 * online)).abs() < 1e-6);
    Ok(())
}

#[test]
fn both_dual_gradients_are_those_of_their_losses() -> Result<()> {
    let log_prob = Tensor::new(&[0.5f32, -2.5, 1.0], &Device::Cpu)?;
    let mean = -1.0 / 3.0;
    let sac = sac_gradient(&log_prob, -6.0)?.to_scalar::<f32>()?;
    assert!((f64::from(sac) - (-(mean - 6.0))).abs() < 1e-6);
    let flame = entropy_gradient(&log_prob.neg()?, -6.0)?.to_scalar::<f32>()?;
    assert!((f64::from(flame) - (-mean + 6.0)).abs() < 1e-6);
    Ok(())
}

#[test]
fn entropy_above_the_target_lowers_alpha_and_below_raises_it() -> Result<()> {
    for (entropy, moved) in [(3.0f32, -0.005), (-3.0, 0.005)] {
        let mut temperature = Temperature::new(0.5, AdamConfig::default(), &Device::Cpu)?;
        let entropy = Tensor::new(&[entropy, entropy], &Device::Cpu)?;
        temperature.step(&entropy_gradient(&entropy, -1.0)?, 0.005)?;
        let expected = 0.5 * f64::exp(moved);
        assert!(
            (temperature.alpha()?.read()? - expected).abs() < 1e-6,
            "{:?}",
            temperature.alpha()?
        );
    }
    assert!(Temperature::new(0.0, AdamConfig::default(), &Device::Cpu).is_err());
    Ok(())
}

#[test]
fn learners_continue_bit_for_bit_from_their_state() -> std::result::Result<(), StateError> {
    let mut stream = Stream::new(8, "data");
    let (mut original, mut alpha) = (
        critic()?,
        Temperature::new(0.5, AdamConfig::default(), &Device::Cpu)?,
    );
    let gradient = normal(&mut stream, original.online().tensor().dims())?;
    let scalar = Tensor::new(0.3f32, &Device::Cpu)?;
    original.step(&gradient, 1e-3)?;
    original.update_target(0.1)?;
    alpha.step(&scalar, 1e-3)?;
    let mut state = StateDict::new();
    original.save("critic", &mut state)?;
    alpha.save("temperature", &mut state)?;
    let state = StateDict::from_bytes(&state.to_bytes()?)?;
    let (mut copy, mut alpha_copy) = (
        critic()?,
        Temperature::new(2.0, AdamConfig::default(), &Device::Cpu)?,
    );
    copy.load("critic", &state)?;
    alpha_copy.load("temperature", &state)?;
    for (critic, alpha) in [(&mut original, &mut alpha), (&mut copy, &mut alpha_copy)] {
        critic.step(&gradient, 1e-3)?;
        critic.update_target(0.1)?;
        alpha.step(&scalar, 1e-3)?;
    }
    assert_eq!(original.online().hash()?, copy.online().hash()?);
    assert_eq!(original.target().hash()?, copy.target().hash()?);
    assert_eq!(alpha.alpha()?.read()?, alpha_copy.alpha()?.read()?);
    Ok(())
}

#[test]
fn states_name_what_does_not_fit() -> std::result::Result<(), StateError> {
    let mut state = StateDict::new();
    state.put_array("w", &[2, 3], vec![0.5f32; 6])?;
    state.put_stream("noise", &Stream::new(1, "noise"));
    let message = |error: StateError| error.to_string();
    assert!(message(state.scalar::<u64>("step").unwrap_err()).contains("no entry `step`"));
    assert!(
        message(state.array::<f32>("w", &[3, 2]).unwrap_err())
            .contains("`w` has shape [2, 3], expected [3, 2]")
    );
    assert!(message(state.vec::<u64>("w").unwrap_err()).contains("`w` holds f32, expected u64"));
    assert!(message(state.stream("w").unwrap_err()).contains("`w`"));
    assert!(message(state.put_array("v", &[4], vec![1u32]).unwrap_err()).contains("`v`"));
    assert_eq!(state.stream("noise")?, Stream::new(1, "noise"));
    assert!(matches!(
        StateDict::from_bytes(b"not a state"),
        Err(StateError::Format(_))
    ));
    Ok(())
}

#[test]
fn sections_and_all_types_survive_the_file() -> std::result::Result<(), StateError> {
    let mut inner = StateDict::new();
    inner.put_vec("f32", vec![1.5f32, f32::MIN_POSITIVE, -0.0]);
    inner.put_vec("f64", vec![std::f64::consts::PI]);
    inner.put_vec("u32", vec![u32::MAX]);
    inner.put_scalar("u64", u64::MAX);
    inner.put_vec("bytes", vec![0u8, 255]);
    inner.put_vec::<f64>("empty", Vec::new());
    let mut state = StateDict::new();
    state.put_section("agent", inner.clone());
    state.put_scalar("agent2", 1u32);
    let back = StateDict::from_bytes(&state.to_bytes()?)?;
    assert_eq!(back, state);
    assert_eq!(back.section("agent"), inner);
    assert_eq!(state.first_non_finite(), None);
    state.put_vec("agent/f64", vec![0.0, f64::NAN]);
    assert!(matches!(state.first_non_finite(), Some(("agent/f64", 1, value)) if value.is_nan()));
    Ok(())
}
