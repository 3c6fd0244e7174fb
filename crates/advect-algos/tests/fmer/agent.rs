//! The agent: bootstrapping, switches, schedules, metrics.

use std::error::Error;

use advect_algos::fmer::switches::{
    Controller, Divergence, DualEntropy, EntropyMode, LocalNodes, Smooth, Source, TemperatureRule,
    Weighting,
};
use advect_algos::fmer::{self, FmerAgent, FmerConfig};
use advect_algos::volume::VolumeRule;
use advect_algos::{AlgoError, OffPolicyConfig, Scoring, registry};
use advect_rl::{ActMode, Agent, Metrics};
use advect_rng::Stream;
use candle_core::{Device, Tensor};

use crate::common::{DIMS, batch, max_abs};

type TestResult = Result<(), Box<dyn Error>>;

fn small() -> FmerConfig {
    FmerConfig {
        hidden: vec![32, 32],
        n_freq: 2,
        n_steps: 4,
        num_candidates: 6,
        unrolled_states: 8,
        ..FmerConfig::default()
    }
}

fn agent(config: FmerConfig) -> Result<FmerAgent, AlgoError> {
    fmer::agent(config, DIMS, 0, &Device::Cpu)
}

/// Metrics of each of `updates` updates on fixed batches, and the agent after them.
fn run(config: FmerConfig, updates: usize) -> Result<(FmerAgent, Vec<Metrics>), Box<dyn Error>> {
    let mut agent = agent(config)?;
    let mut stream = Stream::new(1, "batches");
    let mut metrics = Vec::new();
    for _ in 0..updates {
        metrics.push(agent.update(&batch(&mut stream, 16)?)?);
    }
    Ok((agent, metrics))
}

fn metric(metrics: &Metrics, name: &str) -> Result<f64, Box<dyn Error>> {
    Ok(metrics.get(name).ok_or(format!("no {name}"))?)
}

#[test]
fn targets_bootstrap_through_truncation_but_not_termination() -> TestResult {
    let target = |terminated: f64, truncated: f64| -> Result<(f64, f64), Box<dyn Error>> {
        let mut batch = batch(&mut Stream::new(1, "batches"), 16)?;
        batch.terminated = (batch.terminated.ones_like()? * terminated)?;
        batch.truncated = (batch.terminated.ones_like()? * truncated)?;
        let mean = batch.reward.mean_all()?.to_scalar::<f32>()?;
        let found = metric(&agent(small())?.update(&batch)?, "critic/target")?;
        Ok((found, f64::from(mean)))
    };
    let (ended, reward) = target(1.0, 0.0)?;
    assert!((ended - reward).abs() < 1e-6, "{ended} for {reward}");
    let (cut, _) = target(0.0, 1.0)?;
    assert!((cut - reward).abs() > 1e-3, "{cut} for {reward}");
    assert_eq!(cut, target(0.0, 0.0)?.0, "a truncation changes the target");
    Ok(())
}

#[test]
fn the_first_policy_is_tanh_of_a_normal() -> TestResult {
    let (_, metrics) = run(
        FmerConfig {
            num_candidates: 64,
            ..small()
        },
        1,
    )?;
    // E|N(0, 1)| = 0.798; the entropy is 0.6698 per dimension.
    let mean = metric(&metrics[0], "policy/latent_mean")?;
    let entropy = metric(&metrics[0], "temperature/entropy")?;
    assert!((mean - 0.798).abs() < 0.05, "{mean}");
    assert!((entropy / DIMS.act as f64 - 0.67).abs() < 0.03, "{entropy}");
    Ok(())
}

#[test]
fn every_update_reports_what_a_run_is_watched_by() -> TestResult {
    let names = [
        "critic/loss",
        "critic/q_gap",
        "policy/advantage_std",
        "policy/divergence",
        "policy/entropy_loss",
        "policy/grad_norm",
        "policy/latent_max",
        "policy/latent_mean",
        "policy/loss",
        "policy/saturated",
        "policy/wcfm_loss",
        "temperature/alpha",
        "temperature/entropy",
        "policy/weight_ess",
        "temperature/mirror",
        "temperature/weight_kl",
    ];
    let (_, all) = run(small(), 2)?;
    for metrics in &all {
        assert_eq!(metrics.first_non_finite(), None);
        for name in names {
            metric(metrics, name)?;
        }
        let (mean, max) = (
            metric(metrics, "policy/latent_mean")?,
            metric(metrics, "policy/latent_max")?,
        );
        assert!(0.0 < mean && mean < max && max <= 5.0);
    }
    Ok(())
}

