//! The agents as the training loop sees them.

mod common;

use std::error::Error;

use advect_algos::flame::config::{
    Entropy, FlameConfig, KReduction, LossRows, NoiseRule, PathConvention, TdEntropy, Times, Trace,
    Variant, WeightTemperature,
};
use advect_algos::noisy_best_of::NoisyBestOfConfig;
use advect_algos::{Dims, Scoring, registry};
use advect_kernels::random;
use advect_rl::{ActMode, Agent, Batch, Data, ReplaySettings, StateDict};
use advect_rng::Stream;
use candle_core::{Device, Tensor};
use common::{DIMS, agent, batch, max_abs, small, small_agent_on, small_settings, state};

type TestResult = Result<(), Box<dyn Error>>;

fn small_agent(name: &str, seed: u64) -> Result<Box<dyn Agent>, Box<dyn Error>> {
    small_agent_on(name, seed, &Device::Cpu)
}

#[test]
fn a_loaded_agent_continues_to_the_same_bits() -> TestResult {
    for name in registry::names() {
        let mut stream = Stream::new(1, "batches");
        let mut first = small_agent(name, 3)?;
        for _ in 0..3 {
            first.update(&batch(&mut stream, 16)?)?;
            first.act(&batch(&mut stream, 4)?.obs, ActMode::Explore)?;
        }
        let bytes = state(first.as_ref())?.to_bytes()?;
        let mut second = small_agent(name, 4)?;
        assert_ne!(first.parameter_hash()?, second.parameter_hash()?);
        second.load(&StateDict::from_bytes(&bytes)?)?;
        for _ in 0..4 {
            let batch = batch(&mut stream, 16)?;
            assert_eq!(first.update(&batch)?, second.update(&batch)?, "{name}");
            let acts = [
                first.act(&batch.obs, ActMode::Explore)?,
                second.act(&batch.obs, ActMode::Explore)?,
            ];
            assert_eq!(
                acts[0].to_vec2::<f32>()?,
                acts[1].to_vec2::<f32>()?,
                "{name}"
            );
        }
        assert_eq!(first.parameter_hash()?, second.parameter_hash()?);
        assert_eq!(state(first.as_ref())?, state(second.as_ref())?);
    }
    Ok(())
}

#[test]
fn a_state_of_another_configuration_is_refused_by_name() -> TestResult {
    let saved = state(small_agent("flame-m", 0)?.as_ref())?;
    let mut other = registry::make("flame-m", &"hidden = [16]".parse()?, DIMS, 0, &Device::Cpu)?;
    let error = other.load(&saved).unwrap_err().to_string();
    assert!(error.contains("`policy/online` has shape"), "{error}");
    Ok(())
}

#[test]
fn evaluation_is_a_function_of_the_observation_and_leaves_the_state_alone() -> TestResult {
    for name in registry::names() {
        let mut agent = small_agent(name, 3)?;
        let obs = batch(&mut Stream::new(2, "batches"), 6)?.obs;
        let before = state(agent.as_ref())?;
        let all = agent.act(&obs, ActMode::Evaluate)?;
        let alone = agent.act(&obs.narrow(0, 3, 1)?, ActMode::Evaluate)?;
        let error = max_abs(&(all.narrow(0, 3, 1)? - alone)?)?;
        assert!(
            error < 1e-6,
            "{name}: a row depends on its neighbours by {error}"
        );
        assert!(max_abs(&all)? <= 1.0);
        assert_eq!(before, state(agent.as_ref())?, "{name}");
    }
    Ok(())
}

#[test]
fn exploration_differs_from_draw_to_draw() -> TestResult {
    for name in registry::names() {
        let mut agent = small_agent(name, 3)?;
        let obs = batch(&mut Stream::new(2, "batches"), 6)?.obs;
        let first = agent.act(&obs, ActMode::Explore)?;
        let second = agent.act(&obs, ActMode::Explore)?;
        assert!(max_abs(&(first - second)?)? > 1e-3, "{name}");
    }
    Ok(())
}

