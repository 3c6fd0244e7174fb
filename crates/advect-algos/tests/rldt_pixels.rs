//! RLDT and its pretraining from frames: what is encoded, by whom, how often, and how it learns.

mod common;

use std::error::Error;

use advect_algos::encoder::{Encoder, ImageNetwork};
use advect_algos::flow_actor::FlowActor;
use advect_algos::flow_network::FlowNetwork;
use advect_algos::rows::repeat_rows;
use advect_algos::{Dims, Task, registry};
use advect_kernels::{Params, init, random};
use advect_rl::{ActMode, Agent, Batch, ImageShape};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};
use common::{max_abs, state};
use toml::Table;

type Maybe<T> = std::result::Result<T, Box<dyn Error>>;

const IMAGE: ImageShape = ImageShape {
    channels: 3,
    height: 24,
    width: 20,
};
const ACT: usize = 2;
const SIZES: &str = "image_embed = 8\nimage_heads = 2\nimage_features = 6\nimage_shift = 1";
const RLDT: &str = include_str!("small/rldt.toml");

/// A task with so many numbers behind its frames.
fn task(numbers: usize) -> Task {
    Task {
        dims: Dims {
            obs: IMAGE.len() + numbers,
            act: ACT,
        },
        image: Some(IMAGE),
    }
}

fn table(small: &str, more: &str) -> Maybe<Table> {
    let mut table: Table = small.parse()?;
    table.extend(SIZES.parse::<Table>()?);
    table.extend(more.parse::<Table>()?);
    Ok(table)
}

fn rldt(more: &str, seed: u64) -> Maybe<Box<dyn Agent>> {
    Ok(registry::make(
        "rldt",
        &table(RLDT, more)?,
        task(0),
        seed,
        &Device::Cpu,
    )?)
}

/// Random bytes `[rows, pixels]`.
fn frames(stream: &mut Stream, rows: usize) -> Result<Tensor> {
    let mut bytes = vec![0; rows * IMAGE.len()];
    stream.fill_indices(256, &mut bytes);
    Tensor::from_vec(bytes, (rows, IMAGE.len()), &Device::Cpu)?.to_dtype(DType::U8)
}

/// Whole rollouts of the small configuration: 8 steps of 2 environments each.
fn batch(stream: &mut Stream, rollouts: usize) -> Result<Batch> {
    let rows = 16 * rollouts;
    let act = random::normal(stream, (rows, ACT), &Device::Cpu)?.tanh()?;
    let reward = random::normal(stream, rows, &Device::Cpu)?;
    Ok(Batch {
        next_obs: frames(stream, rows)?,
        reward,
        num_envs: 2,
        ..Batch::imitation(frames(stream, rows)?, act)?
    })
}

fn actor(numbers: usize) -> Result<(FlowActor, Params)> {
    let network = FlowNetwork {
        width: 16,
        time_dim: 4,
        ..FlowNetwork::default()
    };
    let image = ImageNetwork {
        image_embed: 8,
        image_heads: 2,
        image_features: 6,
        ..ImageNetwork::default()
    };
    let actor = FlowActor::new(task(numbers), &network, &image, 3)?;
    let layout = actor.layout();
    let values = init::draw(
        &layout,
        init::Init::FanInUniform,
        &mut Stream::new(0, "actor"),
    );
    let params = Params::from_vec(layout, None, values, &Device::Cpu)?;
    Ok((actor, params))
}

