//! DIPO: the ascent of stored actions, what is kept of it, and the policy's share of an update.

mod common;

use std::error::Error;

use advect_algos::diffusion_policy::DiffusionConfig;
use advect_algos::dipo::improve::{Ascent, improve};
use advect_algos::dipo::{self, DipoConfig, ImprovedActions};
use advect_algos::{Scoring, registry};
use advect_kernels::{Activation, Params, random};
use advect_rl::{Agent, CriticNet, StateDict};
use advect_rng::Stream;
use candle_core::{DType, Device, Tensor};
use common::{DIMS, batch, max_abs};

type TestResult = Result<(), Box<dyn Error>>;

const ASCENT: Ascent = Ascent {
    steps: 20,
    lr: 0.03,
    clip_norm: 0.2,
};

fn small() -> DipoConfig {
    DipoConfig {
        diffusion: DiffusionConfig {
            hidden: vec![32, 32],
            time_dim: 8,
            time_hidden: 16,
            n_diffusion: 5,
            ..DiffusionConfig::default()
        },
        action_steps: 3,
        ..DipoConfig::default()
    }
}

/// `Q1 = slope a`, `Q2 = slope a + 1`: a constant gradient.
fn straight(slope: f32) -> Result<(CriticNet, Tensor), Box<dyn Error>> {
    let net = CriticNet::new(1, 1, &[], Activation::Mish)?;
    let values = vec![0.0, slope, 0.0, 0.0, slope, 1.0];
    let critics = Params::from_vec(net.layout(), Some(2), values, &Device::Cpu)?;
    Ok((net, critics.detached()))
}

/// Adam moves by its learning rate under a constant gradient, whatever its size; the box stops it.
#[test]
fn a_straight_critic_moves_every_action_by_steps_times_lr() -> TestResult {
    let obs = Tensor::zeros((3, 1), DType::F32, &Device::Cpu)?;
    let act = Tensor::new(&[[-0.9f32], [0.1], [0.7]], &Device::Cpu)?;
    for (slope, expected) in [(2.0, [-0.3f32, 0.7, 1.0]), (-0.5, [-1.0, -0.5, 0.1])] {
        let (net, critics) = straight(slope)?;
        let moved = improve(&net, &critics, &obs, &act, ASCENT)?;
        let expected = Tensor::new(&expected, &Device::Cpu)?.reshape((3, 1))?;
        assert!(max_abs(&(moved - expected)?)? < 1e-4, "slope {slope}");
    }
    assert_eq!(
        act.to_vec2::<f32>()?,
        [[-0.9], [0.1], [0.7]],
        "the input stays"
    );
    Ok(())
}

#[test]
fn ascent_raises_the_value_of_nearly_every_action() -> TestResult {
    let mut stream = Stream::new(1, "ascent");
    let (rows, device) = (64, Device::Cpu);
    let net = CriticNet::new(DIMS.obs, DIMS.act, &[32, 32], Activation::Mish)?;
    let values = random::normal(&mut stream, 2 * net.layout().len(), &device)?;
    let values = (values * 0.3)?.to_vec1::<f32>()?;
    let critics = Params::from_vec(net.layout(), Some(2), values, &device)?.detached();
    let obs = random::normal(&mut stream, (rows, DIMS.obs), &device)?;
    let act = random::uniform(&mut stream, -1.0, 1.0, (rows, DIMS.act), &device)?;
    let q = |act: &Tensor| net.min_q(&critics, &obs, act)?.to_vec1::<f32>();
    let moved = improve(&net, &critics, &obs, &act, ASCENT)?;
    let (before, after) = (q(&act)?, q(&moved)?);
    let raised = before.iter().zip(&after).filter(|(b, a)| a > b).count();
    assert!(raised >= 60, "{raised} of {rows} are better");
    assert!(max_abs(&moved)? <= 1.0);
    Ok(())
}

