//! SDAC, DPMD and FPMD: their equations against f64, their shared agent against what its page says.

mod common;

use std::error::Error;

use advect_algos::candidates::softmax_weights;
use advect_algos::diffusion_policy::DiffusionPolicy;
use advect_algos::dpmd::DpmdConfig;
use advect_algos::fpmd::{self, FpmdAgent, FpmdConfig};
use advect_algos::generator::{Generator, Variant};
use advect_algos::noisy_best_of::weights::ValueScore;
use advect_algos::noisy_best_of::{
    ChainConfig, MirrorConfig, NoisyBestOf, NoisyBestOfConfig, Objective, Policy,
};
use advect_algos::normals::Normals;
use advect_algos::off_policy::OffPolicyAgent;
use advect_algos::rows::{Coordinates, repeat_rows, weighted_rows_loss};
use advect_algos::sdac::SdacConfig;
use advect_algos::{Dims, OffPolicyConfig, Scoring, dpmd, registry, sdac};
use advect_flow::{MeanVelocityNet, NetConfig, VelocityNet};
use advect_kernels::{ParamLayout, Params, Precision, init, random};
use advect_rl::{ActMode, Agent, Batch, Data, ReplaySettings};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};
use common::{DIMS, batch, max_abs};

type TestResult = std::result::Result<(), Box<dyn Error>>;

const ROWS: usize = 7;
const NAMES: [&str; 4] = ["dpmd", "fpmd-m", "fpmd-r", "sdac"];

fn small() -> NoisyBestOfConfig {
    NoisyBestOfConfig {
        hidden: vec![32, 32],
        best_of: 4,
        ..NoisyBestOfConfig::default()
    }
}

fn small_fpmd(variant: Variant) -> FpmdConfig {
    FpmdConfig {
        shared: small(),
        n_gen: 2,
        ..FpmdConfig::of(variant)
    }
}

fn chain() -> ChainConfig {
    ChainConfig {
        n_diffusion: 5,
        ..ChainConfig::default()
    }
}

fn diffusion_policy() -> std::result::Result<DiffusionPolicy, Box<dyn Error>> {
    Ok(chain().policy(&small(), DIMS)?)
}

fn params(layout: &std::sync::Arc<ParamLayout>) -> Result<Params> {
    let scheme = init::Init::TruncatedNormal { scale: 1.0 };
    let values = init::draw(layout, scheme, &mut Stream::new(5, "init"));
    Params::from_vec(layout.clone(), None, values, &Device::Cpu)
}

fn normal(name: &str, shape: &[usize]) -> Result<Tensor> {
    random::normal(&mut Stream::new(6, name), shape, &Device::Cpu)
}

fn uniform(name: &str) -> Result<Tensor> {
    random::uniform(&mut Stream::new(6, name), 0.05, 0.95, ROWS, &Device::Cpu)
}

fn rows(x: &Tensor) -> Result<Vec<Vec<f64>>> {
    x.to_dtype(DType::F64)?.to_vec2()
}

fn values(x: &Tensor) -> Result<Vec<f64>> {
    x.to_dtype(DType::F64)?.to_vec1()
}

fn tensor(rows: &[Vec<f64>]) -> Result<Tensor> {
    let width = rows[0].len();
    Tensor::from_vec(rows.concat(), (rows.len(), width), &Device::Cpu)?.to_dtype(DType::F32)
}

/// `f(row, coordinate)` as a table.
fn table(f: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    (0..ROWS)
        .map(|b| (0..DIMS.act).map(|i| f(b, i)).collect())
        .collect()
}

fn weighted_square(f: &[Vec<f64>], target: &[Vec<f64>], weights: &[f64]) -> f64 {
    let square = |b: usize, i: usize| weights[b] * (f[b][i] - target[b][i]).powi(2);
    let all = (0..ROWS).flat_map(|b| (0..DIMS.act).map(move |i| (b, i)));
    all.map(|(b, i)| square(b, i)).sum::<f64>() / (ROWS * DIMS.act) as f64
}

fn assert_loss(found: &Tensor, expected: f64) -> Result<()> {
    let found = f64::from(found.to_scalar::<f32>()?);
    assert!(
        expected > 1e-3 && (found - expected).abs() < 1e-5 * expected,
        "{found} for {expected}"
    );
    Ok(())
}

fn gradient(loss: &Tensor, params: &Params) -> Result<Tensor> {
    let missing = || candle_core::Error::Msg("no gradient".into());
    loss.backward()?.remove(params.var()).ok_or_else(missing)
}

