//! Steps per second through the bridge: `bridge_throughput [ID] [ENVS] [SECONDS]`.
//!
//! The default ID is the task of `trivial_task.py` beside this file, which costs next to nothing by itself.

#[cfg(unix)]
mod bridged {
    use std::time::Instant;

    use advect_envs::bridge::{BridgeConfig, Pool};
    use advect_envs::{EnvError, VecEnv};

    fn argument(index: usize, default: &str) -> String {
        let given = std::env::args().nth(index);
        given.unwrap_or_else(|| default.to_owned())
    }

    /// Environment steps per second over about `seconds`, resets included.
    fn measure(envs: &mut VecEnv, seconds: f64) -> Result<f64, EnvError> {
        let mut out = envs.buffers();
        envs.reset(&mut out)?;
        let actions = vec![0.0; envs.len() * envs.spec().act_dim];
        let start = Instant::now();
        let mut steps = 0;
        while start.elapsed().as_secs_f64() < seconds {
            for _ in 0..100 {
                envs.step(&actions, &mut out)?;
            }
            steps += 100 * envs.len();
        }
        Ok(steps as f64 / start.elapsed().as_secs_f64())
    }

    /// Measures one environment, then all in a process each, in two processes, and in one.
    pub fn run() -> Result<(), EnvError> {
        let id = argument(1, "trivial_task:Trivial-v0");
        let count: usize = argument(2, "8").parse().unwrap_or(8);
        let seconds: f64 = argument(3, "2").parse().unwrap_or(2.0);
        for (envs, per_process) in [
            (1, 1),
            (count, 1),
            (count, count.div_ceil(2)),
            (count, count),
        ] {
            let pool = Pool::new(BridgeConfig::gym(&id, None), per_process);
            let mut vector = VecEnv::new(|_| Ok(Box::new(pool.make()?)), envs, 1, 0)?;
            let rate = measure(&mut vector, seconds)?;
            let processes = pool.bridges().len();
            println!("{id}: {envs} environments, {processes} processes: {rate:.0} steps/s");
        }
        Ok(())
    }
}

#[cfg(unix)]
fn main() -> Result<(), advect_envs::EnvError> {
    bridged::run()
}

#[cfg(not(unix))]
fn main() {
    println!("the bridge needs a Unix");
}
