//! ReinFlow: its likelihood against scalars, its gradients against differences, its chains against what was acted.

mod common;

use std::error::Error;
use std::f64::consts::{E, PI};

use advect_algos::encoder::ImageNetwork;
use advect_algos::flow_actor::FlowActor;
use advect_algos::flow_network::FlowNetwork;
use advect_algos::ppo::loss::Rows;
use advect_algos::reinflow::chain::{Rules, StepTimes};
use advect_algos::reinflow::loss::{Coefficients, losses};
use advect_algos::reinflow::noise::Bounds;
use advect_algos::reinflow::{NoisyChain, NoisyFlow, ReinFlowAgent, ReinFlowConfig};
use advect_algos::{Dims, registry};
use advect_flow::{NetConfig, VelocityNet};
use advect_kernels::{Activation, Mlp, ParamLayout, Params, init, random};
use advect_rl::{ActMode, Agent, Batch, StateDict};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};
use common::{DIMS, batch, max_abs, state};

type TestResult = std::result::Result<(), Box<dyn Error>>;

const STEPS: usize = 3;
const ROWS: usize = 6;
const RULES: Rules = Rules {
    times: StepTimes::Start,
    clip_mean: true,
    noise_clip: 3.0,
    clip_end: false,
};
const BOUNDS: Bounds = Bounds {
    low: 0.1,
    high: 0.3,
};

fn normal(name: &str, shape: &[usize]) -> Result<Tensor> {
    random::normal(&mut Stream::new(2, name), shape, &Device::Cpu)
}

/// A small policy whose velocities and deviations vary.
fn policy() -> Result<(NoisyFlow, Params)> {
    let net = VelocityNet::new(&NetConfig::denoiser(DIMS.obs, DIMS.act, &[8], 4, 8)?)?;
    let (network, image) = (FlowNetwork::default(), ImageNetwork::default());
    let actor = FlowActor {
        net,
        ..FlowActor::new(DIMS.into(), &network, &image, STEPS)?
    };
    let nets = NoisyFlow::new(actor, DIMS, &[6])?;
    let scheme = init::Init::Normal { std: 0.5 };
    let values = init::draw(nets.layout(), scheme, &mut Stream::new(1, "policy"));
    let params = Params::from_vec(nets.layout().clone(), None, values, &Device::Cpu)?;
    Ok((nets, params))
}

fn chain(nets: &NoisyFlow, rules: Rules) -> NoisyChain<'_> {
    NoisyChain {
        nets,
        rules,
        bounds: BOUNDS,
    }
}

/// `W x + b` of the parameters' entries `{name}.weight` and `{name}.bias`.
fn linear(params: &Params, name: &str, x: &[f64]) -> std::result::Result<Vec<f64>, Box<dyn Error>> {
    let values = params.to_vec()?;
    let entry = |part: &str| {
        let entry = params.layout().find(&format!("{name}.{part}"));
        entry.map(|entry| values[entry.range()].to_vec())
    };
    let weight = entry("weight").ok_or("no weight")?;
    let bias = entry("bias").ok_or("no bias")?;
    let rows = weight.chunks(x.len()).zip(bias);
    let dot = |w: &[f32]| w.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
    Ok(rows.map(|(w, b)| dot(w) + f64::from(b)).collect())
}

/// `sigma(tau, s)` by hand, in f64.
fn deviations(
    nets: &NoisyFlow,
    params: &Params,
    obs: &Tensor,
    tau: &Tensor,
) -> std::result::Result<Vec<f64>, Box<dyn Error>> {
    let own = params.slice(0..nets.actor.net.layout().len())?;
    let embedded = nets.actor.net.time_embedding(&own, tau)?;
    let inputs = Tensor::cat(&[&embedded, obs], 1)?.get(0)?;
    let inputs: Vec<f64> = inputs.to_dtype(DType::F64)?.to_vec1()?;
    let hidden = linear(params, "noise.0", &inputs)?;
    let hidden: Vec<f64> = hidden.into_iter().map(f64::tanh).collect();
    let outputs = linear(params, "noise.1", &hidden)?;
    let (low, high) = (0.01f64.ln(), 0.09f64.ln());
    let sigma = |o: f64| (0.5 * (low + (high - low) * (o.tanh() + 1.0) / 2.0)).exp();
    Ok(outputs.into_iter().map(sigma).collect())
}

