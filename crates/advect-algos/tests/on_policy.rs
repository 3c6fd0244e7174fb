//! PPO on its own rollouts: probe environments whose values and best actions are known.

mod common;

use std::error::Error;

use advect_algos::ppo::{Learner, PpoAgent, PpoConfig, regulariser};
use advect_algos::{Dims, registry};
use advect_envs::{VecEnv, make};
use advect_kernels::random;
use advect_rl::{ActMode, Agent, Batch, Metrics, Replay, StateDict, Transitions};
use advect_rng::Stream;
use candle_core::{DType, Device, Tensor};
use common::{DIMS, batch, max_abs};

type TestResult = Result<(), Box<dyn Error>>;

const ENVS: usize = 8;
const STEPS: usize = 32;

fn small() -> PpoConfig {
    PpoConfig {
        num_envs: ENVS,
        rollout_steps: STEPS,
        epochs: 4,
        num_minibatches: 4,
        hidden: vec![16, 16],
        lr: 3e-3,
        normalize_reward: false,
        init_log_std: -1.0,
        ..PpoConfig::default()
    }
}

/// One rollout, as the training loop collects it.
fn rollout(agent: &mut PpoAgent, envs: &mut VecEnv) -> Result<Batch, Box<dyn Error>> {
    let device = Device::Cpu;
    let (obs_dim, act_dim) = (envs.spec().obs_dim, envs.spec().act_dim);
    let mut rows = Replay::new(ENVS * STEPS, obs_dim, act_dim)?;
    let mut out = envs.buffers();
    while !rows.is_complete(ENVS * STEPS) {
        let obs = envs.obs().to_vec();
        let x = Tensor::from_slice(&obs, (ENVS, obs_dim), &device)?;
        agent.observe(&x)?;
        let act: Vec<f32> = agent.act(&x, ActMode::Explore)?.flatten_all()?.to_vec1()?;
        let given: Vec<f32> = act.iter().map(|a| a.clamp(-1.0, 1.0)).collect();
        envs.step(&given, &mut out)?;
        rows.push(Transitions {
            obs: &obs,
            act: &act,
            reward: &out.reward,
            next_obs: &out.final_obs,
            terminated: &out.terminated,
            truncated: &out.truncated,
        })?;
    }
    Ok(rows.rollouts(ENVS * STEPS, ENVS, &device)?)
}

/// The agent after so many rollouts in a probe, and its last metrics.
fn trained(
    probe: &str,
    config: PpoConfig,
    rollouts: usize,
) -> Result<(PpoAgent, Metrics), Box<dyn Error>> {
    let mut envs = VecEnv::new(|_| make(probe), ENVS, 1, 0)?;
    let mut out = envs.buffers();
    envs.reset(&mut out)?;
    let mut agent = PpoAgent::new(config, Dims { obs: 1, act: 1 }, 0, &Device::Cpu)?;
    let mut metrics = Metrics::new();
    for _ in 0..rollouts {
        let batch = rollout(&mut agent, &mut envs)?;
        metrics = agent.update(&batch)?;
    }
    Ok((agent, metrics))
}

fn value(agent: &PpoAgent, obs: f32) -> Result<f32, Box<dyn Error>> {
    let obs = Tensor::new(&[[obs]], &Device::Cpu)?;
    Ok(agent.learner().value(&obs)?.to_vec1::<f32>()?[0])
}

fn assert_near(found: f32, expected: f32, within: f32, what: &str) {
    println!("{what}: {found}, expected {expected}");
    assert!(
        (found - expected).abs() < within,
        "{what} is {found}, not {expected}"
    );
}

#[test]
fn values_are_those_of_the_probes() -> TestResult {
    let (agent, _) = trained("Probe-ConstantValue-v0", small(), 40)?;
    assert_near(value(&agent, 0.0)?, 1.0, 0.05, "constant value");
    let (agent, metrics) = trained("Probe-ObservationValue-v0", small(), 40)?;
    for obs in [-1.0, 1.0] {
        assert_near(value(&agent, obs)?, obs, 0.05, "value of the observation");
    }
    let explained = metrics.get("value/explained_variance");
    assert!(explained.is_some_and(|e| e > 0.95), "{explained:?}");
    let discounting = PpoConfig {
        gamma: 0.8,
        ..small()
    };
    let (agent, _) = trained("Probe-Discounting-v0", discounting, 60)?;
    assert_near(value(&agent, 0.0)?, 0.8, 0.05, "value one step before");
    assert_near(value(&agent, 1.0)?, 1.0, 0.05, "value at the reward");
    Ok(())
}