/// Every value of every switch makes its own update.
#[test]
fn every_switch_changes_the_update_and_stays_finite() -> TestResult {
    let with = |change: &dyn Fn(&mut FmerConfig)| {
        let mut config = small();
        change(&mut config);
        config
    };
    let cases = [
        with(&|c| c.activation = Smooth::Silu),
        with(&|c| c.candidate_source = Source::Ema),
        with(&|c| c.include_replay_action = true),
        with(&|c| c.n_uniform = 2),
        with(&|c| c.wcfm_rows = 3),
        with(&|c| c.weighting = Weighting::Top1),
        with(&|c| c.weighting = Weighting::Unnormalised),
        with(&|c| c.temperature = TemperatureRule::Constant),
        with(&|c| c.ess_controller = Controller::Bisection),
        with(&|c| c.floor_kappa = 1e3),
        with(&|c| c.entropy_mode = EntropyMode::Unrolled),
        with(&|c| c.entropy_mode = EntropyMode::Weights),
        with(&|c| c.entropy_mode = EntropyMode::Off),
        with(&|c| c.local_nodes = LocalNodes::Interpolants),
        with(&|c| c.entropy_nodes = 1),
        with(&|c| c.divergence = Divergence::Exact),
        with(&|c| c.dual_entropy = DualEntropy::H1),
        with(&|c| c.fix_alpha = true),
        with(&|c| c.soft_backup = true),
        with(&|c| c.td_best_of = 3),
        with(&|c| c.grad_clip = 1e-3),
        with(&|c| c.reward_scale = 0.1),
        with(&|c| c.latent_clip = 0.5),
        with(&|c| c.scoring = Scoring::Bf16),
    ];
    // The moving average and the anchor part with the first update.
    let hash = |config| -> Result<u64, Box<dyn Error>> {
        let (agent, metrics) = run(config, 2)?;
        assert!(metrics.iter().all(|m| m.first_non_finite().is_none()));
        Ok(agent.parameter_hash()?)
    };
    let mut seen = vec![hash(small())?];
    for config in cases {
        let found = hash(config.clone())?;
        assert!(!seen.contains(&found), "no effect: {config:?}");
        seen.push(found);
    }
    Ok(())
}

#[test]
fn every_density_reports_an_entropy_of_its_own() -> TestResult {
    let mut seen = Vec::new();
    let forms = [
        VolumeRule::Hutchinson,
        VolumeRule::SecondOrder,
        VolumeRule::Trace,
        VolumeRule::LogDet,
    ];
    for log_prob in forms {
        let config = FmerConfig {
            log_prob,
            dual_entropy: DualEntropy::H1,
            last_layer_scale: 1.0,
            ..small()
        };
        let entropy = metric(&run(config, 1)?.1[0], "temperature/entropy")?;
        assert!(!seen.contains(&entropy), "{log_prob:?}");
        seen.push(entropy);
    }
    assert!(
        (seen[1] - seen[3]).abs() < 0.5,
        "estimates of one number: {seen:?}"
    );
    Ok(())
}

#[test]
fn the_multiplier_falls_above_the_target_entropy_and_rises_below() -> TestResult {
    for (target_entropy_scale, falls) in [(1000.0, true), (-1000.0, false)] {
        let config = FmerConfig {
            target_entropy_scale,
            ..small()
        };
        let (agent, _) = run(config, 1)?;
        assert_eq!(
            agent.algorithm().alpha()?.read()? < 0.1,
            falls,
            "{}",
            agent.algorithm().alpha()?.read()?
        );
    }
    let config = FmerConfig {
        fix_alpha: true,
        ..small()
    };
    assert!((run(config, 2)?.0.algorithm().alpha()?.read()? - 0.1).abs() < 1e-12);
    Ok(())
}

