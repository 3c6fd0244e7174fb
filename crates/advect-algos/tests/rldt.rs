//! RLDT: its equations against closed forms and finite differences (rldt.md section 11).

mod common;

use std::error::Error;

use advect_algos::registry;
use advect_algos::rldt::critic::{action_gradient, bootstrap_value};
use advect_algos::rldt::field::{Field, Kernel, QNorm, Transport};
use advect_algos::rldt::landing::{explored, landing, sample, times};
use advect_algos::rldt::loss::{Coefficients, Targets, actor_loss};
use advect_algos::rldt::step::{PolicyStep, StepNoise};
use advect_flow::flow_matching::regression_loss;
use advect_flow::sampler::integrate;
use advect_flow::{
    Conditional, Field as Velocities, Grid, NetConfig, Span, TimeConvention, VelocityNet,
};
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, Params, init, random};
use advect_rl::advantage::{TimeLimits, lambda_returns};
use advect_rl::{CriticNet, Learned};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor, Var};
use common::{DIMS, batch, max_abs};

type TestResult = std::result::Result<(), Box<dyn Error>>;

const STATES: usize = 3;
const PARTICLES: usize = 8;
const WIDTH: usize = 4;
const STEPS: usize = 5;

fn normal(name: &str, shape: &[usize]) -> Result<Tensor> {
    random::normal(&mut Stream::new(2, name), shape, &Device::Cpu)
}

fn field(transport: Transport) -> Field {
    Field {
        transport,
        q_norm: QNorm::Svgd,
        kernel: Kernel::Rbf,
        temperature: 1e-3,
        bandwidth: 0.0,
    }
}

/// `v(x, tau) = sin(x) + tau`, and what was asked of it.
struct Wave;

impl Velocities for Wave {
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
        x.sin()? + span.from
    }
}

fn particles(step: u32) -> Result<advect_algos::rldt::landing::Particles> {
    let noise = normal("noise", &[STATES, PARTICLES, WIDTH])?;
    let step = Tensor::full(step, (STATES, PARTICLES), &Device::Cpu)?;
    sample(&Wave, &noise, &step, STEPS)
}

#[test]
fn the_landing_of_the_last_step_is_the_end_point() -> TestResult {
    let last = particles(STEPS as u32 - 1)?;
    assert!(max_abs(&(&last.landing - &last.action)?)? < 2e-7);
    assert!(max_abs(&(particles(1)?.landing - &last.action)?)? > 1e-2);
    Ok(())
}

#[test]
fn intermediate_points_lie_on_the_trajectory_and_land_by_one_long_step() -> TestResult {
    let mut x = normal("noise", &[STATES, PARTICLES, WIDTH])?;
    for k in 0..STEPS {
        let tau = k as f64 / STEPS as f64;
        let found = particles(k as u32)?;
        assert!(max_abs(&(&found.point - &x)?)? < 1e-6);
        let v = (x.sin()? + tau)?;
        let lands = (&x + (&v * (1.0 - tau))?)?;
        assert!(max_abs(&(&found.landing - lands)?)? < 1e-6);
        assert!(max_abs(&(found.tau - tau)?)? < 1e-7);
        x = (x + (v / STEPS as f64)?)?;
    }
    Ok(())
}

struct LossProblem {
    v: Var,
    anchor: Tensor,
    targets: Targets,
}

const COEFFICIENTS: Coefficients = Coefficients {
    consistency: 0.5,
    anchor: 0.2,
    n_steps: STEPS,
};

fn loss_problem() -> Result<LossProblem> {
    let rows = 6;
    let matrix = |name: &str| normal(name, &[rows, WIDTH]);
    let step = Tensor::new(&[0u32, 1, 2, 3, 4, 2], &Device::Cpu)?;
    Ok(LossProblem {
        v: Var::from_tensor(&matrix("v")?)?,
        anchor: matrix("anchor")?,
        targets: Targets {
            point: matrix("point")?,
            tau: times(&step, STEPS)?,
            action: matrix("action")?,
            phi: matrix("phi")?,
            v_ref: matrix("v_ref")?,
        },
    })
}