#[test]
fn policy_and_averages_rest_on_odd_updates() -> TestResult {
    for variant in [Variant::M, Variant::R] {
        let mut stream = Stream::new(1, "batches");
        let mut agent = agent(variant, small(variant), 0)?;
        let hashes = |agent: &advect_algos::flame::FlameAgent| {
            let buffers = [
                agent.policy(),
                agent.average_policy(),
                agent.critic().target(),
                agent.critic().online(),
            ];
            buffers.map(|params| params.hash())
        };
        let mut before = hashes(&agent);
        for count in 0..4 {
            let metrics = agent.update(&batch(&mut stream, 16)?)?;
            let after = hashes(&agent);
            let moved: Vec<bool> = before
                .into_iter()
                .zip(&after)
                .map(|(a, b)| Ok(a? != *b.as_ref().map_err(ToString::to_string)?))
                .collect::<Result<_, Box<dyn Error>>>()?;
            let even = count % 2 == 0;
            assert_eq!(moved, [even, even, even, true], "update {count}");
            assert_eq!(metrics.get("policy/loss").is_some(), even);
            before = after;
        }
    }
    Ok(())
}

#[test]
fn td3_moves_its_actor_and_targets_on_every_second_update() -> TestResult {
    const ENTRIES: [&str; 4] = [
        "policy/online",
        "policy/target",
        "critic/target",
        "critic/online",
    ];
    let mut agent = small_agent("td3", 0)?;
    let mut stream = Stream::new(1, "batches");
    let mut before = state(agent.as_ref())?;
    for count in 1..5 {
        let metrics = agent.update(&batch(&mut stream, 16)?)?;
        let after = state(agent.as_ref())?;
        let mut moved = Vec::new();
        for name in ENTRIES {
            moved.push(before.vec::<f32>(name)? != after.vec::<f32>(name)?);
        }
        let due = count % 2 == 0;
        assert_eq!(moved, [due, due, due, true], "update {count}");
        assert_eq!(metrics.get("policy/loss").is_some(), due);
        before = after;
    }
    Ok(())
}

#[test]
fn entropy_is_computed_only_where_somebody_takes_it() -> TestResult {
    let run = |td_entropy| -> Result<Vec<bool>, Box<dyn Error>> {
        let config = FlameConfig {
            td_entropy,
            shared: NoisyBestOfConfig {
                delay_alpha_update: 3,
                ..small(Variant::M).shared
            },
            ..small(Variant::M)
        };
        let mut agent = agent(Variant::M, config, 0)?;
        let mut stream = Stream::new(1, "batches");
        let mut seen = Vec::new();
        for _ in 0..5 {
            let metrics = agent.update(&batch(&mut stream, 16)?)?;
            seen.push(metrics.get("temperature/entropy").is_some());
        }
        Ok(seen)
    };
    assert_eq!(run(TdEntropy::Omit)?, [true, false, false, true, false]);
    assert_eq!(run(TdEntropy::PlusAlphaH)?, [true; 5]);
    Ok(())
}

#[test]
fn temperature_falls_when_entropy_is_above_its_target_and_rises_below() -> TestResult {
    for variant in [Variant::M, Variant::R] {
        for (target_entropy_scale, falls) in [(1000.0, true), (-1000.0, false)] {
            let mut agent = agent(
                variant,
                FlameConfig {
                    shared: NoisyBestOfConfig {
                        target_entropy_scale,
                        ..small(variant).shared
                    },
                    ..small(variant)
                },
                0,
            )?;
            let before = agent.algorithm().alpha()?;
            agent.update(&batch(&mut Stream::new(1, "batches"), 16)?)?;
            assert_eq!(agent.algorithm().alpha()? < before, falls);
            assert!(
                ((agent.algorithm().alpha()? / before).ln().abs() - 0.005).abs() < 1e-4,
                "one Adam step of size alpha_lr"
            );
        }
    }
    Ok(())
}

#[test]
fn a_fixed_temperature_stays() -> TestResult {
    let config = FlameConfig {
        shared: NoisyBestOfConfig {
            fix_alpha: true,
            init_alpha: 0.25,
            ..small(Variant::M).shared
        },
        ..small(Variant::M)
    };
    let mut agent = agent(Variant::M, config, 0)?;
    agent.update(&batch(&mut Stream::new(1, "batches"), 16)?)?;
    assert!((agent.algorithm().alpha()? - 0.25).abs() < 1e-7);
    Ok(())
}