fn assert_same(found: &Tensor, expected: &Tensor) -> Result<()> {
    let (scale, error) = (max_abs(expected)?, max_abs(&(found - expected)?)?);
    assert!(
        scale > 1e-3 && error < 1e-5 * scale.max(1.0),
        "{error} of {scale}"
    );
    Ok(())
}

/// States, actions, noise and weights of one loss.
struct Problem {
    obs: Tensor,
    act: Tensor,
    noise: Tensor,
    weights: Tensor,
}

fn problem() -> Result<Problem> {
    Ok(Problem {
        obs: normal("obs", &[ROWS, DIMS.obs])?,
        act: normal("act", &[ROWS, DIMS.act])?.tanh()?,
        noise: normal("noise", &[ROWS, DIMS.act])?,
        weights: normal("weights", &[ROWS])?.exp()?,
    })
}

#[test]
fn fpmd_r_regresses_on_weighted_velocities() -> Result<()> {
    let net = VelocityNet::new(&NetConfig::flame(DIMS.obs, DIMS.act, &[32, 32])?)?;
    let (p, params) = (problem()?, params(net.layout())?);
    let tau = uniform("tau")?;
    let (a, n, t) = (rows(&p.act)?, rows(&p.noise)?, values(&tau)?);
    let x = table(|b, i| t[b] * a[b][i] + (1.0 - t[b]) * n[b][i]);
    let v = rows(&net.forward(&params.detached(), &p.obs, &tensor(&x)?, [&tau])?)?;
    let expected = weighted_square(&v, &table(|b, i| a[b][i] - n[b][i]), &values(&p.weights)?);
    let pair = (&p.act, &p.noise);
    let found = fpmd::policy_r::loss(&net, params.tensor(), &p.obs, pair, &tau, &p.weights)?;
    assert_loss(&found, expected)
}

/// The total derivative of the target by central differences of the network along `(v, 0, 1)`.
#[test]
fn fpmd_m_regresses_on_weighted_meanflow_targets() -> Result<()> {
    let net = MeanVelocityNet::new(&NetConfig::flame(DIMS.obs, DIMS.act, &[32, 32])?)?;
    let (p, params) = (problem()?, params(net.layout())?);
    let (first, second) = (uniform("first")?, uniform("second")?);
    let (r, t) = (first.minimum(&second)?, first.maximum(&second)?);
    let (a, n) = (rows(&p.act)?, rows(&p.noise)?);
    let (r64, t64) = (values(&r)?, values(&t)?);
    let at = |h: f64| -> Result<Vec<Vec<f64>>> {
        let time = |b: usize| t64[b] + h;
        let x = table(|b, i| {
            let here = (1.0 - t64[b]) * a[b][i] + t64[b] * n[b][i];
            here + h * (n[b][i] - a[b][i])
        });
        let times: Vec<f32> = (0..ROWS).map(|b| time(b) as f32).collect();
        let times = Tensor::from_vec(times, ROWS, &Device::Cpu)?;
        rows(&net.forward(&params.detached(), &p.obs, &tensor(&x)?, [&r, &times])?)
    };
    let h = 5e-3;
    let (up, down, u) = (at(h)?, at(-h)?, at(0.0)?);
    let target = table(|b, i| {
        let rate = (up[b][i] - down[b][i]) / (2.0 * h);
        n[b][i] - a[b][i] - (t64[b] - r64[b]) * rate
    });
    let (theta, pair) = (params.tensor(), (&p.act, &p.noise));
    let found = fpmd::policy_m::loss(&net, theta, &p.obs, pair, (&r, &t), &p.weights)?;
    let expected = weighted_square(&u, &target, &values(&p.weights)?);
    let value = f64::from(found.to_scalar::<f32>()?);
    assert!(
        (value - expected).abs() < 1e-3 * expected,
        "{value} for {expected}"
    );
    // The target is a constant: the gradient is that of a regression on frozen numbers.
    let x = tensor(&table(|b, i| (1.0 - t64[b]) * a[b][i] + t64[b] * n[b][i]))?;
    let tracked = net.forward(theta, &p.obs, &x, [&r, &t])?;
    let frozen = weighted_rows_loss(
        &tracked,
        &tensor(&target)?,
        &p.weights.unsqueeze(1)?,
        Coordinates::Mean,
    )?;
    let (found, expected) = (gradient(&found, &params)?, gradient(&frozen, &params)?);
    let (scale, error) = (max_abs(&expected)?, max_abs(&(found - expected)?)?);
    assert!(scale > 0.1 && error < 2e-3 * scale, "{error} of {scale}");
    Ok(())
}

