//! FM-IRL whose student learns by soft actor-critic.

use std::error::Error;

use advect_algos::fm_irl::replayed::agent;
use advect_algos::fm_irl::{FlowTeacher, FmIrlSacConfig, TeacherConfig};
use advect_algos::imitation::{ImitationConfig, ReplayedAgent, ReplayedConfig};
use advect_algos::off_policy::OffPolicyConfig;
use advect_algos::sac::SacConfig;
use advect_kernels::random;
use advect_rl::{ActMode, Agent, Batch};
use advect_rng::Stream;
use candle_core::{DType, Device, Tensor};

use super::TestResult;
use super::ring::RING;
use super::rollouts::halves;

const ROWS: usize = 64;

fn config() -> FmIrlSacConfig {
    FmIrlSacConfig {
        imitation: ImitationConfig {
            disc_batch: 32,
            ..ImitationConfig::default()
        },
        student: SacConfig {
            off_policy: OffPolicyConfig {
                batch_size: ROWS,
                ..OffPolicyConfig::default()
            },
            hidden: vec![32, 32],
            actor_lr: 3e-3,
            critic_lr: 3e-3,
            alpha_lr: 3e-3,
            init_alpha: 0.1,
            ..SacConfig::default()
        },
        replayed: ReplayedConfig {
            disc_every: 2,
            pool_every: 20,
            ..ReplayedConfig::default()
        },
        teacher: TeacherConfig {
            width: 64,
            n_blocks: 2,
            time_dim: 16,
            pull_batch: 64,
            pool: 256,
            n_steps: 10,
            reward_draws: 2,
            ..TeacherConfig::default()
        },
    }
}

/// Updates on one-step episodes whose states are normal; the environment pays nothing.
fn imitate(
    config: FmIrlSacConfig,
    updates: usize,
) -> Result<ReplayedAgent<FlowTeacher>, Box<dyn Error>> {
    let device = Device::Cpu;
    let mut agent = agent(config, RING, 0, &device)?;
    agent.demonstrate(halves(400))?;
    let mut stream = Stream::new(9, "states");
    for _ in 0..updates {
        let obs = random::normal(&mut stream, (ROWS, 1), &device)?;
        agent.observe(&obs)?;
        let zeros = Tensor::zeros(ROWS, DType::F32, &device)?;
        let act = agent.act(&obs, ActMode::Explore)?;
        agent.update(&Batch {
            act,
            next_obs: obs.clone(),
            obs,
            reward: zeros.clone(),
            terminated: zeros.ones_like()?,
            truncated: zeros,
            numbers: vec![0; ROWS],
            num_envs: ROWS,
        })?;
    }
    Ok(agent)
}

/// Mean size of the error of the action without noise.
fn error(mut agent: ReplayedAgent<FlowTeacher>) -> Result<f32, Box<dyn Error>> {
    let obs = Tensor::new(&[[-1.5f32], [-0.5], [0.5], [1.5]], &Device::Cpu)?;
    let act = agent.act(&obs, ActMode::Evaluate)?;
    Ok((act - (obs * 0.5)?)?.abs()?.mean_all()?.to_scalar()?)
}

#[test]
fn pull_and_reward_each_lead_to_the_expert() -> TestResult {
    let mut pulled = config();
    // a pull that leaves nothing of the rewards
    pulled.teacher.pull_coef = 1e3;
    let mut rewarded = config();
    rewarded.teacher.pull_coef = 0.0;
    for (name, config, updates, bound) in
        [("pull", pulled, 400, 0.15), ("reward", rewarded, 1200, 0.3)]
    {
        let before = error(imitate(config.clone(), 0)?)?;
        let after = error(imitate(config, updates)?)?;
        assert!(
            before > 0.25 && after < bound,
            "{name}: {before} to {after}"
        );
    }
    Ok(())
}

#[test]
fn every_switch_changes_an_update() -> TestResult {
    let hash = |setting: &str| -> Result<u64, Box<dyn Error>> {
        let mut table = toml::Table::try_from(config())?;
        table.extend("pool_every = 3".parse::<toml::Table>()?);
        table.extend(setting.parse::<toml::Table>()?);
        Ok(imitate(advect_rl::config::from_table(&table)?, 4)?.parameter_hash()?)
    };
    let plain = hash("")?;
    for setting in [
        "disc_every = 1",
        "disc_epochs = 2",
        "pool_every = 1",
        "pool = 0",
        "normalize_obs = false",
        "obs_clip = 0.5",
        "pull_coef = 0.0",
        "teacher_warmup = 3",
        "reward = \"gail\"",
        "sampling = \"bf16\"",
    ] {
        assert_ne!(hash(setting)?, plain, "{setting}");
    }
    Ok(())
}