#[test]
fn an_improved_action_lives_as_long_as_its_transition() -> TestResult {
    let rows = |values: &[f32]| Tensor::from_slice(values, (values.len(), 1), &Device::Cpu);
    let mut store = ImprovedActions::new(4, 1);
    assert_eq!(
        store.read(&[0, 3], &rows(&[0.1, 0.2])?)?.to_vec2::<f32>()?,
        [[0.1], [0.2]]
    );
    store.write(&[1, 2], &rows(&[0.5, 0.6])?)?;
    let read = |store: &ImprovedActions, numbers: &[u64]| -> Result<Vec<f32>, Box<dyn Error>> {
        let fresh = rows(&vec![0.0; numbers.len()])?;
        Ok(store.read(numbers, &fresh)?.flatten_all()?.to_vec1()?)
    };
    assert_eq!(read(&store, &[0, 1, 2, 3])?, [0.0, 0.5, 0.6, 0.0]);
    // transition 5 took the slot of 1
    assert_eq!(read(&store, &[5, 2])?, [0.0, 0.6]);
    store.write(&[5], &rows(&[0.9])?)?;
    assert_eq!(read(&store, &[5, 1])?, [0.9, 0.0]);

    let error = store
        .read(&[1], &rows(&[0.1, 0.2])?)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`act` has shape [2, 1]"), "{error}");

    let mut state = StateDict::new();
    store.save("improved", &mut state)?;
    let mut loaded = ImprovedActions::new(4, 1);
    loaded.load("improved", &StateDict::from_bytes(&state.to_bytes()?)?)?;
    assert_eq!(loaded, store);
    let error = ImprovedActions::new(1, 1)
        .load("improved", &state)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`improved/numbers` has shape"), "{error}");
    assert!(ImprovedActions::new(4, 2).load("improved", &state).is_err());
    Ok(())
}

/// The second update of a batch starts where the first one left its actions, unless their transitions are others.
#[test]
fn actions_go_on_from_where_they_were_left() -> TestResult {
    let first = batch(&mut Stream::new(1, "batches"), 16)?;
    let mut other = first.clone();
    other.numbers.iter_mut().for_each(|number| *number += 16);
    let hash_after = |second: &advect_rl::Batch| -> Result<u64, Box<dyn Error>> {
        let mut agent = dipo::agent(small(), DIMS, 0, &Device::Cpu)?;
        agent.update(&first)?;
        let metrics = agent.update(second)?;
        assert_eq!(metrics.first_non_finite(), None);
        Ok(agent.parameter_hash()?)
    };
    assert_ne!(hash_after(&first)?, hash_after(&other)?);
    Ok(())
}

#[test]
fn every_setting_reaches_the_update_and_stays_finite() -> TestResult {
    let run = |config: DipoConfig| -> Result<u64, Box<dyn Error>> {
        let mut agent = dipo::agent(config, DIMS, 0, &Device::Cpu)?;
        for seed in 0..2 {
            let metrics = agent.update(&batch(&mut Stream::new(seed, "batches"), 16)?)?;
            assert_eq!(metrics.first_non_finite(), None);
            assert!(metrics.get("policy/action_step") > Some(0.0));
        }
        Ok(agent.parameter_hash()?)
    };
    let plain = run(small())?;
    let changes: [fn(&mut DipoConfig); 8] = [
        |c| c.diffusion.n_diffusion = 6,
        |c| c.action_steps = 4,
        |c| c.action_lr = 0.01,
        |c| c.action_clip_norm = 1e-7,
        |c| c.policy_lr = 1e-3,
        |c| c.critic_lr = 1e-3,
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
fn defaults_are_those_that_the_page_names_and_keys_are_described() -> TestResult {
    let config = DipoConfig::default();
    assert_eq!(config.ascent(), ASCENT);
    assert_eq!(
        (config.diffusion.n_diffusion, config.adam().clip_norm),
        (100, Some(2.0))
    );
    assert_eq!((config.critic_lr, config.policy_lr), (3e-4, 3e-4));
    for key in registry::default_config("dipo")?.keys() {
        assert!(
            registry::describe_key("dipo", key).is_some(),
            "{key} is not described"
        );
    }
    Ok(())
}