/// Sums of log-densities and of entropies over one chain `x`, in f64.
fn by_hand(
    nets: &NoisyFlow,
    params: &Params,
    obs: &Tensor,
    x: &[Vec<f32>],
    last_time: f64,
) -> std::result::Result<(f64, f64), Box<dyn Error>> {
    let normal = |z: f64| -0.5 * z * z - 0.5 * (2.0 * PI).ln();
    let unit = 0.5 * (2.0 * PI * E).ln();
    let mut log_prob: f64 = x[0].iter().map(|x| normal(f64::from(*x))).sum();
    let mut entropy = DIMS.act as f64 * unit;
    for (k, (from, to)) in x.iter().zip(&x[1..]).enumerate() {
        let tau = last_time * k as f64 / (STEPS - 1) as f64;
        let tau = Tensor::new(&[tau as f32], &Device::Cpu)?;
        let point = Tensor::new(from.as_slice(), &Device::Cpu)?.unsqueeze(0)?;
        let v = nets.velocity(&params.detached(), obs, &point, &tau)?;
        let v = v.get(0)?.to_vec1::<f32>()?;
        let sigma = deviations(nets, params, obs, &tau)?;
        for (i, sigma) in sigma.into_iter().enumerate() {
            let mean = f64::from(from[i]) + f64::from(v[i]) / STEPS as f64;
            let z = (f64::from(to[i]) - mean.clamp(-1.0, 1.0)) / sigma;
            log_prob += normal(z) - sigma.ln();
            entropy += unit + sigma.ln();
        }
    }
    Ok((log_prob, entropy))
}

#[test]
fn the_likelihood_is_that_of_scalars() -> TestResult {
    let (nets, params) = policy()?;
    let obs = normal("obs", &[ROWS, DIMS.obs])?;
    let noise = normal("noise", &[ROWS, STEPS + 1, DIMS.act])?;
    let flat = params.detached();
    let scale = 1.0 / ((STEPS + 1) * DIMS.act) as f64;
    for (times, last_time) in [(StepTimes::Start, 2.0 / 3.0), (StepTimes::Inclusive, 1.0)] {
        let model = chain(&nets, Rules { times, ..RULES });
        let points = model.sample(&flat, &obs, &noise)?;
        let found = model.likelihood(&flat, &obs, &points)?;
        let mut entropies = 0.0;
        for (row, log_prob) in found.log_prob.to_vec1::<f32>()?.into_iter().enumerate() {
            let x = points.get(row)?.to_vec2::<f32>()?;
            let obs = obs.narrow(0, row, 1)?;
            let (expected, entropy) = by_hand(&nets, &params, &obs, &x, last_time)?;
            let error = f64::from(log_prob) - expected * scale;
            assert!(error.abs() < 1e-5, "{log_prob}: {error}");
            entropies += entropy * scale / ROWS as f64;
        }
        let entropy = found.entropy.to_scalar::<f32>()?;
        assert!((f64::from(entropy) - entropies).abs() < 1e-5, "{entropy}");
    }
    Ok(())
}

#[test]
fn noise_is_clipped_and_its_absence_is_the_flow() -> TestResult {
    let (nets, params) = policy()?;
    let params = params.detached();
    let obs = normal("obs", &[ROWS, DIMS.obs])?;
    let noise = normal("noise", &[ROWS, STEPS + 1, DIMS.act])?;
    let x_0 = noise.narrow(1, 0, 1)?;
    let model = chain(&nets, RULES);
    let loud = Tensor::cat(&[&x_0, &(noise.narrow(1, 1, STEPS)? * 1e3)?], 1)?;
    let points = model.sample(&params, &obs, &loud)?;
    // a clipped mean and three deviations
    assert!(max_abs(&points.narrow(1, 1, STEPS)?)? <= 1.0 + 3.0 * BOUNDS.high as f32 + 1e-6);
    assert!(max_abs(&points.narrow(1, STEPS, 1)?)? > 1.0);
    assert!(max_abs(&model.action(&points)?)? <= 1.0);
    let ended = Rules {
        clip_end: true,
        ..RULES
    };
    let points = chain(&nets, ended).sample(&params, &obs, &loud)?;
    assert!(max_abs(&points.narrow(1, STEPS, 1)?)? <= 1.0);
    let quiet = Tensor::cat(&[&x_0, &noise.narrow(1, 1, STEPS)?.zeros_like()?], 1)?;
    let action = model.action(&model.sample(&params, &obs, &quiet)?)?;
    let flow = model.flow(&params, &obs, &x_0.squeeze(1)?)?;
    assert!(max_abs(&(action - flow)?)? < 1e-6);
    Ok(())
}

