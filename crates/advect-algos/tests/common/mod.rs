//! Batches and small configurations.
#![allow(dead_code, reason = "every test binary takes its own part")]

use std::error::Error;

use advect_algos::flame::{self, FlameAgent, FlameConfig, Variant};
use advect_algos::noisy_best_of::NoisyBestOfConfig;
use advect_algos::{AlgoError, Dims, registry};
use advect_kernels::random;
use advect_rl::{Agent, Batch, Demonstrations, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};

pub const DIMS: Dims = Dims { obs: 5, act: 2 };

pub fn small(variant: Variant) -> FlameConfig {
    let defaults = FlameConfig::of(variant);
    FlameConfig {
        shared: NoisyBestOfConfig {
            hidden: vec![32, 32],
            best_of: 4,
            ..defaults.shared
        },
        num_proposals: 6,
        n_gen: if variant == Variant::M { 1 } else { 3 },
        ..defaults
    }
}

pub fn agent(
    variant: Variant,
    config: FlameConfig,
    seed: u64,
) -> std::result::Result<FlameAgent, AlgoError> {
    flame::agent(variant, config, DIMS, seed, &Device::Cpu)
}

/// Random transitions, the first of a replay, in time order of two environments; the same stream gives the same batches.
pub fn batch(stream: &mut Stream, rows: usize) -> Result<Batch> {
    let device = Device::Cpu;
    let mut normal = |width: usize| random::normal(stream, (rows, width), &device);
    let (obs, next_obs) = (normal(DIMS.obs)?, normal(DIMS.obs)?);
    let (act, reward) = (normal(DIMS.act)?.tanh()?, normal(1)?.squeeze(1)?);
    let terminated = reward.gt(1.0)?.to_dtype(DType::F32)?;
    let truncated = reward.lt(-1.0)?.to_dtype(DType::F32)?;
    Ok(Batch {
        obs,
        act,
        reward,
        next_obs,
        terminated,
        numbers: (0..rows as u64).collect(),
        truncated,
        num_envs: 2,
    })
}

pub fn state(agent: &dyn Agent) -> std::result::Result<StateDict, StateError> {
    let mut state = StateDict::new();
    agent.save(&mut state)?;
    Ok(state)
}

pub fn max_abs(x: &Tensor) -> Result<f32> {
    x.abs()?.flatten_all()?.max(0)?.to_scalar()
}

/// Settings with which an update of this algorithm takes milliseconds: `small/NAME.toml`.
pub fn small_settings(name: &str) -> std::result::Result<toml::Table, Box<dyn Error>> {
    let path = format!("{}/tests/small/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    Ok(text.parse()?)
}

/// A small agent with 20 random demonstrations.
pub fn small_agent_on(
    name: &str,
    seed: u64,
    device: &Device,
) -> std::result::Result<Box<dyn Agent>, Box<dyn Error>> {
    let mut agent = registry::make(name, &small_settings(name)?, DIMS, seed, device)?;
    let (mut obs, mut act) = (vec![0.0; 20 * DIMS.obs], vec![0.0; 20 * DIMS.act]);
    let mut stream = Stream::new(2, "demonstrations");
    stream.fill_normal(&mut obs);
    stream.fill_uniform_range(-1.0, 1.0, &mut act);
    agent.demonstrate(Demonstrations::of_rows(obs, DIMS.obs, act, DIMS.act))?;
    Ok(agent)
}
