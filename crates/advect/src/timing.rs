//! Timing of an agent's update on synthetic data.
//!
//! Agents that delay their policy do more work on some updates than on others, so a median over single updates
//! would report one kind only. Times are therefore taken over blocks of updates (two by default) and divided by the
//! block's length: every figure is seconds per update, averaged over the delay's cycle.

use advect_kernels::scalars::ScalarLog;
use advect_rl::graphs::{Graphs, Source};
use advect_rl::{Agent, Batch, Demonstrations, LoopSettings};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};
use serde::Serialize;
use std::time::Instant;

/// How many different minibatches the updates cycle through.
const BATCHES: usize = 8;
/// Updates before graphs are timed: some of each kind.
const UPDATES_TO_RECORD: u32 = 16;
/// Scalars that an update may log.
const LOG_ROOM: usize = 64;
/// Share of synthetic transitions that terminate.
const TERMINATED: f32 = 0.01;

/// What to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TimingPlan {
    /// Width of the observations.
    pub obs_dim: usize,
    /// Width of the actions.
    pub act_dim: usize,
    /// Updates that are timed together.
    pub block: u32,
    /// Blocks before the timed ones.
    pub warmup_blocks: u32,
    /// Timed blocks.
    pub blocks: u32,
    /// Seed of the data.
    pub seed: u64,
}

/// Seconds per update.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpdateTiming {
    /// Median over the blocks.
    pub median_seconds: f64,
    /// Mean over all timed updates.
    pub mean_seconds: f64,
    /// The fastest block.
    pub min_seconds: f64,
    /// The slowest block.
    pub max_seconds: f64,
    /// Updates that were timed.
    pub updates: u64,
}

/// Runs the warm-up and the timed blocks of `plan` on `agent`.
///
/// # Errors
/// What an update or the device reports.
pub fn time_updates(
    agent: &mut dyn Agent,
    plan: &TimingPlan,
    device: &Device,
) -> Result<UpdateTiming> {
    let batches = synthetic_batches(&agent.loop_settings(), plan, device)?;
    let mut next = batches.iter().cycle();
    time_blocks(plan, device, || {
        let batch = next.next().into_iter();
        batch
            .map(|batch| agent.update(batch))
            .try_for_each(|m| m.map(drop))
    })
}

/// The same with updates as CUDA graphs, after as many more as they need to be recorded; nothing for another device, and for an agent
/// whose updates do not repeat.
///
/// # Errors
/// As [`time_updates`].
pub fn time_graphs(
    agent: &mut dyn Agent,
    plan: &TimingPlan,
    device: &Device,
) -> Result<Option<UpdateTiming>> {
    let Some(mut graphs) = Graphs::new(device)? else {
        return Ok(None);
    };
    let mut source = OneBatch {
        batch: synthetic_batches(&agent.loop_settings(), plan, device)?.swap_remove(0),
        stream: Stream::new(plan.seed, "advect/timing/unused"),
    };
    let mut log = ScalarLog::new(device)?;
    let mut update = || -> Result<bool> {
        let updated = graphs.update(agent, &mut source, &mut log)?;
        if log.room() < LOG_ROOM {
            log.take()?;
        }
        Ok(updated.is_some())
    };
    for _ in 0..UPDATES_TO_RECORD {
        if !update()? {
            return Ok(None);
        }
    }
    time_blocks(plan, device, || update().map(drop)).map(Some)
}

/// A minibatch that stays where it is.
struct OneBatch {
    batch: Batch,
    stream: Stream,
}

impl Source for OneBatch {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn sample(&mut self) -> Result<Batch> {
        Ok(self.batch.clone())
    }
}

fn time_blocks(
    plan: &TimingPlan,
    device: &Device,
    mut update: impl FnMut() -> Result<()>,
) -> Result<UpdateTiming> {
    let mut block = || -> Result<f64> {
        let start = Instant::now();
        (0..plan.block).try_for_each(|_| update())?;
        device.synchronize()?;
        Ok(start.elapsed().as_secs_f64() / f64::from(plan.block))
    };
    for _ in 0..plan.warmup_blocks {
        block()?;
    }
    let seconds = (0..plan.blocks)
        .map(|_| block())
        .collect::<Result<Vec<f64>>>()?;
    Ok(summarise(seconds, plan.block))
}