/// Networks and rows of a loss without kinks nearby.
struct Problem {
    nets: NoisyFlow,
    value_net: Mlp,
    policy: Params,
    value: Params,
    rows: Rows,
}

const COEFFICIENTS: Coefficients = Coefficients {
    clip: 0.9,
    log_prob_limit: 10.0,
    value: 0.5,
    entropy: 0.3,
};
const SMOOTH: Rules = Rules {
    clip_mean: false,
    ..RULES
};

impl Problem {
    fn new() -> Result<Self> {
        let (nets, policy) = policy()?;
        let value_net = Mlp::new(&[DIMS.obs, 8, 1], Activation::Mish)?;
        let mut layout = ParamLayout::new();
        value_net.push_layout(&mut layout, "value");
        let scheme = init::Init::FanInUniform;
        let values = init::draw(&layout, scheme, &mut Stream::new(1, "value"));
        let value = Params::from_vec(layout, None, values, &Device::Cpu)?;
        let obs = normal("obs", &[ROWS, DIMS.obs])?;
        let noise = normal("noise", &[ROWS, STEPS + 1, DIMS.act])?;
        let model = chain(&nets, SMOOTH);
        let act = model.sample(&policy.detached(), &obs, &noise)?;
        let old = model.likelihood(&policy.detached(), &obs, &act)?.log_prob;
        let shift = (normal("shift", &[ROWS])? * 0.1)?;
        let rows = Rows {
            log_prob: (old + shift)?,
            value: normal("old", &[ROWS])?,
            advantage: normal("advantage", &[ROWS])?,
            returns: normal("returns", &[ROWS])?,
            obs,
            act,
        };
        Ok(Self {
            nets,
            value_net,
            policy,
            value,
            rows,
        })
    }

    fn loss(&self, policy: &Tensor, value: &Tensor) -> Result<Tensor> {
        let model = chain(&self.nets, SMOOTH);
        let params = (policy, value);
        Ok(losses(&model, &self.value_net, params, &self.rows, &COEFFICIENTS)?.total)
    }
}

/// Along directions in which the embedding of time rests, which the noise network takes as a constant.
#[test]
fn gradients_are_those_of_differences() -> TestResult {
    let problem = Problem::new()?;
    let loss = problem.loss(problem.policy.tensor(), problem.value.tensor())?;
    let gradients = loss.backward()?;
    let (policy, value) = (problem.policy.detached(), problem.value.detached());
    let mut rest = vec![1f32; policy.elem_count()];
    for entry in problem.nets.layout().entries() {
        if entry.name.contains(".time.") {
            rest[entry.range()].fill(0.0);
        }
    }
    let rest = Tensor::new(rest, &Device::Cpu)?;
    let h = 3e-3;
    for i in 0..4 {
        let along = (normal(&format!("p{i}"), policy.dims())? * &rest)?;
        let along_value = normal(&format!("v{i}"), value.dims())?;
        let at = |policy_by: f64, value_by: f64| -> Result<f32> {
            let policy = (&policy + (&along * policy_by)?)?;
            let value = (&value + (&along_value * value_by)?)?;
            problem.loss(&policy, &value)?.to_scalar()
        };
        let cases = [
            (
                "policy",
                at(h, 0.0)? - at(-h, 0.0)?,
                &problem.policy,
                &along,
            ),
            (
                "value",
                at(0.0, h)? - at(0.0, -h)?,
                &problem.value,
                &along_value,
            ),
        ];
        for (what, difference, params, along) in cases {
            let gradient = gradients.get(params.var()).ok_or("no gradient")?;
            let found = (gradient * along)?.sum_all()?.to_scalar::<f32>()?;
            let expected = difference / (2.0 * h as f32);
            println!("{what}: {found}, difference {expected}");
            let within = 2e-3 + 1e-2 * expected.abs();
            assert!(
                (found - expected).abs() < within,
                "{what}: {found} {expected}"
            );
        }
    }
    Ok(())
}