/// Every value of every switch makes its own update.
#[test]
fn every_switch_changes_the_update_and_stays_finite() -> TestResult {
    let m = small(Variant::M);
    let r = small(Variant::R);
    let cases = [
        (
            Variant::M,
            FlameConfig {
                td_entropy: TdEntropy::PlusAlphaH,
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                td_entropy: TdEntropy::MinusAlphaH,
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                shared: NoisyBestOfConfig {
                    td_noise: true,
                    ..m.shared.clone()
                },
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                shared: NoisyBestOfConfig {
                    td_noise: true,
                    noise: NoiseRule::Constant,
                    noise_scale: 0.3,
                    ..m.shared.clone()
                },
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                dpg_coef: 1.0,
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                shared: NoisyBestOfConfig {
                    base_std: 0.5,
                    ..m.shared.clone()
                },
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                n_gen: 2,
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                weight_temperature: WeightTemperature::RepoExpAlpha,
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                shared: NoisyBestOfConfig {
                    critic_double_step: true,
                    ..m.shared.clone()
                },
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                meanflow_r_eq_t_frac: 0.75,
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                adaptive_weight: true,
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                time_sampler: Times::LogitNormal,
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                time_convention: PathConvention::RepoMixed,
                ..m.clone()
            },
        ),
        (
            Variant::M,
            FlameConfig {
                shared: NoisyBestOfConfig {
                    scoring: Scoring::Bf16,
                    ..m.shared.clone()
                },
                ..m.clone()
            },
        ),
        (
            Variant::R,
            FlameConfig {
                clip_z: true,
                ..r.clone()
            },
        ),
        (
            Variant::R,
            FlameConfig {
                td_entropy: TdEntropy::PlusAlphaH,
                ..r.clone()
            },
        ),
    ];
    let run = |variant, config| -> Result<u64, Box<dyn Error>> {
        let mut agent = agent(variant, config, 0)?;
        let metrics = agent.update(&batch(&mut Stream::new(1, "batches"), 16)?)?;
        assert_eq!(metrics.first_non_finite(), None);
        Ok(agent.parameter_hash()?)
    };
    let (plain_m, plain_r) = (run(Variant::M, m)?, run(Variant::R, r)?);
    for (variant, config) in cases {
        let plain = if variant == Variant::M {
            plain_m
        } else {
            plain_r
        };
        assert_ne!(
            run(variant, config.clone())?,
            plain,
            "no effect: {config:?}"
        );
    }
    Ok(())
}

/// The estimators differ by what the metric reports, not by the parameters: the temperature's first step has a fixed size.
#[test]
fn every_entropy_estimator_reports_a_value_of_its_own() -> TestResult {
    let report = |variant, entropy, trace, n_ent| -> Result<f64, Box<dyn Error>> {
        let mut agent = agent(
            variant,
            FlameConfig {
                entropy,
                trace,
                n_ent,
                ..small(variant)
            },
            0,
        )?;
        let metrics = agent.update(&batch(&mut Stream::new(1, "batches"), 16)?)?;
        Ok(metrics.get("temperature/entropy").ok_or("no entropy")?)
    };
    let forms = [
        (Entropy::FirstOrder, Trace::Exact),
        (Entropy::FirstOrder, Trace::Rademacher),
        (Entropy::FirstOrder, Trace::Gaussian),
        (Entropy::ExactLogdet, Trace::Exact),
        (Entropy::RepoNoDt, Trace::Exact),
    ];
    let mut seen = Vec::new();
    for (entropy, trace) in forms {
        seen.push(report(Variant::M, entropy, trace, 3)?);
        if entropy != Entropy::RepoNoDt {
            seen.push(report(Variant::R, entropy, trace, 3)?);
        }
    }
    assert!(seen.iter().all(|h| h.is_finite()));
    for (i, a) in seen.iter().enumerate() {
        assert!(seen[i + 1..].iter().all(|b| a != b), "{seen:?}");
    }
    Ok(())
}

#[test]
fn shared_and_repeated_rows_make_the_same_policy_step() -> TestResult {
    for variant in [Variant::M, Variant::R] {
        let step = |policy_loss_rows, k_reduction| -> Result<Vec<f32>, Box<dyn Error>> {
            let mut agent = agent(
                variant,
                FlameConfig {
                    policy_loss_rows,
                    k_reduction,
                    ..small(variant)
                },
                0,
            )?;
            let start = agent.policy().to_vec()?;
            agent.update(&batch(&mut Stream::new(1, "batches"), 16)?)?;
            // Adam's first step is lr sign(gradient): a wrong gradient agrees in about half of the signs.
            Ok(agent
                .policy()
                .to_vec()?
                .iter()
                .zip(start)
                .map(|(after, before)| after - before)
                .collect())
        };
        let shared = step(LossRows::Shared, KReduction::Sum)?;
        for other in [
            step(LossRows::PerProposal, KReduction::Sum)?,
            step(LossRows::Shared, KReduction::Mean)?,
        ] {
            let same = shared
                .iter()
                .zip(&other)
                .filter(|(a, b)| (**a - **b).abs() < 3e-5)
                .count();
            assert!(
                same as f64 > 0.95 * shared.len() as f64,
                "{same} of {}",
                shared.len()
            );
        }
    }
    Ok(())
}

