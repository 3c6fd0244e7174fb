//! FM-IRL's checks (fm_irl.md section 8), and its loop.

use std::error::Error;

use advect_algos::fm_irl::matching::Matching;
use advect_algos::fm_irl::{FlowTeacher, FmIrlConfig, TeacherConfig};
use advect_algos::imitation::ImitationAgent;
use advect_algos::imitation::density::{Density, Draw, Label, Labelled, Query, times};
use advect_algos::registry;
use advect_flow::{NetConfig, TimeEmbedding, VelocityNet};
use advect_kernels::{Params, random};
use advect_rl::{Agent, StateDict};
use advect_rng::Stream;
use candle_core::{Device, Tensor};

use super::TestResult;
use super::ring::{RING, learn, logits};
use super::rollouts::{every_changes, halves, imitate, shorten};

/// The discriminator's rate for Maze2d.
const LR: f64 = 1e-3;

fn small() -> TeacherConfig {
    TeacherConfig {
        width: 64,
        n_blocks: 2,
        time_dim: 16,
        ..TeacherConfig::default()
    }
}

/// Section 8: samples of the teacher lie on the ring, and the discriminator is above one half on it, below off it.
#[test]
fn the_teacher_and_the_discriminator_learn_a_ring() -> TestResult {
    let device = Device::Cpu;
    let mut model = FlowTeacher::new(&small(), LR, RING, 0, &device)?;
    learn(&mut model, 1500)?;
    let (obs, act) = model.generate(512)?;
    let radius = (obs.sqr()? + act.sqr()?)?
        .sqrt()?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let near = radius.iter().filter(|r| (**r - 2.0).abs() < 0.3).count();
    assert!(near > 460, "{near} of 512 samples are near the ring");
    let [on, inside] = logits(&mut model)?;
    assert!(on > 0.1 && inside < -0.1, "logits {on} on, {inside} inside");
    Ok(())
}

/// A network whose output layer is zero, so that the velocity is.
fn still() -> Result<(VelocityNet, Params), Box<dyn Error>> {
    let net = VelocityNet::new(&NetConfig::fm_irl(1, 3, 8, 1, TimeEmbedding::fm_irl(8)?))?;
    let values = vec![0.0; net.layout().len()];
    let params = Params::from_vec(net.layout().clone(), None, values, &Device::Cpu)?;
    Ok((net, params))
}

/// Section 8: with a zero velocity the loss is the mean square of `x - x_0`, and shared noise makes `D` one half.
#[test]
fn without_a_velocity_shared_noise_cannot_tell() -> TestResult {
    let (net, params) = still()?;
    let matching = Matching {
        net: &net,
        params: params.tensor(),
        label_dim: 1,
    };
    let mut stream = Stream::new(0, "draws");
    let mut draw = || -> candle_core::Result<Draw> {
        Ok(Draw {
            x_0: random::normal(&mut stream, (400, 3), &Device::Cpu)?,
            t: times::antithetic(&[7; 200], 100, 400, &Device::Cpu)?,
        })
    };
    let (one, other) = (draw()?, draw()?);
    let x = (one.x_0.ones_like()? * 2.0)?;
    let query = Query {
        x: &x,
        label: Label::Expert,
        draw: &one,
    };
    let [loss] = matching.losses([query])?;
    let expected = (&x - &one.x_0)?.sqr()?.mean(1)?;
    assert_eq!(loss.to_vec1::<f32>()?, expected.to_vec1::<f32>()?);
    // 1 + mean x^2
    assert!((loss.mean_all()?.to_scalar::<f32>()? - 5.0).abs() < 0.3);
    let logit = |agent| -> candle_core::Result<Vec<f32>> {
        let rows = Labelled {
            x: &x,
            expert: &one,
            agent,
        };
        let (l1, l0) = rows.losses(&matching)?;
        (l0 - l1)?.to_vec1::<f32>()
    };
    assert!(logit(&one)?.iter().all(|l| *l == 0.0));
    assert!(logit(&other)?.iter().any(|l| l.abs() > 0.1));
    Ok(())
}

fn loop_config() -> FmIrlConfig {
    let mut config = FmIrlConfig {
        teacher: TeacherConfig {
            pull_batch: 64,
            pool: 256,
            n_steps: 10,
            reward_draws: 2,
            ..small()
        },
        ..FmIrlConfig::default()
    };
    shorten(&mut config.imitation, &mut config.student);
    config
}

/// Mean size of the error of the student's mean action.
fn error(agent: &mut ImitationAgent<FlowTeacher>) -> Result<f32, Box<dyn Error>> {
    let obs = Tensor::new(&[[-1.5f32], [-0.5], [0.5], [1.5]], &Device::Cpu)?;
    let act = agent.act(&obs, advect_rl::ActMode::Evaluate)?;
    Ok((act - (obs * 0.5)?)?.abs()?.mean_all()?.to_scalar()?)
}

/// Section 8: the pull alone is behaviour cloning of the teacher's samples; rewards alone also lead to the expert.
#[test]
fn pull_and_reward_each_lead_to_the_expert() -> TestResult {
    let mut pulled = loop_config();
    // a zero rate of the advantage: what is left of the student's loss is the pull
    pulled.student.clip = 1e-9;
    pulled.student.entropy_coef = 0.0;
    let mut rewarded = loop_config();
    rewarded.teacher.pull_coef = 0.0;
    for (name, config, rollouts, bound) in
        [("pull", pulled, 60, 0.15), ("reward", rewarded, 120, 0.3)]
    {
        let before = error(&mut imitate(config.clone(), 0)?)?;
        let after = error(&mut imitate(config, rollouts)?)?;
        assert!(
            before > 0.25 && after < bound,
            "{name}: {before} to {after}"
        );
    }
    Ok(())
}

/// Every switch of the algorithm changes what an iteration does.
#[test]
fn every_switch_changes_an_iteration() -> TestResult {
    every_changes(
        &loop_config(),
        &[
            "noise = \"independent\"",
            "time = \"layer_norm\"",
            "pool = 0",
            "reward_draws = 1",
            "teacher_warmup = 3",
            "teacher_coef = 0.0",
            "pull_coef = 0.0",
            "label_dim = 3",
            "n_steps = 5",
            "fm_num_steps = 10",
            "expert_fraction = 1.0",
            "disc_epochs = 2",
            "reward = \"gail\"",
            "sampling = \"bf16\"",
        ],
    )
}

#[test]
fn an_expert_that_does_not_suffice_is_refused() -> TestResult {
    let device = Device::Cpu;
    let mut agent = ImitationAgent::new(loop_config(), RING, 0, &device)?;
    let few = agent
        .demonstrate(halves(60))
        .err()
        .ok_or("accepted")?
        .to_string();
    assert!(
        few.contains("30 transitions are kept, a minibatch takes 32"),
        "{few}"
    );
    agent.demonstrate(halves(400))?;
    let mut state = StateDict::new();
    agent.save(&mut state)?;
    agent.demonstrate(halves(401))?;
    let other = agent.load(&state).err().ok_or("accepted")?.to_string();
    assert!(other.contains("holds other transitions"), "{other}");
    let empty = "disc_batch = 4\nrollout_steps = 2\nnum_envs = 1\nnum_minibatches = 1".parse()?;
    let agent = registry::make("fm-irl", &empty, RING, 0, &device).err();
    let agent = agent.ok_or("accepted")?.to_string();
    assert!(
        agent.contains("give at most 2, the rows of a rollout"),
        "{agent}"
    );
    Ok(())
}
