//! QVPO's equations against closed forms, its switches and its defaults.

mod common;

use std::error::Error;

use advect_algos::candidates::rank;
use advect_algos::diffusion_policy::DiffusionConfig;
use advect_algos::qvpo::loss::{RowNoise, actions, weighted};
use advect_algos::qvpo::weights::{advantage, of_rows};
use advect_algos::qvpo::{self, QvpoConfig};
use advect_algos::{Dims, Scoring};
use advect_kernels::{Activation, Params, Precision, random};
use advect_rl::{Agent, CriticNet};
use advect_rng::Stream;
use candle_core::{Device, Tensor};
use common::{DIMS, batch, max_abs};

type TestResult = Result<(), Box<dyn Error>>;

fn small() -> QvpoConfig {
    QvpoConfig {
        diffusion: DiffusionConfig {
            hidden: vec![32, 32],
            time_dim: 8,
            time_hidden: 16,
            n_diffusion: 5,
            ..DiffusionConfig::default()
        },
        num_candidates: 6,
        num_uniform: 3,
        eval_best_of: 4,
        ..QvpoConfig::default()
    }
}

#[test]
fn entropy_coefficient_falls_to_its_floor_and_stays() {
    let coefficient = |step, entropy_steps, entropy_max, entropy_min| {
        let config = QvpoConfig {
            entropy_steps,
            entropy_max,
            entropy_min,
            ..QvpoConfig::default()
        };
        let mut decline = config.entropy_coefficient();
        (decline.first, decline.every) = (0, 1);
        decline.value(step)
    };
    let at = |step| coefficient(step, 1000, 0.02, 0.002);
    assert_eq!(at(0), 0.02);
    assert!((at(250) - 0.015).abs() < 1e-15);
    assert!((at(899) - 0.00202).abs() < 1e-12);
    assert_eq!([at(900), at(1000), at(5000)], [0.002; 3]);
    assert_eq!(coefficient(0, 10, 0.1, 0.5), 0.1, "never above max");
}

#[test]
fn weights_are_the_advantage_of_the_best_and_its_share() -> TestResult {
    let q = Tensor::new(&[[1f32, 5.0, 0.0], [-2.0, -8.0, -2.0]], &Device::Cpu)?;
    let omega = advantage(&q)?;
    assert_eq!(omega.to_vec1::<f32>()?, [3.0, 2.0]);
    let rows = of_rows(&omega, 0.5, 2)?.to_vec2::<f32>()?;
    assert_eq!(rows, [[3.0, 1.5, 1.5], [2.0, 1.0, 1.0]]);
    Ok(())
}

#[test]
fn the_best_candidate_is_the_first_with_the_largest_twin_minimum() -> TestResult {
    // Q1 = a, Q2 = 1 - a: the minimum is largest where a is nearest to 1/2.
    let net = CriticNet::new(1, 1, &[], Activation::Mish)?;
    let values = vec![0.0, 1.0, 0.0, 0.0, -1.0, 1.0];
    let critics = Params::from_vec(net.layout(), Some(2), values, &Device::Cpu)?;
    let obs = Tensor::zeros((2, 1), candle_core::DType::F32, &Device::Cpu)?;
    let candidates = Tensor::new(
        &[[[-1f32], [0.75], [0.25]], [[0.0], [1.0], [0.5]]],
        &Device::Cpu,
    )?;
    let critics = critics.detached();
    let ranked = rank(&net, &critics, &obs, &candidates, Precision::F32)?;
    assert_eq!(ranked.index.to_vec1::<u32>()?, [1, 2]);
    assert_eq!(ranked.action.to_vec2::<f32>()?, [[0.75], [0.5]]);
    let omega = advantage(&ranked.score)?.to_vec1::<f32>()?;
    assert_eq!(omega[0], 0.25 - (-1.0 + 0.25 + 0.25) / 3.0);
    Ok(())
}