#[test]
fn names_and_keys_that_do_not_exist_get_their_nearest() -> TestResult {
    let make = |name: &str, text: &str| -> Result<String, Box<dyn Error>> {
        let made = registry::make(name, &text.parse()?, DIMS, 0, &Device::Cpu);
        Ok(made.err().ok_or("accepted")?.to_string())
    };
    let error = make("flamem", "")?;
    assert!(
        error.contains("unknown algorithm `flamem`; nearest names: flame-m"),
        "{error}"
    );
    let error = make("flame-r", "num_proposal = 3")?;
    assert!(
        error.contains("unknown key `num_proposal`; nearest keys: num_proposals"),
        "{error}"
    );
    let error = make("sac", "gamma = \"high\"")?;
    assert!(
        error.contains("configuration of sac") && error.contains("expected a number"),
        "{error}"
    );
    let error = make("flame-m", "td_entropy = \"plus\"")?;
    assert!(error.contains("plus_alpha_h"), "{error}");
    let error = make("flame-m", "best_of = 0")?;
    assert!(error.contains("`best_of` is 0; give at least 1"), "{error}");
    let error = make("flame-m", "gamma = 1.5")?;
    assert!(error.contains("`gamma` is 1.5"), "{error}");
    let error = make("flame-r", "dpg_coef = 1.0")?;
    assert!(
        error.contains("`dpg_coef`") && error.contains("flame-m"),
        "{error}"
    );
    let error = make(
        "flame-m",
        "adaptive_weight = true\npolicy_loss_rows = \"per_proposal\"",
    )?;
    assert!(error.contains("take shared"), "{error}");
    Ok(())
}

#[test]
fn configurations_are_complete_and_make_the_same_agent_again() -> TestResult {
    for name in registry::names() {
        let defaults = registry::default_config(name)?;
        let agent = registry::make(name, &toml::Table::new(), DIMS, 7, &Device::Cpu)?;
        assert_eq!(agent.config_toml(), defaults);
        let again = registry::make(name, &agent.config_toml(), DIMS, 7, &Device::Cpu)?;
        assert_eq!(agent.parameter_hash()?, again.parameter_hash()?);
        assert_eq!(agent.loop_settings(), again.loop_settings());
        let other = registry::make(name, &defaults, DIMS, 8, &Device::Cpu)?;
        assert_ne!(agent.parameter_hash()?, other.parameter_hash()?);
    }
    Ok(())
}

#[test]
fn defaults_are_those_that_the_page_names() -> TestResult {
    let m = registry::make("flame-m", &toml::Table::new(), DIMS, 0, &Device::Cpu)?.loop_settings();
    let replay = ReplaySettings {
        warmup_transitions: 30_000,
        warmup_counts: false,
        updates_per_vector_step: 1,
        batch_size: 256,
        capacity: 1_000_000,
    };
    assert_eq!((m.num_envs, m.clip_actions), (1, false));
    assert_eq!(m.data, Data::Replay(replay));
    let td3 = registry::make("td3", &toml::Table::new(), DIMS, 0, &Device::Cpu)?.loop_settings();
    let replay = ReplaySettings {
        warmup_transitions: 25_000,
        warmup_counts: true,
        ..replay
    };
    assert_eq!(td3.data, Data::Replay(replay));
    let ppo = registry::make("ppo", &toml::Table::new(), DIMS, 0, &Device::Cpu)?.loop_settings();
    assert_eq!((ppo.num_envs, ppo.clip_actions), (1, true));
    assert_eq!(
        ppo.data,
        Data::Rollout {
            steps: 2048,
            keep: 1
        }
    );
    let r = FlameConfig::of(Variant::R);
    assert_eq!(
        (r.n_gen, r.n_ent, r.num_proposals, r.shared.best_of),
        (20, 20, 100, 32)
    );
    assert_eq!(
        (
            r.shared.init_alpha,
            r.shared.noise_scale,
            r.shared.target_entropy_scale
        ),
        (0.01, 0.001, 1.0)
    );
    let schedule = r.shared.policy_schedule();
    assert!(
        (schedule.at(25_000) - 3e-4).abs() < 1e-15 && (schedule.at(75_000) - 3e-5).abs() < 1e-15
    );
    Ok(())
}