#[test]
fn features_shared_by_particles_are_those_of_a_particle_by_itself() -> Maybe<()> {
    for numbers in [0, 2] {
        let (actor, params) = actor(numbers)?;
        let pixels = frames(&mut Stream::new(1, "frames"), 3)?.to_dtype(DType::F32)?;
        let rest = random::normal(&mut Stream::new(2, "numbers"), (3, numbers), &Device::Cpu)?;
        let obs = Tensor::cat(&[pixels, rest], 1)?;
        let x_0 = random::normal(&mut Stream::new(3, "noise"), (3, 4, ACT), &Device::Cpu)?;
        let shared = actor.generate(&params.detached(), &obs, &x_0)?;
        let alone = actor.generate(
            &params.detached(),
            &repeat_rows(&obs, 4)?,
            &x_0.flatten(0, 1)?.unsqueeze(1)?,
        )?;
        assert!(max_abs(&(shared.flatten(0, 1)? - alone.squeeze(1)?)?)? < 1e-5);
        // the policy depends on what it sees
        let other = actor.generate(&params.detached(), &obs.affine(0.5, 0.0)?, &x_0)?;
        assert!(max_abs(&(shared - other)?)? > 1e-4);
    }
    Ok(())
}

#[test]
fn limits_cut_the_numbers_behind_frames_and_no_pixels() -> Maybe<()> {
    let actor = actor(2)?.0.clipped(2.0);
    let pixels = frames(&mut Stream::new(1, "frames"), 1)?.to_dtype(DType::F32)?;
    let numbers = Tensor::new(&[[0.5f32, -3.0]], &Device::Cpu)?;
    let cut = actor.scaled(&Tensor::cat(&[&pixels, &numbers], 1)?)?;
    let found = cut.narrow(1, IMAGE.len(), 2)?.to_vec2::<f32>()?;
    assert_eq!(found, [[0.5, -2.0]]);
    assert_eq!(max_abs(&(cut.narrow(1, 0, IMAGE.len())? - pixels)?)?, 0.0);
    Ok(())
}

#[test]
fn shifts_move_pixels_and_nothing_else() -> Maybe<()> {
    let encoder = Encoder::of(task(2), &ImageNetwork::default())?;
    let pixels = frames(&mut Stream::new(1, "frames"), 8)?.to_dtype(DType::F32)?;
    let numbers = Tensor::arange(0f32, 16.0, &Device::Cpu)?.reshape((8, 2))?;
    let obs = Tensor::cat(&[&pixels, &numbers], 1)?;
    let moved = encoder.shifted(&obs, 4, &mut Stream::new(2, "shift"))?;
    assert_eq!(moved.dims(), obs.dims());
    assert!(max_abs(&(moved.narrow(1, 0, IMAGE.len())? - &pixels)?)? > 1.0);
    assert_eq!(
        max_abs(&(moved.narrow(1, IMAGE.len(), 2)? - numbers)?)?,
        0.0
    );
    // bytes are shifted as numbers are, and without a pad or without frames nothing moves
    let encoder = Encoder::of(task(0), &ImageNetwork::default())?;
    let bytes = encoder.shifted(
        &pixels.to_dtype(DType::U8)?,
        4,
        &mut Stream::new(2, "shift"),
    )?;
    let expected = moved.narrow(1, 0, IMAGE.len())?;
    assert_eq!(max_abs(&(bytes.to_dtype(DType::F32)? - expected)?)?, 0.0);
    let still = encoder.shifted(&pixels, 0, &mut Stream::new(2, "shift"))?;
    assert_eq!(max_abs(&(still - &pixels)?)?, 0.0);
    let mut stream = Stream::new(2, "shift");
    let identity = Encoder::of(task(0).dims.into(), &ImageNetwork::default())?;
    identity.shifted(&pixels, 4, &mut stream)?;
    assert_eq!(stream.state(), Stream::new(2, "shift").state());
    Ok(())
}

/// The encoder's part of the policy in a saved state: its last numbers.
fn of_policy(agent: &dyn Agent, entry: &str, len: usize) -> Maybe<Vec<f32>> {
    let saved = state(agent)?;
    let all = saved.vec::<f32>(entry)?;
    Ok(all[all.len() - len..].to_vec())
}