/// Reward 1 for ever, cut off every 8 steps; the observation does not say when.
#[test]
fn truncation_is_not_termination() -> TestResult {
    let gamma = 0.5;
    let terminal = (1..=8).map(|left| 2.0 * (1.0 - 0.5f32.powi(left)));
    let cases = [
        ("bootstrap", 2.0),
        ("ignore", 2.0),
        ("terminal", terminal.sum::<f32>() / 8.0),
    ];
    for (time_limits, expected) in cases {
        let config = PpoConfig {
            gamma,
            time_limits: toml::Value::from(time_limits).try_into()?,
            // returns of lambda = 1 are sums of rewards as far as the episode goes
            gae_lambda: 1.0,
            ..small()
        };
        let (agent, _) = trained("Probe-Truncation-v0", config, 80)?;
        assert_near(value(&agent, 0.0)?, expected, 0.04, time_limits);
    }
    Ok(())
}

#[test]
fn policies_find_the_best_actions_of_the_probes() -> TestResult {
    for (probe, best) in [
        ("Probe-Policy-v0", [0.5, 0.5]),
        ("Probe-ObservationPolicy-v0", [-0.5, 0.5]),
    ] {
        let (mut agent, _) = trained(probe, small(), 80)?;
        let obs = match best[0] == best[1] {
            true => [[0f32], [0.0]],
            false => [[-1f32], [1.0]],
        };
        let obs = Tensor::new(&obs, &Device::Cpu)?;
        let found = agent.act(&obs, ActMode::Evaluate)?.flatten_all()?;
        for (found, best) in found.to_vec1::<f32>()?.into_iter().zip(best) {
            assert_near(found, best, 0.1, probe);
        }
    }
    Ok(())
}

/// Nothing but the rows is stored: statistics and distributions of the time of acting are found again.
#[test]
fn a_rollout_is_taken_in_as_it_was_acted_on() -> TestResult {
    let device = Device::Cpu;
    let config = PpoConfig {
        num_envs: 2,
        ..small()
    };
    let mut learner = Learner::new("ppo", &config, DIMS, 5, &device)?;
    let (mut explore, mut data) = (Stream::new(5, "ppo/explore"), Stream::new(1, "data"));
    for _ in 0..2 {
        let mut batch = batch(&mut data, 12)?;
        batch.obs = ((batch.obs * 3.0)? + 7.0)?;
        let mut acts = Vec::new();
        for step in 0..6 {
            let obs = batch.obs.narrow(0, 2 * step, 2)?;
            learner.observe(&obs)?;
            acts.push(learner.act(&obs, ActMode::Explore)?);
        }
        batch.act = Tensor::cat(&acts, 0)?;
        let eps = random::normal(&mut explore, (12, DIMS.act), &device)?;
        let experience = learner.take_in(&batch)?;
        let params = learner.params().detached();
        let mean = learner.net().mean(&params, &experience.obs)?;
        let std = learner.net().log_std(&params)?.exp()?;
        let found = (&experience.act - mean)?.broadcast_div(&std)?;
        assert!(max_abs(&(found - eps)?)? < 1e-5);
        assert!(max_abs(&experience.obs)? < 5.0, "observations have mean 7");
    }
    Ok(())
}

#[test]
fn a_learner_loaded_inside_a_rollout_goes_on_to_the_same_bits() -> TestResult {
    let device = Device::Cpu;
    let config = PpoConfig {
        num_envs: 2,
        ..small()
    };
    let new = |seed| Learner::new("ppo", &config, DIMS, seed, &device);
    let (mut first, mut second) = (new(5)?, new(6)?);
    let mut batch = batch(&mut Stream::new(1, "data"), 12)?;
    let mut acts = Vec::new();
    for step in 0..6 {
        let obs = batch.obs.narrow(0, 2 * step, 2)?;
        if step == 3 {
            let mut saved = StateDict::new();
            first.save(&mut saved)?;
            second.load(&StateDict::from_bytes(&saved.to_bytes()?)?)?;
        }
        first.observe(&obs)?;
        let act = first.act(&obs, ActMode::Explore)?;
        if step >= 3 {
            second.observe(&obs)?;
            let again = second.act(&obs, ActMode::Explore)?;
            assert_eq!(act.to_vec2::<f32>()?, again.to_vec2::<f32>()?);
        }
        acts.push(act);
    }
    batch.act = Tensor::cat(&acts, 0)?;
    let mut learnt = Vec::new();
    for learner in [&mut first, &mut second] {
        let experience = learner.take_in(&batch)?;
        let reward = batch.reward.to_vec1()?;
        let metrics = learner.learn(&experience, reward, &mut |_, _| Ok(None))?;
        learnt.push((metrics, learner.params().hash()?));
    }
    assert_eq!(learnt[0], learnt[1]);
    Ok(())
}

/// With no reward, only the added term moves the policy: it clones the actions that the term names.
#[test]
fn an_extra_term_is_part_of_the_loss() -> TestResult {
    let config = PpoConfig {
        num_envs: 2,
        normalize_obs: false,
        ..small()
    };
    let mut learner = Learner::new("ppo", &config, DIMS, 5, &Device::Cpu)?;
    let mut data = Stream::new(1, "data");
    let obs = batch(&mut data, 16)?.obs;
    let act = obs.narrow(1, 0, DIMS.act)?.tanh()?;
    let mut distances = Vec::new();
    for _ in 0..60 {
        let batch = batch(&mut data, 16)?;
        let experience = learner.take_in(&batch)?;
        let mut pull = |net: &advect_algos::ppo::ActorCritic, params: &Tensor| {
            let loss = regulariser::loss(&net.mean(params, &obs)?, &act)?;
            distances.push(loss.to_scalar::<f32>()?);
            Ok(Some((loss * 100.0)?))
        };
        learner.learn(&experience, vec![0.0; 16], &mut pull)?;
    }
    let (first, last) = (distances[0], distances[distances.len() - 1]);
    println!("distance to the actions: {first}, then {last}");
    assert!(last < 0.05 * first, "{first} to {last}");
    Ok(())
}