/// `(beta, sqrt(alpha_bar), sqrt(1 - alpha_bar))` of every step, from baselines.md section 3.
fn schedule(steps: usize) -> Vec<[f64; 3]> {
    let mut share = 1.0;
    let step = |k: usize| {
        let beta = 0.8 * (1e-4 + (0.999 - 1e-4) * k as f64 / (steps - 1) as f64);
        share *= 1.0 - beta;
        [beta, f64::sqrt(share), f64::sqrt(1.0 - share)]
    };
    (0..steps).map(step).collect()
}

#[test]
fn dpmd_predicts_the_noise_of_weighted_actions() -> TestResult {
    let policy = diffusion_policy()?;
    let (p, params) = (problem()?, params(policy.layout())?);
    let steps: Vec<u32> = (0..ROWS as u32).map(|b| b % 5).collect();
    let k = Tensor::from_vec(steps.clone(), ROWS, &Device::Cpu)?;
    let (a, n) = (rows(&p.act)?, rows(&p.noise)?);
    let x = table(|b, i| {
        let [_, data, noise] = schedule(5)[steps[b] as usize];
        data * a[b][i] + noise * n[b][i]
    });
    let net = VelocityNet::new(&NetConfig::flame(DIMS.obs, DIMS.act, &[32, 32])?)?;
    let times = k.to_dtype(DType::F32)?;
    let eps = rows(&net.forward(&params.detached(), &p.obs, &tensor(&x)?, [&times])?)?;
    let denoised = policy.denoise(params.tensor(), &p.obs, &p.act, &p.noise, &k)?;
    let found = dpmd::policy::loss(&denoised.predicted, &p.noise, &p.weights)?;
    assert_loss(&found, weighted_square(&eps, &n, &values(&p.weights)?))?;
    Ok(())
}

/// `K` noises of one noised action per state, with weights that follow a known value of the implied action.
struct Reverse {
    k: Tensor,
    eps: Tensor,
    noised: Tensor,
    weights: Tensor,
}

const K: usize = 9;
const TEMPERATURE: f64 = 0.3;

fn reverse(policy: &DiffusionPolicy, p: &Problem, params: &Params) -> Result<Reverse> {
    let k = Tensor::from_vec(
        (0..ROWS as u32).map(|b| b % 5).collect(),
        ROWS,
        &Device::Cpu,
    )?;
    let eps = normal("noises", &[ROWS, K, DIMS.act])?;
    let noised = policy
        .denoise(params.tensor(), &p.obs, &p.act, &p.noise, &k)?
        .noised;
    let act = sdac::reverse_sampling::implied_actions(policy.schedule(), &noised, &k, &eps)?;
    let weights = softmax_weights(&act.sqr()?.sum(2)?, TEMPERATURE)?;
    Ok(Reverse {
        k,
        eps,
        noised,
        weights,
    })
}

#[test]
fn sdac_regresses_on_the_weighted_mean_noise() -> TestResult {
    let policy = diffusion_policy()?;
    let (p, params) = (problem()?, params(policy.layout())?);
    let reverse = reverse(&policy, &p, &params)?;
    let eps = reverse.eps.to_dtype(DType::F64)?.to_vec3::<f64>()?;
    let x = rows(&reverse.noised)?;
    let mean = (0..ROWS).map(|b| {
        let [_, data, noise] = schedule(5)[b % 5];
        let implied =
            |j: usize, i: usize| ((x[b][i] - noise * eps[b][j][i]) / data).clamp(-1.0, 1.0);
        let value = |j: usize| (0..DIMS.act).map(|i| implied(j, i).powi(2)).sum::<f64>();
        let odds: Vec<f64> = (0..K).map(|j| (value(j) / TEMPERATURE).exp()).collect();
        let sum: f64 = odds.iter().sum();
        let coordinate = |i: usize| (0..K).map(|j| odds[j] / sum * eps[b][j][i]).sum();
        (0..DIMS.act).map(coordinate).collect::<Vec<f64>>()
    });
    let mean: Vec<Vec<f64>> = mean.collect();
    let predicted = policy
        .denoise(params.tensor(), &p.obs, &p.act, &p.noise, &reverse.k)?
        .predicted;
    let found = sdac::reverse_sampling::loss(&predicted, &reverse.eps, &reverse.weights)?;
    let expected = weighted_square(&rows(&predicted.detach())?, &mean, &[1.0; ROWS]);
    assert_loss(&found, expected)?;
    Ok(())
}