/// A step down the surrogate makes chains with a positive advantage likelier, and the others less so.
#[test]
fn advantages_move_the_likelihood_of_their_chains() -> TestResult {
    let problem = Problem::new()?;
    let model = chain(&problem.nets, SMOOTH);
    let (obs, act) = (&problem.rows.obs, &problem.rows.act);
    let policy = problem.policy.detached();
    let before = model.likelihood(&policy, obs, act)?.log_prob;
    for sign in [1.0, -1.0] {
        let rows = Rows {
            log_prob: before.clone(),
            advantage: (before.ones_like()? * sign)?,
            ..problem.rows.clone()
        };
        let params = (problem.policy.tensor(), problem.value.tensor());
        let found = losses(&model, &problem.value_net, params, &rows, &COEFFICIENTS)?;
        assert_eq!(max_abs(&found.log_ratio)?, 0.0, "the ratio is 1");
        let gradients = found.policy.backward()?;
        let gradient = gradients.get(problem.policy.var()).ok_or("no gradient")?;
        let moved = (&policy - (gradient * 1e-2)?)?;
        let after = model.likelihood(&moved, obs, act)?.log_prob;
        let rise = (after - &before)?.mean_all()?.to_scalar::<f32>()?;
        assert!(f64::from(rise) * sign > 1e-4, "{sign}: {rise}");
    }
    Ok(())
}

fn small() -> std::result::Result<ReinFlowConfig, Box<dyn Error>> {
    let mut table = registry::default_config("reinflow")?;
    table.extend(include_str!("small/reinflow.toml").parse::<toml::Table>()?);
    Ok(table.try_into()?)
}

/// An agent whose observations and actions have the units of some data.
fn scaled_agent(seed: u64) -> std::result::Result<ReinFlowAgent, Box<dyn Error>> {
    let mut agent = ReinFlowAgent::new(small()?, DIMS, seed, &Device::Cpu)?;
    let mut bounds = state(&agent)?;
    bounds.put_vec("bounds/obs/low", vec![-3f32; DIMS.obs]);
    bounds.put_vec("bounds/obs/high", vec![2f32; DIMS.obs]);
    bounds.put_vec("bounds/act/low", vec![-0.5f32; DIMS.act]);
    bounds.put_vec("bounds/act/high", vec![1.5f32; DIMS.act]);
    agent.load(&bounds)?;
    Ok(agent)
}

/// Nothing but the rows is stored: the chains of a rollout are made again, also by an agent that was loaded inside of it.
#[test]
fn a_rollout_is_taken_in_as_it_was_acted_on() -> TestResult {
    let (mut first, mut second) = (scaled_agent(5)?, scaled_agent(6)?);
    let mut data = Stream::new(1, "data");
    for _ in 0..2 {
        let mut batch = batch(&mut data, 16)?;
        let mut acts = Vec::new();
        for step in 0..8 {
            let obs = batch.obs.narrow(0, 2 * step, 2)?;
            if step == 3 {
                second.load(&StateDict::from_bytes(&state(&first)?.to_bytes()?)?)?;
            }
            let act = first.act(&obs, ActMode::Explore)?;
            if step >= 3 {
                let again = second.act(&obs, ActMode::Explore)?;
                assert_eq!(act.to_vec2::<f32>()?, again.to_vec2::<f32>()?);
            }
            // an evaluation in between moves nothing
            first.act(&obs, ActMode::Evaluate)?;
            acts.push(act);
        }
        batch.act = Tensor::cat(&acts, 0)?;
        let metrics = first.update(&batch)?;
        let error = metrics.get("policy/redraw_error").ok_or("no error")?;
        assert!(error < 1e-5, "{error}");
        assert_eq!(metrics, second.update(&batch)?);
        assert_eq!(first.parameter_hash()?, second.parameter_hash()?);
    }
    // actions of somebody else are noticed
    let metrics = first.update(&batch(&mut data, 16)?)?;
    assert!(metrics.get("policy/redraw_error").is_some_and(|e| e > 0.1));
    Ok(())
}

