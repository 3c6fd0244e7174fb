//! Episodes of any environment.

use advect_envs::{Env, VecEnv, make};
use advect_rng::Stream;

/// Everything that `steps` random actions return, with resets.
pub fn rollout(env: &mut dyn Env, rng: &mut Stream, steps: usize) -> Vec<(Vec<u64>, u64, bool)> {
    let spec = env.spec().clone();
    let (mut obs, mut action) = (vec![0.0; spec.obs_dim], vec![0.0; spec.act_dim]);
    let mut one = || {
        rng.fill_uniform_range(-1.0, 1.0, &mut action);
        let step = env.step(&action, &mut obs).unwrap();
        let bits = obs.iter().map(|o| o.to_bits()).collect();
        if step.is_last() {
            env.reset(rng, &mut obs).unwrap();
        }
        (bits, step.reward.to_bits(), step.is_last())
    };
    (0..steps).map(|_| one()).collect()
}

/// The first observation of an episode.
pub fn reset(env: &mut dyn Env, rng: &mut Stream) -> Vec<f64> {
    let mut obs = vec![0.0; env.spec().obs_dim];
    env.reset(rng, &mut obs).unwrap();
    obs
}

/// A vector on one thread and on three: the same results and states, to the bit.
pub fn threads_change_nothing_in(id: &str) {
    let run = |threads| {
        let mut envs = VecEnv::new(|_| make(id), 3, threads, 5).unwrap();
        let (mut out, mut rng) = (envs.buffers(), Stream::new(6, "actions"));
        let mut actions = vec![0.0; 3 * envs.spec().act_dim];
        envs.reset(&mut out).unwrap();
        for _ in 0..10 {
            rng.fill_uniform_range(-1.0, 1.0, &mut actions);
            envs.step(&actions, &mut out).unwrap();
        }
        (out, envs.save_state())
    };
    assert_eq!(run(1), run(3), "{id}");
}