#[test]
fn sdac_has_the_gradient_of_one_row_per_noise() -> TestResult {
    let policy = diffusion_policy()?;
    let (p, params) = (problem()?, params(policy.layout())?);
    let Reverse {
        k, eps, weights, ..
    } = reverse(&policy, &p, &params)?;
    let theta = params.tensor();
    let predicted = policy
        .denoise(theta, &p.obs, &p.act, &p.noise, &k)?
        .predicted;
    let shared = sdac::reverse_sampling::loss(&predicted, &eps, &weights)?;
    let each = |x: &Tensor| repeat_rows(x, K);
    let predicted = policy
        .denoise(
            theta,
            &each(&p.obs)?,
            &each(&p.act)?,
            &each(&p.noise)?,
            &each(&k)?,
        )?
        .predicted;
    let long = weighted_rows_loss(&predicted, &eps.flatten(0, 1)?, &weights, Coordinates::Mean)?;
    assert!(
        long.to_scalar::<f32>()? > shared.to_scalar::<f32>()?,
        "the long form adds the targets' variance"
    );
    assert_same(&gradient(&shared, &params)?, &gradient(&long, &params)?)?;
    Ok(())
}

/// The reverse chain by hand, with the start scaled.
#[test]
fn diffusion_candidates_are_the_reverse_chain() -> TestResult {
    let shared = NoisyBestOfConfig {
        base_std: 0.5,
        ..small()
    };
    let policy = chain().policy(&shared, DIMS)?;
    let params = params(policy.layout())?.detached();
    let net = VelocityNet::new(&NetConfig::flame(DIMS.obs, DIMS.act, &[32, 32])?)?;
    let (p, d) = (problem()?, DIMS.act);
    let mut stream = Stream::new(0, "chain");
    // the start, then the noise of the steps T-1, .., 1
    let draws: Vec<_> = (0..5)
        .map(|_| rows(&random::normal(&mut stream, (ROWS, d), &Device::Cpu)?))
        .collect::<Result<_>>()?;
    let mut x = table(|b, i| 0.5 * draws[0][b][i]);
    let steps = schedule(5);
    for k in (0..5).rev() {
        let [beta, data, noise] = steps[k];
        let before = if k == 0 { 1.0 } else { steps[k - 1][1].powi(2) };
        let time = Tensor::new(&[k as f32], &Device::Cpu)?;
        let eps = rows(&net.forward(&params, &p.obs, &tensor(&x)?, [&time])?)?;
        let std = (beta * (1.0 - before) / noise.powi(2)).sqrt();
        x = table(|b, i| {
            let x_0 = ((x[b][i] - noise * eps[b][i]) / data).clamp(-1.0, 1.0);
            let mean =
                beta * f64::sqrt(before) * x_0 + (1.0 - before) * (1.0 - beta).sqrt() * x[b][i];
            let added = if k == 0 {
                0.0
            } else {
                std * draws[5 - k][b][i]
            };
            mean / noise.powi(2) + added
        });
    }
    let mut again = Stream::new(0, "chain");
    let normals = &mut Normals::Stream(&mut again);
    let found = policy.candidates(&params, &p.obs, 1, normals, Precision::F32)?;
    assert_eq!(again, stream);
    assert_same(&found.squeeze(1)?, &tensor(&x)?)?;
    Ok(())
}

#[test]
fn one_call_is_the_averaged_velocity_at_zero() -> TestResult {
    for variant in [Variant::R, Variant::M] {
        let config = FpmdConfig {
            one_step_eval: true,
            ..small_fpmd(variant)
        };
        let mut agent = fpmd::agent(variant, config, DIMS, 3, &Device::Cpu)?;
        agent.update(&batch(&mut Stream::new(1, "batches"), 16)?)?;
        let hashes = [agent.policy(), agent.average_policy()].map(Params::hash);
        let [online, average] = hashes;
        assert_ne!(online?, average?);
        let obs = normal("obs", &[ROWS, DIMS.obs])?;
        let zero = Tensor::zeros((ROWS, DIMS.act), DType::F32, &Device::Cpu)?;
        let time = |t: f32| Tensor::new(&[t], &Device::Cpu);
        let theta = agent.average_policy().detached();
        let expected = match &agent.algorithm().policy().generator {
            Generator::R(net) => net.forward(&theta, &obs, &zero, [&time(0.0)?])?,
            Generator::M(net) => net
                .forward(&theta, &obs, &zero, [&time(0.0)?, &time(1.0)?])?
                .neg()?,
        };
        let found = agent.act(&obs, ActMode::Evaluate)?;
        assert_same(&found, &expected.clamp(-1.0, 1.0)?)?;
    }
    Ok(())
}