#[test]
fn the_critics_encoder_begins_as_the_actors_and_both_learn() -> Maybe<()> {
    let mut agent = rldt("reference = \"last_iteration\"", 0)?;
    let begun: Vec<f32> = state(agent.as_ref())?
        .vec("critic_encoder/online")?
        .to_vec();
    let target = state(agent.as_ref())?
        .vec::<f32>("critic_encoder/target")?
        .to_vec();
    assert_eq!(
        begun,
        of_policy(agent.as_ref(), "policy/online", begun.len())?
    );
    assert_eq!(begun, target);
    agent.update(&batch(&mut Stream::new(1, "batches"), 1)?)?;
    let learnt = state(agent.as_ref())?
        .vec::<f32>("critic_encoder/online")?
        .to_vec();
    let target = state(agent.as_ref())?
        .vec::<f32>("critic_encoder/target")?
        .to_vec();
    let policy = of_policy(agent.as_ref(), "policy/online", begun.len())?;
    let moved = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a != b).count();
    // ReLUs may leave a few parameters without gradient
    assert!(moved(&learnt, &begun) > begun.len() / 2);
    assert!(moved(&policy, &begun) > begun.len() / 2);
    assert!(moved(&policy, &learnt) > begun.len() / 2);
    assert!(moved(&target, &begun) > 0 && target != learnt);
    assert_eq!(
        policy,
        of_policy(agent.as_ref(), "policy/target", begun.len())?
    );
    Ok(())
}

#[test]
fn a_state_has_nothing_of_an_encoder() -> Maybe<()> {
    let agent = registry::make("rldt", &RLDT.parse()?, common::DIMS, 0, &Device::Cpu)?;
    let saved = state(agent.as_ref())?;
    assert!(saved.vec::<f32>("critic_encoder/online").is_err());
    assert!(saved.vec::<u64>("image").is_err());
    Ok(())
}

/// Two agents, one of which is saved and read by another of another seed after the first update.
#[test]
fn learning_from_frames_goes_on_to_the_same_bits() -> Maybe<()> {
    let flow_bc = include_str!("small/flow-bc.toml");
    let make = |name: &str, seed| -> Maybe<Box<dyn Agent>> {
        let small = if name == "rldt" { RLDT } else { flow_bc };
        Ok(registry::make(
            name,
            &table(small, "")?,
            task(0),
            seed,
            &Device::Cpu,
        )?)
    };
    for name in ["rldt", "flow-bc"] {
        let (mut agent, mut stream) = (make(name, 0)?, Stream::new(1, "batches"));
        assert!(agent.takes_frames());
        agent.update(&batch(&mut stream, 1)?)?;
        let mut other = make(name, 5)?;
        other.load(&state(agent.as_ref())?)?;
        let next = batch(&mut stream, 3)?;
        let (own, again) = (agent.update(&next)?, other.update(&next)?);
        assert_eq!(own.first_non_finite(), None);
        assert_eq!(own, again, "{name}");
        assert_eq!(agent.parameter_hash()?, other.parameter_hash()?, "{name}");
        let obs = frames(&mut stream, 3)?.to_dtype(DType::F32)?;
        assert_eq!(agent.act(&obs, ActMode::Evaluate)?.dims(), [3, ACT]);
        assert_eq!(agent.act(&obs, ActMode::Explore)?.dims(), [3, ACT]);
    }
    Ok(())
}

#[test]
fn every_switch_of_the_frames_changes_an_iteration() -> Maybe<()> {
    let run = |more: &str| -> Maybe<u64> {
        let mut agent = rldt(more, 0)?;
        for rollouts in [1, 3] {
            agent.update(&batch(&mut Stream::new(1, "batches"), rollouts)?)?;
        }
        Ok(agent.parameter_hash()?)
    };
    let plain = run("")?;
    for switch in [
        "image_shift = 0",
        "image_embed = 4",
        "image_features = 5",
        "image_heads = 1",
        "image_layers = 2",
        "critic_encoder_lr = 1e-3",
        "policy_trajectories = 1",
    ] {
        assert_ne!(run(switch)?, plain, "no effect: {switch}");
    }
    assert!(rldt("image_heads = 3", 0).is_err());
    Ok(())
}
