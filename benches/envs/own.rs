//! Advect's own vector of environments.

use advect::envs::{EnvError, StepBuffers, VecEnv, make};
use advect::rng::Stream;
use std::time::{Duration, Instant};

/// Steps between looks at the clock.
const BLOCK: usize = 64;

/// A vector of environments and its random actions.
pub struct Own {
    envs: VecEnv,
    out: StepBuffers,
    actions: Vec<Vec<f32>>,
}

impl Own {
    /// `count` environments on `threads` threads, begun.
    pub fn new(id: &str, count: usize, threads: usize) -> Result<Self, EnvError> {
        let mut envs = VecEnv::new(|_| make(id), count, threads, 0)?;
        let mut out = envs.buffers();
        envs.reset(&mut out)?;
        let spec = envs.spec();
        let mut rng = Stream::new(0, "bench envs");
        let mut draw = || -> Vec<f32> {
            let bounds = spec.act_low.iter().zip(&spec.act_high);
            let uniform = |(low, high): (&f32, &f32)| low + rng.uniform_f32() * (high - low);
            bounds
                .cycle()
                .take(count * spec.act_dim)
                .map(uniform)
                .collect()
        };
        let actions = (0..BLOCK).map(|_| draw()).collect();
        Ok(Self { envs, out, actions })
    }

    /// Environment steps per second over about this time; resets included.
    pub fn rate(&mut self, time: Duration) -> Result<f64, EnvError> {
        let start = Instant::now();
        let mut steps = 0;
        while start.elapsed() < time {
            for actions in &self.actions {
                self.envs.step(actions, &mut self.out)?;
            }
            steps += BLOCK * self.envs.len();
        }
        Ok(steps as f64 / start.elapsed().as_secs_f64())
    }
}