/// `-1.5 d` is a standard deviation of 0.054, `-0.9 d` one of 0.098, whatever the width of the action.
#[test]
fn temperature_settles_where_the_noise_has_its_target_entropy() -> TestResult {
    for (scale, std) in [(0.9, 0.0984), (1.5, 0.0540)] {
        let shared = NoisyBestOfConfig {
            hidden: vec![4],
            best_of: 1,
            delay_alpha_update: 1,
            delay_update: 1_000_000,
            target_entropy_scale: scale,
            ..NoisyBestOfConfig::default()
        };
        let config = FpmdConfig {
            shared,
            n_gen: 1,
            ..FpmdConfig::of(Variant::R)
        };
        let mut agent = fpmd::agent(Variant::R, config, DIMS, 0, &Device::Cpu)?;
        assert!(
            (agent.algorithm().noise_std()? - 0.5).abs() < 1e-6
                && (agent.algorithm().alpha()? - 5.0).abs() < 1e-5
        );
        let batch = batch(&mut Stream::new(1, "batches"), 2)?;
        let entropy = agent.update(&batch)?.get("temperature/entropy");
        let expected = (0.5 * (2.0 * std::f64::consts::PI).ln() + 0.5 + 0.5f64.ln()) * 2.0;
        assert!((entropy.ok_or("no entropy")? - expected).abs() < 1e-6);
        assert!(
            ((5.0 / agent.algorithm().alpha()?).ln() - 7e-3).abs() < 1e-5,
            "one Adam step"
        );
        for _ in 0..1200 {
            agent.update(&batch)?;
        }
        let found = agent.algorithm().noise_std()?;
        assert!((found - std).abs() < 0.01 * std, "{found} for {std}");
    }
    Ok(())
}

/// With a source of almost no width the policy takes one action per state, so the spread is the noise.
#[test]
fn exploration_adds_noise_of_a_tenth_of_alpha() -> TestResult {
    let config = FpmdConfig {
        shared: NoisyBestOfConfig {
            base_std: 1e-6,
            ..small()
        },
        ..small_fpmd(Variant::R)
    };
    let mut agent = fpmd::agent(Variant::R, config, DIMS, 0, &Device::Cpu)?;
    let obs = Tensor::full(0.3f32, (4000, DIMS.obs), &Device::Cpu)?;
    let act = agent.act(&obs, ActMode::Explore)?;
    let centre = agent.act(&obs.narrow(0, 0, 1)?, ActMode::Evaluate)?;
    let spread = act.broadcast_sub(&centre)?;
    let mean = spread.mean_all()?.to_scalar::<f32>()?;
    let std = spread.sqr()?.mean_all()?.sqrt()?.to_scalar::<f32>()?;
    assert!(
        mean.abs() < 0.02 && (std - 0.5).abs() < 0.015,
        "{mean}, {std}"
    );
    Ok(())
}

#[test]
fn more_candidates_have_a_higher_value() -> TestResult {
    let value = |best_of: usize| -> std::result::Result<f32, Box<dyn Error>> {
        let config = FpmdConfig {
            shared: NoisyBestOfConfig { best_of, ..small() },
            ..small_fpmd(Variant::R)
        };
        let mut agent: FpmdAgent = fpmd::agent(Variant::R, config, DIMS, 0, &Device::Cpu)?;
        let obs = normal("states", &[64, DIMS.obs])?;
        let act = agent.act(&obs, ActMode::Evaluate)?;
        let q = agent.critic().min_q(&obs, &act)?;
        Ok(q.mean_all()?.to_scalar()?)
    };
    let (one, four, many) = (value(1)?, value(4)?, value(32)?);
    assert!(one < four && four < many, "{one}, {four}, {many}");
    Ok(())
}