/// One-step tasks: the reward is a function of the action alone, so the best action is known. The replay holds
/// 16 batches of uniform actions, which come round and round.
fn bandit(
    name: &str,
    text: &str,
    updates: usize,
    reward: impl Fn(f32) -> f32,
) -> Result<f32, Box<dyn Error>> {
    let (device, dims, rows) = (Device::Cpu, Dims { obs: 1, act: 1 }, 64);
    let mut agent = registry::make(name, &text.parse()?, dims, 0, &device)?;
    let mut stream = Stream::new(0, "bandit");
    let obs = Tensor::zeros((rows, 1), candle_core::DType::F32, &device)?;
    let mut replay = Vec::new();
    for first in (0..16 * rows as u64).step_by(rows) {
        let act = random::uniform(&mut stream, -1.0, 1.0, (rows, 1), &device)?;
        let values: Vec<f32> = act
            .flatten_all()?
            .to_vec1::<f32>()?
            .into_iter()
            .map(&reward)
            .collect();
        let reward = Tensor::from_vec(values, rows, &device)?;
        let terminated = reward.ones_like()?;
        replay.push(Batch {
            obs: obs.clone(),
            act,
            truncated: reward.zeros_like()?,
            reward,
            next_obs: obs.clone(),
            terminated,
            numbers: (first..).take(rows).collect(),
            num_envs: rows,
        });
    }
    for batch in replay.iter().cycle().take(updates) {
        agent.update(batch)?;
    }
    let act = agent.act(&obs.narrow(0, 0, 1)?, ActMode::Evaluate)?;
    Ok(act.flatten_all()?.to_vec1::<f32>()?[0])
}

#[test]
fn agents_find_the_best_action_of_a_one_step_task() -> TestResult {
    let reward = |a: f32| -10.0 * (a - 0.4).powi(2);
    let flame = "hidden = [32, 32]\nbest_of = 8\nnum_proposals = 16\nfix_alpha = true\ninit_alpha = 0.05\n\
                 critic_lr = 3e-3\npolicy_lr = 2e-3\npolicy_lr_end = 2e-3\nn_ent = 2\nema_tau = 0.02";
    let sac =
        "hidden = [32, 32]\ncritic_lr = 3e-3\nactor_lr = 3e-3\nalpha_lr = 3e-3\nema_tau = 0.02";
    let fmer = "hidden = [32, 32]\nn_steps = 5\nnum_candidates = 8\ncritic_lr = 1e-2\npolicy_lr = 2e-3\nema_tau = 0.02";
    let qvpo = "hidden = [32, 32]\ntime_dim = 8\ntime_hidden = 16\nn_diffusion = 10\nnum_candidates = 16\nnum_uniform = 4\n\
                eval_best_of = 8\ncritic_lr = 1e-2\npolicy_lr = 2e-3\nema_tau = 0.02";
    let dipo = "hidden = [32, 32]\ntime_dim = 8\ntime_hidden = 16\nn_diffusion = 10\naction_steps = 8\n\
                critic_lr = 1e-2\npolicy_lr = 2e-3\nema_tau = 0.02";
    let td3 = "hidden = [32, 32]\ncritic_lr = 3e-3\nactor_lr = 3e-3\nema_tau = 0.02";
    let settings = [
        ("dipo", dipo),
        ("flame-m", flame),
        ("flame-r", flame),
        ("fmer", fmer),
        ("qvpo", qvpo),
        ("sac", sac),
        ("td3", td3),
    ];
    for (name, text) in settings {
        let found = bandit(name, text, 800, reward)?;
        assert!((found - 0.4).abs() < 0.1, "{name} takes {found}");
    }
    Ok(())
}

#[test]
fn agents_with_noisy_best_actions_find_the_best_action_of_a_one_step_task() -> TestResult {
    let reward = |a: f32| -10.0 * (a - 0.4).powi(2);
    let common = "hidden = [32, 32]\nbest_of = 8\ninit_alpha = 0.5\nalpha_lr = 0.0\ncritic_lr = 3e-3\n\
                  policy_lr = 2e-3\npolicy_lr_end = 2e-3\nema_tau = 0.02\n";
    let cases = [
        ("fpmd-r", ""),
        ("fpmd-r", "one_step_eval = true"),
        ("fpmd-m", ""),
        ("fpmd-m", "one_step_eval = true"),
        ("dpmd", "n_diffusion = 10"),
        ("sdac", "n_diffusion = 10\nnum_noises = 16"),
    ];
    for (name, own) in cases {
        let found = bandit(name, &format!("{common}{own}"), 600, reward)?;
        assert!((found - 0.4).abs() < 0.1, "{name} ({own}) takes {found}");
    }
    Ok(())
}