fn summarise(mut seconds: Vec<f64>, block: u32) -> UpdateTiming {
    seconds.sort_by(f64::total_cmp);
    let n = seconds.len();
    UpdateTiming {
        median_seconds: 0.5 * (seconds[(n - 1) / 2] + seconds[n / 2]),
        mean_seconds: seconds.iter().sum::<f64>() / n as f64,
        min_seconds: seconds[0],
        max_seconds: seconds[n - 1],
        updates: n as u64 * u64::from(block),
    }
}

/// Minibatches or rollouts of normal observations and rewards, uniform actions, few terminations and no truncation.
fn synthetic_batches(
    settings: &LoopSettings,
    plan: &TimingPlan,
    device: &Device,
) -> Result<Vec<Batch>> {
    let root = Stream::new(plan.seed, "advect/timing");
    (0..BATCHES)
        .map(|i| synthetic_batch(&mut root.fork(&i.to_string()), settings, plan, device))
        .collect()
}

/// As many transitions of an expert as a batch of the agent has: normal observations and uniform actions.
pub fn synthetic_demonstrations(settings: &LoopSettings, plan: &TimingPlan) -> Demonstrations {
    let mut stream = Stream::new(plan.seed, "advect/timing/demonstrations");
    let rows = settings.batch_rows();
    let (mut obs, mut act) = (
        vec![0.0; rows * plan.obs_dim],
        vec![0.0; rows * plan.act_dim],
    );
    stream.fill_normal(&mut obs);
    stream.fill_uniform_range(-1.0, 1.0, &mut act);
    Demonstrations::of_rows(obs, plan.obs_dim, act, plan.act_dim)
}

fn synthetic_batch(
    stream: &mut Stream,
    settings: &LoopSettings,
    plan: &TimingPlan,
    device: &Device,
) -> Result<Batch> {
    let b = settings.batch_rows();
    let mut normal = |shape: &[usize]| {
        let mut values = vec![0.0; shape.iter().product()];
        stream.fill_normal(&mut values);
        Tensor::from_vec(values, shape, device)
    };
    let obs = normal(&[b, plan.obs_dim])?;
    let next_obs = normal(&[b, plan.obs_dim])?;
    let reward = normal(&[b])?;
    let mut act = vec![0.0; b * plan.act_dim];
    stream.fill_uniform_range(-1.0, 1.0, &mut act);
    let mut draw = vec![0.0; b];
    stream.fill_uniform(&mut draw);
    let terminated: Vec<f32> = draw
        .iter()
        .map(|&u| if u < TERMINATED { 1.0 } else { 0.0 })
        .collect();
    let act = Tensor::from_vec(act, (b, plan.act_dim), device)?;
    let terminated = Tensor::from_vec(terminated, b, device)?;
    Ok(Batch {
        obs,
        act,
        reward,
        next_obs,
        truncated: terminated.zeros_like()?,
        terminated,
        numbers: (0..b as u64).collect(),
        num_envs: settings.batch_envs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_orders_its_figures() {
        let timing = summarise(vec![0.4, 0.1, 0.2, 0.3], 2);
        assert_eq!(timing.updates, 8);
        assert!((timing.median_seconds - 0.25).abs() < 1e-12);
        assert!((timing.mean_seconds - 0.25).abs() < 1e-12);
        assert_eq!((timing.min_seconds, timing.max_seconds), (0.1, 0.4));
    }

    #[test]
    fn synthetic_data_is_reproducible_and_shaped() {
        let plan = TimingPlan {
            obs_dim: 3,
            act_dim: 2,
            block: 2,
            warmup_blocks: 0,
            blocks: 1,
            seed: 7,
        };
        let settings = LoopSettings {
            num_envs: 1,
            clip_actions: false,
            data: advect_rl::Data::Rollout { steps: 5, keep: 1 },
        };
        let [a, b] = [(), ()].map(|()| synthetic_batches(&settings, &plan, &Device::Cpu).unwrap());
        assert_eq!(a.len(), BATCHES);
        assert_eq!(
            (a[0].obs.dims(), a[0].act.dims()),
            (&[5, 3][..], &[5, 2][..])
        );
        let values = |batch: &Batch| batch.obs.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&a[0]), values(&b[0]));
        assert_ne!(values(&a[0]), values(&a[1]));
    }
}