/// A network of zeros predicts no noise: the loss is the weighted mean square of the noise.
#[test]
fn loss_of_a_silent_network_is_the_weighted_power_of_the_noise() -> TestResult {
    let (rows, m, device) = (4, 3, Device::Cpu);
    let policy = small().diffusion.policy(DIMS)?;
    let count = policy.layout().len();
    let params = Tensor::zeros(count, candle_core::DType::F32, &device)?;
    let mut stream = Stream::new(1, "loss");
    let obs = random::normal(&mut stream, (rows, DIMS.obs), &device)?;
    let best = random::uniform(&mut stream, -1.0, 1.0, (rows, DIMS.act), &device)?;
    let uniform = random::uniform(&mut stream, -1.0, 1.0, (rows, m, DIMS.act), &device)?;
    let weights = random::uniform(&mut stream, 0.0, 2.0, (rows, 1 + m), &device)?;
    let noise = RowNoise {
        k: random::indices(&mut stream, 5, (rows, 1 + m), &device)?,
        eps: random::normal(&mut stream, (rows, 1 + m, DIMS.act), &device)?,
    };
    let act = actions(&best, &uniform)?;
    let found = weighted(&policy, &params, &obs, &act, &weights, &noise)?;
    let power = noise.eps.sqr()?.mean(2)?;
    let expected: f32 = (power * &weights)?.mean_all()?.to_scalar()?;
    assert!((found.loss.to_scalar::<f32>()? - expected).abs() < 1e-6 * expected);
    let share = policy.schedule().alpha_bar()[noise.k.get(2)?.get(1)?.to_scalar::<u32>()? as usize];
    let at = |x: &Tensor| x.get(2)?.get(1);
    let x_k = ((at(&act)? * share.sqrt())? + (at(&noise.eps)? * (1.0 - share).sqrt())?)?;
    assert!(max_abs(&(at(&found.noised)? - x_k)?)? < 1e-6);
    Ok(())
}

/// The initial weights have the standard deviation of a normal truncated at two deviations, `0.8796 / (2 sqrt(fan_in))`.
#[test]
fn layers_start_as_truncated_normals() -> TestResult {
    let mut config = small();
    config.diffusion.hidden = vec![128, 128];
    let mut state = advect_rl::StateDict::new();
    let agent = qvpo::agent(config.clone(), DIMS, 0, &Device::Cpu)?;
    agent.save(&mut state)?;
    let policy = config.diffusion.policy(DIMS)?;
    let entry = policy.layout().find("policy.1.weight").ok_or("no layer")?;
    let values: Vec<f32> = state.vec::<f32>("policy/online")?[entry.range()].to_vec();
    let sigma = 0.5 / 128f32.sqrt();
    let largest = values.iter().fold(0f32, |a, w| a.max(w.abs()));
    assert!(largest <= 2.0 * sigma && largest > 1.9 * sigma);
    let power = values.iter().map(|w| w * w).sum::<f32>() / values.len() as f32;
    assert!((power.sqrt() / sigma - 0.8796).abs() < 0.02);
    Ok(())
}

#[test]
fn every_setting_reaches_the_update_and_stays_finite() -> TestResult {
    let run = |config: QvpoConfig| -> Result<u64, Box<dyn Error>> {
        let mut agent = qvpo::agent(config, DIMS, 0, &Device::Cpu)?;
        for seed in 0..2 {
            let metrics = agent.update(&batch(&mut Stream::new(seed, "batches"), 16)?)?;
            assert_eq!(metrics.first_non_finite(), None);
        }
        Ok(agent.parameter_hash()?)
    };
    let plain = run(small())?;
    let changes: [fn(&mut QvpoConfig); 14] = [
        |c| c.diffusion.n_diffusion = 6,
        |c| c.diffusion.cosine_s = 0.1,
        |c| c.diffusion.beta_max = 0.5,
        |c| c.num_candidates = 7,
        |c| c.num_uniform = 1,
        |c| c.entropy_max = 0.5,
        |c| c.entropy_steps = 1,
        |c| c.td_best_of = 1,
        |c| c.truncation_ends = true,
        |c| c.policy_lr = 1e-3,
        |c| c.critic_lr = 1e-3,
        |c| c.adam_eps = 1e-2,
        |c| c.clip_norm = 1e-3,
        |c| c.scoring = Scoring::Bf16,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut config = small();
        change(&mut config);
        assert_ne!(run(config)?, plain, "change {index} has no effect");
    }
    Ok(())
}

#[test]
fn defaults_are_those_that_the_page_names() {
    let config = QvpoConfig::default();
    let collected = (
        config.off_policy.num_envs,
        config.off_policy.warmup_transitions,
    );
    assert_eq!(collected, (1, 10_000));
    assert_eq!(
        (config.diffusion.n_diffusion, config.num_candidates),
        (20, 64)
    );
    assert_eq!(
        (
            config.behaviour_best_of,
            config.eval_best_of,
            config.td_best_of
        ),
        (4, 32, 4)
    );
    assert_eq!((config.num_uniform, config.entropy_steps), (10, 1_000_000));
    assert_eq!((config.critic_lr, config.policy_lr), (3e-4, 1e-4));
    let adam = config.adam();
    assert_eq!((adam.eps, adam.clip_norm), (1e-5, Some(2.0)));
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() -> TestResult {
    for (text, key) in [
        ("beta_max = 1.5", "beta"),
        ("num_uniform = 0", "num_uniform"),
    ] {
        let made = advect_algos::registry::make(
            "qvpo",
            &text.parse()?,
            Dims { obs: 2, act: 1 },
            0,
            &Device::Cpu,
        );
        let error = made.err().ok_or("accepted")?.to_string();
        assert!(error.contains(key), "{error}");
    }
    Ok(())
}