fn gradient(loss: &Tensor, v: &Var) -> Result<Tensor> {
    let missing = || candle_core::Error::Msg("no gradient".into());
    loss.backward()?.remove(v).ok_or_else(missing)
}

#[test]
fn the_gradients_of_the_losses_are_those_of_the_page() -> TestResult {
    let LossProblem { v, anchor, targets } = loss_problem()?;
    let loss = actor_loss(&v, &anchor, &targets, COEFFICIENTS)?;
    let rows = v.dim(0)? as f64;
    let left = (targets.tau.affine(-1.0, 1.0)?.unsqueeze(1)? * STEPS as f64)?;
    let transport = (targets.phi.broadcast_div(&left)? / -rows)?;
    assert!(max_abs(&(gradient(&loss.transport, &v)? - transport)?)? < 1e-6);
    let y = landing(&targets.point, &v, &targets.tau)?;
    let bent = ((y - &targets.action)? * (2.0 * COEFFICIENTS.consistency / rows / STEPS as f64))?;
    let consistency = bent.broadcast_div(&left)?;
    assert!(max_abs(&(gradient(&loss.consistency, &v)? - consistency)?)? < 1e-6);
    Ok(())
}

#[test]
fn a_policy_at_its_reference_is_not_pulled() -> TestResult {
    let LossProblem { v, targets, .. } = loss_problem()?;
    let at_reference = Targets {
        v_ref: v.as_tensor().detach(),
        ..targets
    };
    let loss = actor_loss(&v, &v, &at_reference, COEFFICIENTS)?.anchor;
    assert_eq!(loss.to_scalar::<f32>()?, 0.0);
    assert_eq!(max_abs(&gradient(&loss, &v)?)?, 0.0);
    Ok(())
}

/// `Q` linear in the action and no temperature: every landing moves along the gradient, by the row sum of the kernel over `P`.
#[test]
fn a_linear_value_moves_all_landings_along_its_slope() -> TestResult {
    let [y, a] = ["y", "a"].map(|name| normal(name, &[STATES, PARTICLES, WIDTH]));
    let slope = Tensor::new(&[1f32, -2.0, 0.0, 0.5], &Device::Cpu)?;
    let g = slope
        .broadcast_as((STATES, PARTICLES, WIDTH))?
        .contiguous()?;
    let last = Tensor::zeros((STATES, PARTICLES), DType::F32, &Device::Cpu)?;
    let cold = Field {
        temperature: 0.0,
        ..field(Transport::Normal)
    };
    let phi = cold.at(&y?, &a?, &g, &last)?.phi.flatten(0, 1)?;
    for row in phi.to_vec2::<f32>()? {
        let size = row[0];
        assert!(size > 1.0 / PARTICLES as f32 / 2.0 && size < 1.0);
        assert!((row[1] + 2.0 * size).abs() < 1e-6 && row[2].abs() < 1e-7);
        assert!((row[3] - 0.5 * size).abs() < 1e-6);
    }
    Ok(())
}

/// With a flat value the temperature, which follows the gradients, is 0; an absolute one spreads the particles.
#[test]
fn a_flat_value_moves_nothing_unless_the_temperature_is_absolute() -> TestResult {
    let a = normal("a", &[STATES, PARTICLES, WIDTH])?;
    let zero = a.zeros_like()?;
    let last = Tensor::zeros((STATES, PARTICLES), DType::F32, &Device::Cpu)?;
    let still = field(Transport::Normal).at(&a, &a, &zero, &last)?.phi;
    assert_eq!(max_abs(&still)?, 0.0);
    let absolute = Field {
        q_norm: QNorm::None,
        temperature: 1.0,
        ..field(Transport::Normal)
    };
    let phi = absolute.at(&a, &a, &zero, &last)?.phi;
    let spread = |x: &Tensor| -> Result<f32> {
        x.broadcast_sub(&x.mean_keepdim(1)?)?
            .sqr()?
            .sum_all()?
            .to_scalar()
    };
    assert!(spread(&(&a + (phi * 0.1)?)?)? > spread(&a)?);
    Ok(())
}