#[test]
fn policy_and_averages_rest_on_odd_updates_and_the_temperature_for_250() -> TestResult {
    let config = FpmdConfig {
        n_gen: 1,
        ..small_fpmd(Variant::M)
    };
    let mut agent = fpmd::agent(Variant::M, config, DIMS, 0, &Device::Cpu)?;
    let hashes = |agent: &FpmdAgent| -> Result<[u64; 4]> {
        Ok([
            agent.policy().hash()?,
            agent.average_policy().hash()?,
            agent.critic().target().hash()?,
            agent.critic().online().hash()?,
        ])
    };
    let mut stream = Stream::new(1, "batches");
    for count in 0..252u64 {
        let (before, alpha) = (hashes(&agent)?, agent.algorithm().alpha()?);
        let metrics = agent.update(&batch(&mut stream, 4)?)?;
        let after = hashes(&agent)?;
        let moved: Vec<bool> = before.iter().zip(after).map(|(a, b)| *a != b).collect();
        let even = count % 2 == 0;
        assert_eq!(moved, [even, even, even, true], "update {count}");
        assert_eq!(metrics.get("policy/loss").is_some(), even);
        assert_eq!(
            agent.algorithm().alpha()? != alpha,
            count % 250 == 0,
            "temperature at update {count}"
        );
    }
    Ok(())
}

/// Settings with which a one-step task is learned in seconds.
fn quick() -> NoisyBestOfConfig {
    NoisyBestOfConfig {
        hidden: vec![32, 32],
        best_of: 8,
        critic_lr: 3e-3,
        policy_lr: 2e-3,
        policy_lr_end: 2e-3,
        init_alpha: 0.5,
        alpha_lr: 0.0,
        ..NoisyBestOfConfig::default()
    }
}

/// The averaged policy follows within the few updates of a test.
fn quick_averages() -> OffPolicyConfig {
    OffPolicyConfig {
        ema_tau: 0.02,
        ..OffPolicyConfig::default()
    }
}

/// Mean and deviation of single samples of the policy, before and after it learned the task `-10 (a - 0.4)^2`.
fn learn<P: Policy, O: Objective<P>>(
    mut agent: OffPolicyAgent<NoisyBestOf<P, O>>,
    updates: usize,
) -> Result<[(f32, f32); 2]> {
    let (rows, device) = (64, Device::Cpu);
    let obs = Tensor::zeros((rows, 1), DType::F32, &device)?;
    let mut stream = Stream::new(0, "one-step task");
    let before = samples(&agent)?;
    for _ in 0..updates {
        let act = random::uniform(&mut stream, -1.0, 1.0, (rows, 1), &device)?;
        let reward = ((&act - 0.4)?.sqr()? * -10.0)?.squeeze(1)?;
        let terminated = reward.ones_like()?;
        agent.update(&Batch {
            obs: obs.clone(),
            next_obs: obs.clone(),
            act,
            truncated: reward.zeros_like()?,
            reward,
            terminated,
            numbers: (0..rows as u64).collect(),
            num_envs: rows,
        })?;
    }
    Ok([before, samples(&agent)?])
}

fn samples<P: Policy, O: Objective<P>>(
    agent: &OffPolicyAgent<NoisyBestOf<P, O>>,
) -> Result<(f32, f32)> {
    let (policy, params) = (
        agent.algorithm().policy(),
        agent.average_policy().detached(),
    );
    let mut stream = Stream::new(0, "samples");
    let noise = &mut Normals::Stream(&mut stream);
    let obs = Tensor::zeros((1, 1), DType::F32, &Device::Cpu)?;
    let act = policy.candidates(&params, &obs, 1000, noise, Precision::F32)?;
    let mean = act.mean_all()?.to_scalar::<f32>()?;
    let variance = (act - f64::from(mean))?.sqr()?.mean_all()?;
    Ok((mean, variance.sqrt()?.to_scalar()?))
}

/// Not the choice among the samples but the samples themselves come to the best action.
fn assert_concentrates<P: Policy, O: Objective<P>>(
    agent: OffPolicyAgent<NoisyBestOf<P, O>>,
) -> Result<()> {
    let name = agent.name();
    let [(_, before), (mean, std)] = learn(agent, 600)?;
    println!("{name}: {mean} +- {std}, at first +- {before}");
    assert!(
        (mean - 0.4).abs() < 0.1 && std < 0.5 * before,
        "{name}: {mean} +- {std}, at first +- {before}"
    );
    Ok(())
}

const LINE: Dims = Dims { obs: 1, act: 1 };

#[test]
fn fpmd_concentrates_on_the_best_action() -> TestResult {
    for variant in [Variant::R, Variant::M] {
        let config = FpmdConfig {
            shared: quick(),
            off_policy: quick_averages(),
            ..FpmdConfig::of(variant)
        };
        assert_concentrates(fpmd::agent(variant, config, LINE, 0, &Device::Cpu)?)?;
    }
    Ok(())
}

