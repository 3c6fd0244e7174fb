//! Steps per second of an environment: `throughput [ID] [THREADS] [ENVS] [SECONDS] [ROUNDS]`.

use std::time::Instant;

use advect_envs::{EnvError, VecEnv, make};
use advect_rng::Stream;

fn argument(index: usize, default: &str) -> String {
    std::env::args()
        .nth(index)
        .unwrap_or_else(|| default.to_owned())
}

fn number(index: usize, default: &str) -> f64 {
    argument(index, default).parse().unwrap_or(1.0)
}

/// Environment steps per second over about `seconds`, uniform random actions, resets included.
fn measure(envs: &mut VecEnv, seconds: f64) -> Result<f64, EnvError> {
    let mut out = envs.buffers();
    envs.reset(&mut out)?;
    let spec = envs.spec().clone();
    let mut rng = Stream::new(0, "throughput");
    let mut actions = vec![0.0; envs.len() * spec.act_dim];
    let start = Instant::now();
    let mut steps = 0;
    while start.elapsed().as_secs_f64() < seconds {
        for _ in 0..100 {
            rng.fill_uniform_range(spec.act_low[0], spec.act_high[0], &mut actions);
            envs.step(&actions, &mut out)?;
        }
        steps += 100 * envs.len();
    }
    Ok(steps as f64 / start.elapsed().as_secs_f64())
}

fn main() -> Result<(), EnvError> {
    let id = argument(1, "HalfCheetah-v5");
    let (threads, count) = (number(2, "1") as usize, number(3, "8") as usize);
    let (seconds, rounds) = (number(4, "3"), number(5, "3") as usize);
    let mut envs = VecEnv::new(|_| make(&id), count, threads, 0)?;
    for round in 1..=rounds {
        let rate = measure(&mut envs, seconds)?;
        println!("{id}: {count} environments, {threads} threads, round {round}: {rate:.0} steps/s");
    }
    Ok(())
}