#[test]
fn the_first_step_is_at_the_policy_that_acted() -> TestResult {
    let config = ReinFlowConfig {
        epochs: 1,
        num_minibatches: 1,
        ..small()?
    };
    let mut agent = ReinFlowAgent::new(config, DIMS, 0, &Device::Cpu)?;
    let metrics = agent.update(&batch(&mut Stream::new(1, "data"), 16)?)?;
    assert!(metrics.get("policy/kl").is_some_and(|kl| kl.abs() < 1e-12));
    assert_eq!(metrics.get("policy/clip_fraction"), Some(0.0));
    assert_eq!(metrics.get("policy/steps"), Some(1.0));
    Ok(())
}

/// A rollout of a task of one step: the reward falls with the distance to (0.5, -0.3).
fn bandit(agent: &mut ReinFlowAgent, envs: usize, steps: usize) -> Result<(Batch, f32)> {
    let (device, rows) = (Device::Cpu, envs * steps);
    let obs = Tensor::zeros((envs, 1), DType::F32, &device)?;
    let acts = (0..steps).map(|_| agent.act(&obs, ActMode::Explore));
    let act = Tensor::cat(&acts.collect::<Result<Vec<_>>>()?, 0)?;
    let best = Tensor::new(&[0.5f32, -0.3], &device)?;
    let reward = act.broadcast_sub(&best)?.sqr()?.sum(1)?.neg()?;
    let mean = reward.mean_all()?.to_scalar()?;
    let obs = Tensor::zeros((rows, 1), DType::F32, &device)?;
    let batch = Batch {
        next_obs: obs.clone(),
        obs,
        act,
        terminated: reward.ones_like()?,
        truncated: reward.zeros_like()?,
        reward,
        numbers: (0..rows as u64).collect(),
        num_envs: envs,
    };
    Ok((batch, mean))
}

#[test]
fn the_reward_of_a_one_step_task_rises() -> TestResult {
    let (envs, steps) = (32, 8);
    let config = ReinFlowConfig {
        num_envs: envs,
        rollout_steps: steps,
        epochs: 10,
        policy_lr: 3e-3,
        policy_lr_min: 1e-3,
        critic_lr: 1e-2,
        critic_lr_min: 3e-3,
        num_minibatches: 1,
        ..small()?
    };
    let dims = Dims { obs: 1, act: 2 };
    let mut agent = ReinFlowAgent::new(config, dims, 0, &Device::Cpu)?;
    let mut rewards = Vec::new();
    for _ in 0..40 {
        let (batch, mean) = bandit(&mut agent, envs, steps)?;
        rewards.push(mean);
        let metrics = agent.update(&batch)?;
        assert!(metrics.get("policy/redraw_error").is_some_and(|e| e < 1e-5));
    }
    let (first, last) = (rewards[0], rewards[rewards.len() - 1]);
    println!("mean reward {first} to {last}");
    assert!(last > 0.1 * first, "{first} to {last}");
    Ok(())
}

#[test]
fn an_iteration_ends_where_the_divergence_is_too_large() -> TestResult {
    let steps = |target_kl: f64| -> std::result::Result<Option<f64>, Box<dyn Error>> {
        let config = ReinFlowConfig {
            target_kl,
            epochs: 20,
            policy_lr: 1e-2,
            policy_lr_min: 1e-2,
            ..small()?
        };
        let mut agent = ReinFlowAgent::new(config, DIMS, 0, &Device::Cpu)?;
        let metrics = agent.update(&batch(&mut Stream::new(1, "data"), 16)?)?;
        Ok(metrics.get("policy/steps"))
    };
    assert_eq!(steps(0.0)?, Some(40.0));
    assert!(steps(1e-4)?.is_some_and(|steps| (2.0..20.0).contains(&steps)));
    Ok(())
}