#[test]
fn dpmd_concentrates_on_the_best_action() -> TestResult {
    let mut config = DpmdConfig {
        shared: quick(),
        off_policy: quick_averages(),
        ..DpmdConfig::default()
    };
    config.chain.n_diffusion = 10;
    Ok(assert_concentrates(dpmd::agent(
        config,
        LINE,
        0,
        &Device::Cpu,
    )?)?)
}

#[test]
fn sdac_concentrates_on_the_best_action() -> TestResult {
    let mut config = SdacConfig {
        shared: quick(),
        off_policy: quick_averages(),
        ..SdacConfig::default()
    };
    config.chain.n_diffusion = 10;
    Ok(assert_concentrates(sdac::agent(
        config,
        LINE,
        0,
        &Device::Cpu,
    )?)?)
}

/// The best of `P` under the online critics by hand, plus noise: what the agent's target takes, from the same stream.
fn next_action(agent: &FpmdAgent, next_obs: &Tensor, stream: &mut Stream) -> Result<Tensor> {
    let (rows, candidates, d) = (next_obs.dim(0)?, small().best_of, DIMS.act);
    let theta = agent.policy().detached();
    let (policy, precision) = (agent.algorithm().policy(), Precision::F32);
    let act = policy.candidates(
        &theta,
        next_obs,
        candidates,
        &mut Normals::Stream(stream),
        precision,
    )?;
    let noise = random::normal(stream, (rows, d), &Device::Cpu)?;
    let q: Vec<Vec<f32>> = (0..candidates)
        .map(|k| {
            let act = act.narrow(1, k, 1)?.squeeze(1)?;
            agent.critic().min_q(next_obs, &act)?.to_vec1()
        })
        .collect::<Result<_>>()?;
    let best = |b: usize| {
        let better = |i: &usize, j: &usize| q[*i][b].total_cmp(&q[*j][b]);
        (0..candidates).max_by(better).unwrap_or(0)
    };
    let chosen = |b: usize| act.get(b)?.get(best(b));
    let chosen: Vec<Tensor> = (0..rows).map(chosen).collect::<Result<_>>()?;
    Tensor::stack(&chosen, 0)? + (noise * agent.algorithm().noise_std()?)?
}

fn close(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() < 1e-5 * expected.abs().max(1.0))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Target, weights and moments of every update from their definitions: online critics choose, target critics value, the
/// weights take the critics after their step and the moments before theirs, which see every update.
#[test]
fn updates_take_the_target_the_weights_and_the_moments_of_the_page() -> TestResult {
    let mut agent = fpmd::agent(Variant::R, small_fpmd(Variant::R), DIMS, 4, &Device::Cpu)?;
    assert_eq!(agent.algorithm().objective().moments().read()?, [0.0, 1.0]);
    let (mut draws, mut stream) = (
        Stream::new(4, "fpmd-r/next_action"),
        Stream::new(1, "batches"),
    );
    for count in 0..4 {
        let batch = batch(&mut stream, 16)?;
        let [m, sigma] = agent.algorithm().objective().moments().read()?;
        let alpha = agent.algorithm().alpha()?;
        let act = next_action(&agent, &batch.next_obs, &mut draws)?;
        let value = values(&agent.critic().target_min_q(&batch.next_obs, &act)?)?;
        let (reward, done) = (values(&batch.reward)?, values(&batch.terminated)?);
        let target = (0..16).map(|b| 0.2 * reward[b] + 0.99 * (1.0 - done[b]) * value[b]);
        let metrics = agent.update(&batch)?;
        assert!(
            close(metrics.get("critic/target"), mean(target)),
            "{metrics:?}"
        );
        let q = values(&agent.critic().min_q(&batch.next_obs, &act)?)?;
        let weight = |q: &f64| (((q - m) / sigma).clamp(-3.0, 3.0) / alpha).exp();
        if count % 2 == 0 {
            let expected = mean(q.iter().map(weight));
            assert!(
                close(metrics.get("policy/weight_mean"), expected),
                "{metrics:?}"
            );
        }
        let q_mean = mean(q.iter().copied());
        let q_std = mean(q.iter().map(|q| (q - q_mean).powi(2))).sqrt();
        let after = agent.algorithm().objective().moments().read()?;
        assert!((after[0] - 0.999 * m - 0.001 * q_mean).abs() < 1e-8);
        assert!((after[1] - 0.999 * sigma - 0.001 * q_std).abs() < 1e-8);
    }
    Ok(())
}