#[test]
fn the_mean_delta_field_is_the_delta_field_over_the_particles() -> TestResult {
    let g = normal("g", &[STATES, PARTICLES, WIDTH])?;
    let last = Tensor::zeros((STATES, PARTICLES), DType::F32, &Device::Cpu)?;
    let of = |transport| Ok::<_, candle_core::Error>(field(transport).at(&g, &g, &g, &last)?.phi);
    let (delta, mean) = (of(Transport::Delta)?, of(Transport::DeltaMean)?);
    assert!(max_abs(&(delta / PARTICLES as f64 - mean)?)? < 1e-7);
    Ok(())
}

fn critics(hidden: &[usize]) -> Result<(CriticNet, Params)> {
    let net = CriticNet::new(2, WIDTH, hidden, Activation::Silu)?;
    let layout = net.layout();
    let draw = |name: &str| {
        let scheme = init::Init::Normal { std: 0.5 };
        init::draw(&layout, scheme, &mut Stream::new(0, name))
    };
    let values = [draw("q1"), draw("q2")].concat();
    let params = Params::from_vec(layout.clone(), Some(2), values, &Device::Cpu)?;
    Ok((net, params))
}

#[test]
fn action_gradients_are_the_mean_slope_of_the_critics() -> TestResult {
    let (net, params) = critics(&[16, 16])?;
    let (obs, act) = (normal("obs", &[5, 2])?, normal("act", &[5, WIDTH])?);
    let critics = params.detached();
    let found = action_gradient(&net, &critics, &obs, &act)?.to_vec2::<f32>()?;
    let h = 1e-2;
    let slopes = |i: usize| -> Result<Vec<f32>> {
        let unit = Tensor::eye(WIDTH, DType::F32, &Device::Cpu)?.narrow(0, i, 1)?;
        let value = |sign: f64| -> Result<Tensor> {
            let moved = act.broadcast_add(&(&unit * (sign * h))?)?;
            net.q_values(&critics, &obs, &moved)?.mean(0)
        };
        ((value(1.0)? - value(-1.0)?)? / (2.0 * h))?.to_vec1()
    };
    for i in 0..WIDTH {
        for (found, slope) in found.iter().zip(slopes(i)?) {
            assert!((found[i] - slope).abs() < 1e-3, "{slope}");
        }
    }
    Ok(())
}

#[test]
fn bootstrapped_values_are_clipped_means_of_minima() -> TestResult {
    let q = Tensor::new(
        &[[[1f32, 5.0], [9.0, 9.0]], [[3.0, 2.0], [8.0, 20.0]]],
        &Device::Cpu,
    )?;
    assert_eq!(
        bootstrap_value(&q, (-10.0, 10.0))?.to_vec1::<f32>()?,
        [1.5, 8.5]
    );
    assert_eq!(
        bootstrap_value(&q, (2.0, 4.0))?.to_vec1::<f32>()?,
        [2.0, 4.0]
    );
    Ok(())
}