#[test]
fn every_switch_changes_the_update() -> TestResult {
    let run = |text: &str| -> Result<u64, Box<dyn Error>> {
        let base =
            "hidden = [16]\nnum_envs = 2\nrollout_steps = 8\nnum_minibatches = 2\nlr = 1e-2\n";
        let config = format!("{base}{text}").parse()?;
        let mut agent = registry::make("ppo", &config, DIMS, 0, &Device::Cpu)?;
        let mut stream = Stream::new(1, "batches");
        for _ in 0..2 {
            let metrics = agent.update(&batch(&mut stream, 16)?)?;
            assert_eq!(metrics.first_non_finite(), None, "{text}");
        }
        Ok(agent.parameter_hash()?)
    };
    let mut hashes = vec![run("")?];
    for text in [
        "epochs = 3",
        "lr_decay_updates = 4",
        "adam_eps = 1e-3",
        "max_grad_norm = 0.0",
        "gae_lambda = 0.5",
        "time_limits = \"terminal\"",
        "time_limits = \"ignore\"",
        "clip = 0.1",
        "clip_value = false",
        "value_coef = 1.0",
        "entropy_coef = 0.01",
        "advantage_norm = \"rollout\"",
        "advantage_norm = \"off\"",
        "advantage_eps = 0.1",
        "init_log_std = -0.5",
        "policy_head_gain = 1.0",
        "value_head_gain = 1.4",
        "normalize_obs = false",
        "obs_clip = 0.5",
        "normalize_reward = false",
        "reward_clip = 0.5",
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
            "rollout_steps = 16\nnum_minibatches = 17",
            "the 16 rows of a rollout",
        ),
        ("clip = 0.0", "`clip` is 0"),
        ("gae_lambda = 1.5", "`gae_lambda` is 1.5"),
        ("time_limits = \"cut\"", "bootstrap"),
        ("rollout_steps = 0", "`rollout_steps` is 0; give at least 1"),
    ] {
        let config = text.parse().unwrap_or_default();
        let made = registry::make("ppo", &config, DIMS, 0, &Device::Cpu);
        let error = made
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn metrics_have_the_names_of_the_page() -> TestResult {
    let mut agent = PpoAgent::new(small(), DIMS, 0, &Device::Cpu)?;
    let mut stream = Stream::new(1, "batches");
    let mut batch = batch(&mut stream, ENVS * STEPS)?;
    batch.num_envs = ENVS;
    let metrics = agent.update(&batch)?;
    let names: Vec<&str> = metrics.iter().map(|(name, _)| name).collect();
    let expected = [
        "policy/clip_fraction",
        "policy/entropy",
        "policy/grad_norm",
        "policy/kl",
        "policy/loss",
        "policy/lr",
        "value/explained_variance",
        "value/loss",
    ];
    assert_eq!(names, expected);
    let two = 2.0 * (0.5 * (2.0 * std::f64::consts::PI).ln() + 0.5 - 1.0);
    let entropy = metrics.get("policy/entropy").unwrap_or_default();
    assert!((entropy - two).abs() < 0.2, "{entropy} started at {two}");
    let mut other = batch.clone();
    other.num_envs = 2;
    let error = agent.update(&other).unwrap_err().to_string();
    assert!(error.contains("`num_envs` is 8"), "{error}");
    // equal returns have no variance to explain
    batch.reward = batch.reward.zeros_like()?;
    batch.terminated = Tensor::ones(ENVS * STEPS, DType::F32, &Device::Cpu)?;
    let metrics = agent.update(&batch)?;
    assert_eq!(metrics.get("value/explained_variance"), None);
    Ok(())
}

/// Whoever acts outside of the training loop, exploring or not, leaves the statistics as they are.
#[test]
fn acting_alone_does_not_move_the_normaliser() -> TestResult {
    let mut learner = Learner::new("ppo", &small(), DIMS, 5, &Device::Cpu)?;
    let obs = batch(&mut Stream::new(1, "data"), 12)?.obs;
    learner.observe(&obs)?;
    let before = learner.value(&obs)?.to_vec1::<f32>()?;
    learner.act(&(&obs * 100.0)?, ActMode::Explore)?;
    assert_eq!(before, learner.value(&obs)?.to_vec1::<f32>()?);
    learner.observe(&(&obs * 100.0)?)?;
    assert_ne!(before, learner.value(&obs)?.to_vec1::<f32>()?);
    Ok(())
}