#[test]
fn every_switch_changes_the_update_and_stays_finite() -> TestResult {
    let run = |name: &str, text: &str| -> std::result::Result<u64, Box<dyn Error>> {
        let small = "hidden = [32, 32]\nbest_of = 4\n";
        let table = format!("{small}{text}").parse()?;
        let mut agent = registry::make(name, &table, DIMS, 0, &Device::Cpu)?;
        let mut stream = Stream::new(1, "batches");
        for _ in 0..3 {
            let metrics = agent.update(&batch(&mut stream, 16)?)?;
            assert_eq!(metrics.first_non_finite(), None);
        }
        Ok(agent.parameter_hash()?)
    };
    let shared = [
        "base_std = 0.5",
        "critic_double_step = true",
        "noise_scale = 0.2",
        "init_alpha = 1.0",
        "reward_scale = 1.0",
        "scoring = \"bf16\"",
        "delay_update = 3",
        "delay_alpha_update = 2",
    ];
    let mirror = [
        "value_score = \"repo_precedence\"",
        "score_clip = 0.01",
        "moments_rate = 0.5",
    ];
    let diffusion = ["n_diffusion = 5", "beta_scale = 0.5", "beta_last = 0.5"];
    let own = |name| match name {
        "sdac" => [&diffusion[..], &["num_noises = 8", "value_scale = 1.0"]].concat(),
        "dpmd" => [&mirror[..], &diffusion].concat(),
        _ => [&mirror[..], &["n_gen = 3"]].concat(),
    };
    for name in NAMES {
        let plain = run(name, "")?;
        for text in shared.iter().chain(&own(name)) {
            assert_ne!(run(name, text)?, plain, "{name}: no effect: {text}");
        }
    }
    Ok(())
}

#[test]
fn values_that_make_no_sense_are_refused_by_key() -> TestResult {
    let refuse = |name: &str, text: &str, said: &str| -> TestResult {
        let made = registry::make(name, &text.parse()?, DIMS, 0, &Device::Cpu);
        let error = made.err().ok_or("accepted")?.to_string();
        assert!(error.contains(said), "{error}");
        Ok(())
    };
    refuse(
        "sdac",
        "num_noises = 0",
        "`num_noises` is 0; give at least 1",
    )?;
    refuse("sdac", "value_scale = 0.0", "`value_scale` is 0")?;
    refuse("dpmd", "beta_scale = 1.1", "stay below 1")?;
    refuse("dpmd", "n_diffusion = 0", "`n_diffusion` is 0")?;
    refuse("dpmd", "moments_rate = 2.0", "`moments_rate` is 2")?;
    refuse("fpmd-r", "score_clip = -1.0", "`score_clip` is -1")?;
    refuse("fpmd-m", "n_gen = 0", "`n_gen` is 0")?;
    refuse("fpmd-m", "best_of = 0", "`best_of` is 0")?;
    refuse("fpmd-r", "value_score = \"other\"", "repo_precedence")?;
    refuse("fpmd-r", "n_diffusion = 3", "unknown key `n_diffusion`")?;
    refuse("sdac", "score_clip = 3.0", "unknown key `score_clip`")
}

#[test]
fn defaults_are_those_of_the_authors_code() -> TestResult {
    for name in NAMES {
        let table = registry::default_config(name)?;
        let agent = registry::make(name, &table, DIMS, 0, &Device::Cpu)?;
        let settings = agent.loop_settings();
        let replay = ReplaySettings {
            warmup_transitions: 30_000,
            warmup_counts: false,
            updates_per_vector_step: 1,
            batch_size: 256,
            capacity: 1_000_000,
        };
        assert_eq!(
            (settings.num_envs, settings.data),
            (5, Data::Replay(replay))
        );
        for key in table.keys() {
            assert!(registry::describe_key(name, key).is_some(), "{name}: {key}");
        }
    }
    assert_eq!(registry::describe_key("sac", "value_score"), None);
    let shared = NoisyBestOfConfig::default();
    assert_eq!((shared.best_of, shared.scoring), (32, Scoring::F32));
    assert_eq!(shared.target_entropy_scale, 0.9);
    assert_eq!(FpmdConfig::of(Variant::M).shared.target_entropy_scale, 1.5);
    let schedule = shared.policy_schedule();
    assert_eq!([schedule.at(0), schedule.at(25_000)], [3e-4; 2]);
    assert!((schedule.at(75_000) - 3e-5).abs() < 1e-15);
    assert_eq!(
        MirrorConfig::default().value_score,
        ValueScore::Standardised
    );
    Ok(())
}