/// Settings that make no sense are refused by name, or the agent is made and its update ends in a result; nothing panics.
#[test]
fn no_number_in_a_configuration_makes_an_agent_panic() -> TestResult {
    let mut unnamed = Vec::new();
    for name in registry::names() {
        let small = small_settings(name)?;
        for (key, value) in registry::default_config(name)? {
            let odd: &[toml::Value] = match value {
                toml::Value::Integer(_) => &[toml::Value::Integer(0)],
                toml::Value::Float(_) => &[0.0, -1.0, f64::NAN, 1e30].map(toml::Value::Float),
                toml::Value::Array(_) => &[toml::Value::Array(vec![0.into()])],
                _ => &[],
            };
            for odd in odd {
                let mut table = small.clone();
                table.insert(key.clone(), odd.clone());
                unnamed.extend(check_odd(name, &key, &table)?);
            }
        }
    }
    assert!(unnamed.is_empty(), "{unnamed:#?}");
    Ok(())
}

/// What is wrong with the message about an odd value, if anything is.
fn check_odd(name: &str, key: &str, table: &toml::Table) -> Result<Option<String>, Box<dyn Error>> {
    match registry::make(name, table, DIMS, 0, &Device::Cpu) {
        Err(error) if error.to_string().contains(key) => {}
        Err(error) => return Ok(Some(format!("{name}: {key} is not named: {error}"))),
        Ok(mut agent) => {
            // the loop stops at a metric or a parameter that is not finite
            let _ = agent.update(&batch(&mut Stream::new(1, "batches"), 16)?);
        }
    }
    Ok(None)
}

#[test]
fn every_algorithm_refuses_unknown_keys_and_wrong_types() -> TestResult {
    for name in registry::names() {
        let refused = |text: &str| -> Result<String, Box<dyn Error>> {
            let made = registry::make(name, &text.parse()?, DIMS, 0, &Device::Cpu);
            Ok(made.err().ok_or("accepted")?.to_string())
        };
        // who learns from demonstrations has no discount
        let keys = registry::default_config(name)?;
        let known = [
            ("gamma", "gama", 1.5),
            ("ema_tau", "ema_tao", 1.5),
            ("lr", "lrr", -1.5),
        ];
        let mut known = known.into_iter();
        let (key, typo, odd) = known
            .find(|(key, ..)| keys.contains_key(*key))
            .ok_or("no key is known")?;
        let unknown = refused(&format!("{typo} = 0.9"))?;
        let nearest = format!("unknown key `{typo}`; nearest keys: {key}");
        assert!(
            unknown.contains(name) && unknown.contains(&nearest),
            "{unknown}"
        );
        let wrong = refused(&format!("{key} = \"high\""))?;
        assert!(wrong.contains(name) && wrong.contains(key), "{wrong}");
        let outside = refused(&format!("{key} = {odd:?}"))?;
        assert!(outside.contains(&format!("`{key}` is {odd}")), "{outside}");
    }
    Ok(())
}

#[test]
fn data_that_are_not_finite_show_in_the_metrics_or_the_state() -> TestResult {
    for name in registry::names() {
        let mut agent = small_agent(name, 0)?;
        let mut poisoned = batch(&mut Stream::new(1, "batches"), 16)?;
        // who imitates does not look at rewards
        let imitates = ["bc", "flow-bc", "fm-irl", "fm-irl-sac"].contains(&name)
            || ["airl", "drail", "gail", "vail", "wail"].contains(&name);
        match imitates {
            true => poisoned.act = (poisoned.act * f64::NAN)?,
            false => poisoned.reward = (poisoned.reward * f64::NAN)?,
        }
        let seen = match agent.update(&poisoned) {
            Err(_) => true,
            Ok(metrics) => {
                let state = state(agent.as_ref())?;
                metrics.first_non_finite().is_some() || state.first_non_finite().is_some()
            }
        };
        assert!(seen, "{name} hides it");
    }
    Ok(())
}

#[test]
fn every_key_is_described() -> TestResult {
    for name in registry::names() {
        for key in registry::default_config(name)?.keys() {
            let described = registry::describe_key(name, key);
            assert!(
                described.is_some_and(|text| text.len() > 3),
                "{name}: {key}"
            );
        }
    }
    Ok(())
}