#[test]
fn lambda_returns_are_sums_one_step_targets_or_cut_by_an_end() -> TestResult {
    const ZERO: [f32; 4] = [0.0; 4];
    const TENS: [f32; 4] = [10.0; 4];
    const SECOND: [f32; 4] = [0.0, 1.0, 0.0, 0.0];
    let rows = |values: [f32; 4]| Tensor::new(&values, &Device::Cpu);
    let of = |[next, terminated, truncated]: [[f32; 4]; 3], lambda, limits| -> Result<Vec<f32>> {
        let (terminated, truncated) = (rows(terminated)?, rows(truncated)?);
        let (reward, discount) = (rows([1.0, 2.0, 4.0, 8.0])?, (0.5, lambda));
        let returns = lambda_returns(&reward, &terminated, &truncated, 1, discount, limits)?;
        returns.of(&rows(next)?)?.to_vec1()
    };
    let boot = TimeLimits::Bootstrap;
    assert_eq!(of([ZERO, ZERO, ZERO], 1.0, boot)?, [4.0, 6.0, 8.0, 8.0]);
    assert_eq!(of([TENS, ZERO, ZERO], 0.0, boot)?, [6.0, 7.0, 9.0, 13.0]);
    let ended = of([TENS, SECOND, ZERO], 1.0, boot)?;
    assert_eq!(ended, [2.0, 2.0, 10.5, 13.0]);
    // a time limit bootstraps from the last observation, or not
    assert_eq!(of([TENS, ZERO, SECOND], 1.0, boot)?[..2], [4.5, 7.0]);
    let terminal = of([TENS, ZERO, SECOND], 1.0, TimeLimits::Terminal)?;
    assert_eq!(terminal[..2], [2.0, 2.0]);
    Ok(())
}

#[test]
fn exploration_noise_grows_with_the_distance_to_the_landing() -> TestResult {
    let rows = 2000;
    let action = Tensor::zeros((rows, 2), DType::F32, &Device::Cpu)?;
    let eps = normal("eps", &[rows, 2])?;
    let at = |distance: f32| -> Result<f32> {
        let landing = Tensor::new(&[[0.6f32, -0.8]], &Device::Cpu)?;
        let landing = (landing.broadcast_as((rows, 2))? * f64::from(distance))?;
        explored(&action, &landing, &eps)?
            .sqr()?
            .mean_all()?
            .sqrt()?
            .to_scalar()
    };
    assert_eq!(at(0.0)?, 0.0);
    assert!((at(0.3)? - 0.3).abs() < 0.01 && (at(0.6)? - 0.6).abs() < 0.02);
    Ok(())
}

/// Where the value of the two-mode task is highest.
const MODES: [[f32; 2]; 2] = [[0.75, 0.5], [-0.75, 0.5]];
/// Width of the modes of the value.
const MODE_STD: f64 = 0.25;

/// `Q = log sum_m exp(-|a - m|^2 / (2 std^2))` and its gradient, `[N]` and `[N, 2]`.
fn two_mode_value(act: &Tensor) -> Result<(Tensor, Tensor)> {
    let modes = Tensor::new(&MODES, act.device())?;
    let apart = modes.unsqueeze(0)?.broadcast_sub(&act.unsqueeze(1)?)?;
    let scale = MODE_STD.powi(2).recip();
    let odds = (apart.sqr()?.sum(2)? * (-0.5 * scale))?.exp()?;
    let sum = odds.sum_keepdim(1)?;
    let share = odds.broadcast_div(&sum)?.unsqueeze(2)?;
    let slope = (apart.broadcast_mul(&share)?.sum(1)? * scale)?;
    Ok((sum.squeeze(1)?.log()?, slope))
}

/// A flow that imitates two clouds of actions at (0.6, 0) and (-0.6, 0).
fn two_clouds() -> Result<(VelocityNet, Learned)> {
    let net = VelocityNet::new(&NetConfig::denoiser(1, 2, &[48, 48], 8, 16)?)?;
    let layout = net.layout().clone();
    let mut stream = Stream::new(0, "two clouds");
    let values = init::draw(&layout, init::Init::FanInUniform, &mut stream);
    let params = Params::from_vec(layout, None, values, &Device::Cpu)?;
    let mut policy = Learned::new(params, AdamConfig::default())?;
    let (rows, device) = (256, Device::Cpu);
    let obs = Tensor::zeros((rows, 1), DType::F32, &device)?;
    for _ in 0..600 {
        let side = random::rademacher(&mut stream, (rows, 1), &device)?;
        let centre = Tensor::cat(&[&(side * 0.6)?, &obs], 1)?;
        let act = (centre + (random::normal(&mut stream, (rows, 2), &device)? * 0.1)?)?;
        let z = random::normal(&mut stream, (rows, 2), &device)?;
        let tau = random::uniform(&mut stream, 0.0, 1.0, rows, &device)?;
        let x = TimeConvention::DataUp.interpolate(&act, &z, &tau)?;
        let v = net.forward(policy.params().tensor(), &obs, &x, [&tau])?;
        policy.descend(&regression_loss(&v, &(act - z)?)?, 3e-3)?;
    }
    Ok((net, policy))
}