#[test]
fn every_switch_changes_the_update() -> TestResult {
    let run = |text: &str| -> std::result::Result<u64, Box<dyn Error>> {
        let mut table: toml::Table = include_str!("small/reinflow.toml").parse()?;
        table.extend("policy_lr = 1e-2\nclip_intermediate = true".parse::<toml::Table>()?);
        table.extend(text.parse::<toml::Table>()?);
        let mut agent = registry::make("reinflow", &table, DIMS, 0, &Device::Cpu)?;
        let mut stream = Stream::new(1, "batches");
        for _ in 0..3 {
            let metrics = agent.update(&batch(&mut stream, 16)?)?;
            assert_eq!(metrics.first_non_finite(), None, "{text}");
        }
        Ok(agent.parameter_hash()?)
    };
    let mut hashes = vec![run("")?];
    for text in [
        "noise_hidden = [9]",
        "critic_hidden = [9]",
        "epochs = 3",
        "num_minibatches = 1",
        "target_kl = 1e-9",
        "gamma = 0.9",
        "gae_lambda = 0.5",
        "time_limits = \"terminal\"",
        "time_limits = \"ignore\"",
        "normalize_reward = false",
        "reward_clip = 0.5",
        "advantage_eps = 0.1",
        "clip = 0.001",
        "log_prob_limit = 0.2",
        "entropy_coef = 0.3",
        "policy_lr = 1e-3",
        "policy_lr_min = 1e-4",
        "critic_lr = 1e-2",
        "critic_lr_min = 1e-4",
        "lr_cycle = 11\nlr_warmup = 2",
        "lr_warmup = 5",
        "critic_weight_decay = 0.1",
        "grad_clip = 1e-4",
        "n_steps = 2",
        "step_times = \"inclusive\"",
        "clip_intermediate = false",
        "noise_clip = 0.5",
        "clip_end = true",
        "sigma_min = 0.05",
        "sigma_max = 0.4",
        "sigma_decay_updates = 3",
        "sigma_decay_updates = 3\nsigma_hold = 0.0",
        "sigma_decay_updates = 3\nsigma_end = 0.0",
        "n_blocks = 2",
        "obs_clip = 0.5",
    ] {
        hashes.push(run(text)?);
        let repeated = hashes[..hashes.len() - 1].contains(&hashes[hashes.len() - 1]);
        assert!(!repeated, "no effect of its own: {text}");
    }
    Ok(())
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_fix() {
    for (text, part) in [
        (
            "sigma_max = 0.05",
            "`sigma_max` is 0.05; give at least sigma_min = 0.1",
        ),
        (
            "lr_warmup = 20",
            "`lr_cycle` is 20; give more than lr_warmup = 20",
        ),
        ("sigma_hold = 1.5", "`sigma_hold` is 1.5"),
        ("noise_clip = 0.0", "`noise_clip` is 0"),
        ("num_envs = 1\nrollout_steps = 1", "`num_minibatches` is 1"),
        ("step_times = \"middle\"", "inclusive"),
    ] {
        let config = text.parse().unwrap_or_default();
        let made = registry::make("reinflow", &config, DIMS, 0, &Device::Cpu);
        let error = made.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn metrics_have_the_names_of_the_page() -> TestResult {
    let mut agent = ReinFlowAgent::new(small()?, DIMS, 0, &Device::Cpu)?;
    let metrics = agent.update(&batch(&mut Stream::new(1, "data"), 16)?)?;
    let names: Vec<&str> = metrics.iter().map(|(name, _)| name).collect();
    let expected = [
        "policy/clip_fraction",
        "policy/entropy",
        "policy/grad_norm",
        "policy/kl",
        "policy/loss",
        "policy/lr",
        "policy/redraw_error",
        "policy/sigma",
        "policy/sigma_max",
        "policy/steps",
        "value/explained_variance",
        "value/loss",
        "value/lr",
    ];
    assert_eq!(names, expected);
    Ok(())
}