#[test]
fn the_temperature_is_constant_or_above_its_floor() -> TestResult {
    let config = FmerConfig {
        temperature: TemperatureRule::Constant,
        init_temperature: 0.25,
        ..small()
    };
    assert!((run(config, 3)?.0.algorithm().temperature()?.read()? - 0.25).abs() < 1e-12);
    let config = FmerConfig {
        init_temperature: 1e-3,
        floor_kappa: 2.0,
        ..small()
    };
    for metrics in run(config, 3)?.1 {
        let floor = 2.0 * metric(&metrics, "critic/q_gap")?;
        assert!(metric(&metrics, "temperature/mirror")? >= floor * (1.0 - 1e-12));
    }
    Ok(())
}

#[test]
fn the_entropy_stops_at_its_step() -> TestResult {
    let config = FmerConfig {
        off_policy: OffPolicyConfig {
            warmup_transitions: 10,
            ..OffPolicyConfig::default()
        },
        entropy_stop_step: 12,
        ..small()
    };
    let (agent, metrics) = run(config, 4)?;
    let alphas: Vec<f64> = metrics
        .iter()
        .map(|m| metric(m, "temperature/alpha"))
        .collect::<Result<_, _>>()?;
    let lost = |m: &Metrics| m.get("policy/entropy_loss").is_none();
    // The updates follow the environment steps 11, 12, 13 and 14.
    assert_eq!(
        metrics.iter().map(lost).collect::<Vec<_>>(),
        [false, false, true, true]
    );
    assert!(
        metrics
            .iter()
            .all(|m| m.get("temperature/entropy").is_some())
    );
    assert!(
        alphas[0] != alphas[1]
            && alphas[1] != alphas[2]
            && alphas[2] == agent.algorithm().alpha()?.read()?
    );
    Ok(())
}

#[test]
fn behaviour_takes_one_sample_and_evaluation_the_best_of_many() -> TestResult {
    let (mut agent, _) = run(small(), 1)?;
    let obs = batch(&mut Stream::new(2, "batches"), 6)?.obs;
    let spread = |agent: &mut FmerAgent, mode| -> Result<f32, Box<dyn Error>> {
        let act = agent.act(&obs, mode)?;
        assert_eq!(act.dims(), [6, DIMS.act]);
        Ok(max_abs(&act)?)
    };
    assert!(spread(&mut agent, ActMode::Explore)? <= 1.0);
    assert!(spread(&mut agent, ActMode::Evaluate)? <= 1.0);
    let single = FmerConfig {
        eval_best_of: 1,
        ..small()
    };
    let (mut single, _) = run(single, 1)?;
    let acts: [Tensor; 2] = [
        agent.act(&obs, ActMode::Evaluate)?,
        single.act(&obs, ActMode::Evaluate)?,
    ];
    assert!(max_abs(&(&acts[0] - &acts[1])?)? > 1e-3);
    Ok(())
}

#[test]
fn contradictions_are_refused_by_name() -> TestResult {
    let refused = |text: &str| -> Result<String, Box<dyn Error>> {
        let made = registry::make("fmer", &text.parse()?, DIMS, 0, &Device::Cpu);
        Ok(made.err().ok_or("accepted")?.to_string())
    };
    for (text, expected) in [
        ("n_steps = 0", "`n_steps` is 0"),
        (
            "weighting = \"unnormalised\"\nwcfm_rows = 2",
            "wcfm_rows = 0",
        ),
        (
            "entropy_mode = \"weights\"\nweighting = \"top1\"",
            "take softmax",
        ),
        ("entropy_mode = \"weights\"\nn_uniform = 2", "n_uniform = 0"),
        ("soft_backup = true\ntd_best_of = 2", "take td_best_of = 1"),
        ("alpha_max = 1e-5", "`alpha_max`"),
        ("ess_target = 1.5", "`ess_target` is 1.5"),
        ("temperature = \"fixed\"", "constant"),
        ("num_candidate = 4", "nearest keys: num_candidates"),
    ] {
        let error = refused(text)?;
        assert!(error.contains(expected), "{text}: {error}");
    }
    Ok(())
}