/// One step of the policy towards a known value (rldt.md section 3), near the `reference`.
fn transport_step(
    net: &VelocityNet,
    policy: &mut Learned,
    reference: &Tensor,
    field: Field,
    stream: &mut Stream,
) -> Result<()> {
    const STATES: usize = 32;
    let obs = Tensor::zeros((STATES, 1), DType::F32, &Device::Cpu)?;
    let noise = StepNoise::draw((STATES, PARTICLES, 2), STEPS, stream, &Device::Cpu)?;
    let step = PolicyStep {
        net,
        field,
        coefficients: COEFFICIENTS,
    };
    let slope = |_: &Tensor, act: &Tensor| Ok(two_mode_value(act)?.1);
    let loss = step.loss(policy.params().tensor(), reference, &obs, &noise, slope)?;
    policy.descend(&loss.terms.total()?, 2e-4)?;
    Ok(())
}

/// Mean value of 2000 actions, and the share of them on the right.
fn judged(net: &VelocityNet, policy: &Learned) -> Result<(f32, f32)> {
    let device = Device::Cpu;
    let noise = random::normal(&mut Stream::new(9, "judged"), (2000, 2), &device)?;
    let obs = Tensor::zeros((2000, 1), DType::F32, &device)?;
    let params = policy.params().detached();
    let conditional = Conditional {
        net,
        params: &params,
        obs: &obs,
    };
    let act = integrate(&conditional, &noise, Grid::data_up(STEPS))?;
    let right = act.narrow(1, 0, 1)?.gt(0.0)?.to_dtype(DType::F32)?;
    Ok((
        two_mode_value(&act)?.0.mean_all()?.to_scalar()?,
        right.mean_all()?.to_scalar()?,
    ))
}

/// Value and share on the right before and after so many iterations with this temperature.
fn transported(temperature: f64, iterations: usize) -> Result<[(f32, f32); 2]> {
    let (net, mut policy) = two_clouds()?;
    let before = judged(&net, &policy)?;
    let field = Field {
        temperature,
        ..field(Transport::Normal)
    };
    let mut stream = Stream::new(3, "transport");
    for _ in 0..iterations {
        let reference = policy.params().detached().copy()?;
        for _ in 0..32 {
            transport_step(&net, &mut policy, &reference, field, &mut stream)?;
        }
    }
    Ok([before, judged(&net, &policy)?])
}

/// The paper's temperature over about its number of steps (1,700 of a tenth of this rate), and a larger one, with which the shares
/// stay for longer.
#[test]
fn transport_keeps_both_modes_while_the_value_rises() -> TestResult {
    for (temperature, iterations) in [(1e-3, 5), (0.5, 12)] {
        let [(before, right_before), (after, right)] = transported(temperature, iterations)?;
        println!("value {before} to {after}, on the right {right_before} to {right}");
        assert!(after > before + 1.0, "{before} to {after}");
        assert!((0.4..0.6).contains(&right_before) && (0.4..0.6).contains(&right));
    }
    Ok(())
}

