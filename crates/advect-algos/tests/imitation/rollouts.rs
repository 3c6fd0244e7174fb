//! A loop of one-step episodes whose expert's action is half of its state.

use std::error::Error;

use advect_algos::imitation::{ImitationAgent, ImitationConfig, Method};
use advect_algos::ppo::PpoConfig;
use advect_kernels::random;
use advect_rl::{Agent, Demonstrations};
use advect_rng::Stream;
use candle_core::{Device, Tensor};
use serde::de::DeserializeOwned;

use super::TestResult;
use super::ring::RING;

/// Settings of the loop.
pub fn shorten(imitation: &mut ImitationConfig, student: &mut PpoConfig) {
    imitation.disc_batch = 32;
    (student.num_envs, student.rollout_steps) = (4, 32);
    (student.epochs, student.num_minibatches) = (4, 2);
    student.hidden = vec![32, 32];
    student.lr = 3e-3;
}

/// An expert whose action is half of its state.
pub fn halves(rows: usize) -> Demonstrations {
    let mut obs = vec![0.0; rows];
    Stream::new(5, "expert").fill_normal(&mut obs);
    let act = obs.iter().map(|s| 0.5 * s).collect();
    Demonstrations::of_rows(obs, 1, act, 1)
}

/// Rollouts of one-step episodes in which states are normal and the environment pays nothing.
pub fn imitate<C: Method>(
    config: C,
    rollouts: usize,
) -> Result<ImitationAgent<C::Model>, Box<dyn Error>> {
    let device = Device::Cpu;
    let mut agent = ImitationAgent::new(config, RING, 0, &device)?;
    agent.demonstrate(halves(400))?;
    let mut stream = Stream::new(9, "states");
    for _ in 0..rollouts {
        let rows = 4 * 32;
        let obs = random::normal(&mut stream, (rows, 1), &device)?;
        let mut act = Vec::new();
        for step in 0..32 {
            let seen = obs.narrow(0, 4 * step, 4)?;
            agent.observe(&seen)?;
            act.push(agent.act(&seen, advect_rl::ActMode::Explore)?);
        }
        let zeros = Tensor::zeros(rows, candle_core::DType::F32, &device)?;
        agent.update(&advect_rl::Batch {
            next_obs: obs.clone(),
            obs,
            act: Tensor::cat(&act, 0)?,
            reward: zeros.clone(),
            terminated: zeros.ones_like()?,
            truncated: zeros,
            numbers: (0..rows as u64).collect(),
            num_envs: 4,
        })?;
    }
    Ok(agent)
}

/// Each of these settings leads to other parameters than `config` alone.
pub fn every_changes<C: Method + DeserializeOwned + Default>(
    config: &C,
    settings: &[&str],
) -> TestResult {
    let hash = |setting: &str| -> Result<u64, Box<dyn Error>> {
        let mut table = toml::Table::try_from(config)?;
        table.extend(setting.parse::<toml::Table>()?);
        let config: C = advect_rl::config::from_table(&table)?;
        Ok(imitate(config, 2)?.parameter_hash()?)
    };
    let plain = hash("")?;
    for setting in settings {
        assert_ne!(hash(setting)?, plain, "{setting}");
    }
    Ok(())
}