/// Every value of every switch makes its own iteration.
#[test]
fn every_switch_changes_an_iteration_and_stays_finite() -> TestResult {
    let small = include_str!("small/rldt.toml");
    let run = |more: &str| -> std::result::Result<u64, Box<dyn Error>> {
        let mut table: toml::Table = small.parse()?;
        table.extend(more.parse::<toml::Table>()?);
        let mut agent = registry::make("rldt", &table, DIMS, 0, &Device::Cpu)?;
        let mut stream = Stream::new(1, "batches");
        // two iterations, the second with old rollouts
        for rollouts in [1, 3] {
            let metrics = agent.update(&batch(&mut stream, 16 * rollouts)?)?;
            assert_eq!(metrics.first_non_finite(), None, "{more}");
        }
        Ok(agent.parameter_hash()?)
    };
    let plain = run("")?;
    for switch in [
        "lambda = 0.5",
        "gamma = 0.9",
        "time_limits = \"terminal\"",
        "reward_scale = \"one\"",
        "q_max = 0.0",
        "bootstrap_samples = 1",
        "fresh_share = 1.0",
        "balance = \"by_return\"",
        "critic_sees_return = false",
        "critic_warmup = 1",
        "particles = 3",
        "transport = \"delta\"",
        "transport = \"delta_mean\"",
        "transport = \"interp\"",
        "transport = \"hybrid\"",
        "q_norm = \"none\"",
        "q_norm = \"q_grad\"",
        "kernel = \"imq\"",
        "svgd_temp = 1.0",
        "bandwidth = 0.5",
        "c_cons = 1.0",
        "c_kl = 0.0",
        "reference = \"pretrained\"",
        "reference = \"ema\"",
        "grad_clip = 1e-4",
        "obs_clip = 0.5",
        "encoder = [8, 4]",
        "layer_norm = true",
        "n_blocks = 2",
        "activation = \"mish\"",
    ] {
        assert_ne!(run(switch)?, plain, "no effect: {switch}");
    }
    Ok(())
}

/// One critic step on two trajectories: what the reward of the second one is, the first critic does not see.
#[test]
fn each_critic_sees_its_own_trajectories() -> TestResult {
    let mut table: toml::Table = include_str!("small/rldt.toml").parse()?;
    let one = "critic_updates = 1\npolicy_updates = 0\nrepeats = 1\nreward_scale = \"one\"";
    table.extend(one.parse::<toml::Table>()?);
    let critics = |shift: [f64; 2]| -> std::result::Result<Vec<Vec<f32>>, Box<dyn Error>> {
        let mut agent = registry::make("rldt", &table, DIMS, 0, &Device::Cpu)?;
        let mut batch = batch(&mut Stream::new(1, "batches"), 16)?;
        let by_env: Vec<f32> = (0..16).map(|row| shift[row % 2] as f32).collect();
        batch.reward = (batch.reward + Tensor::new(by_env, &Device::Cpu)?)?;
        agent.update(&batch)?;
        let state = common::state(agent.as_ref())?;
        let both = state.vec::<f32>("critic/online")?;
        Ok(both.chunks(both.len() / 2).map(<[f32]>::to_vec).collect())
    };
    let plain = critics([0.0, 0.0])?;
    // the order of the two trajectories in the batch is drawn: one shift moves one critic, the other shift the other
    let changed = |shift| -> std::result::Result<Vec<bool>, Box<dyn Error>> {
        let found = critics(shift)?;
        Ok(found.iter().zip(&plain).map(|(a, b)| a != b).collect())
    };
    let (first, second) = (changed([5.0, 0.0])?, changed([0.0, 5.0])?);
    assert_eq!(first.iter().filter(|moved| **moved).count(), 1, "{first:?}");
    assert!(first.iter().zip(&second).all(|(a, b)| a != b), "{second:?}");
    Ok(())
}

/// SDAC, DPMD and FPMD drive the entropy of the noise, which has to move with the temperature.
#[test]
fn constant_noise_needs_a_fixed_temperature_where_the_temperature_follows_it() -> TestResult {
    let make = |name: &str, text: &str| -> std::result::Result<bool, Box<dyn Error>> {
        let made = registry::make(name, &text.parse()?, DIMS, 0, &Device::Cpu);
        Ok(made.is_ok())
    };
    for name in ["sdac", "dpmd", "fpmd-r", "fpmd-m"] {
        assert!(!make(name, "noise = \"constant\"")?, "{name}");
        assert!(
            make(name, "noise = \"constant\"\nfix_alpha = true")?,
            "{name}"
        );
    }
    assert!(make("flame-m", "noise = \"constant\"")?);
    Ok(())
}
