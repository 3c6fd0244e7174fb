//! For every id: a vector returns what its environments return one by one, with any number of threads.
#![allow(clippy::unwrap_used, reason = "a failed test")]

mod common;

use advect_envs::{Env, EnvError, StepBuffers, VecEnv, ids, make};
use advect_rng::Stream;

const LEN: usize = 5;
const SEED: u64 = 11;
/// Two whole episodes of at most three steps, and the beginning of another.
const STEPS: usize = 7;
const LIMIT: usize = 3;

fn actions(act_dim: usize) -> Vec<Vec<f32>> {
    let mut rng = Stream::new(SEED, "actions");
    let mut one = || {
        let mut actions = vec![0.0; LEN * act_dim];
        rng.fill_uniform_range(-1.0, 1.0, &mut actions);
        actions
    };
    (0..STEPS).map(|_| one()).collect()
}

/// What the reset and each step returned, up to an error.
type History = Vec<Result<StepBuffers, EnvError>>;

fn vectorised(id: &str, threads: usize) -> Result<History, EnvError> {
    let mut envs = VecEnv::new(|_| make(id), LEN, threads, SEED)?;
    let mut out = envs.buffers();
    let reset = envs.reset(&mut out).map(|()| out.clone());
    let mut history = vec![reset];
    for actions in actions(envs.spec().act_dim) {
        let step = envs.step(&actions, &mut out).map(|()| out.clone());
        let failed = step.is_err();
        history.push(step);
        if failed {
            break;
        }
    }
    Ok(history)
}

/// One environment and its stream.
struct Single {
    env: Box<dyn Env>,
    rng: Stream,
    obs: Vec<f64>,
}

impl Single {
    fn reset(&mut self) {
        self.env.reset(&mut self.rng, &mut self.obs).unwrap();
    }

    fn row(&self) -> Vec<f32> {
        self.obs.iter().map(|x| *x as f32).collect()
    }
}

/// The same written down anew: plain environments, stepped one after the other and reset where their episode ended.
fn serial(id: &str) -> Result<History, EnvError> {
    let streams = Stream::new(SEED, "envs");
    let mut singles = Vec::new();
    for index in 0..LEN {
        let env = make(id)?;
        let (rng, obs) = (
            streams.fork(&index.to_string()),
            vec![0.0; env.spec().obs_dim],
        );
        singles.push(Single { env, rng, obs });
    }
    let (dim, act_dim) = (singles[0].obs.len(), singles[0].env.spec().act_dim);
    let mut out = StepBuffers::new(LEN, dim);
    for (index, single) in singles.iter_mut().enumerate() {
        single.reset();
        let rows = index * dim..(index + 1) * dim;
        out.obs[rows.clone()].copy_from_slice(&single.row());
        out.final_obs[rows].copy_from_slice(&single.row());
        out.success[index] = single.env.is_success();
    }
    let mut history = vec![Ok(out.clone())];
    for (taken, actions) in (1..).zip(actions(act_dim)) {
        for (index, single) in singles.iter_mut().enumerate() {
            let action = &actions[index * act_dim..(index + 1) * act_dim];
            let step = single.env.step(action, &mut single.obs).unwrap();
            if let Some(bad) = single.obs.iter().position(|x| !x.is_finite()) {
                history.push(Err(EnvError::NonFinite {
                    id: id.to_owned(),
                    env: index,
                    what: "observation",
                    index: bad,
                    step: taken,
                }));
                return Ok(history);
            }
            let rows = index * dim..(index + 1) * dim;
            out.final_obs[rows.clone()].copy_from_slice(&single.row());
            out.reward[index] = step.reward as f32;
            out.terminated[index] = step.terminated;
            out.truncated[index] = step.truncated;
            out.success[index] = single.env.is_success();
            if step.is_last() {
                single.reset();
            }
            out.obs[rows].copy_from_slice(&single.row());
        }
        history.push(Ok(out.clone()));
    }
    Ok(history)
}

/// Every bit, the sign of zero too.
fn bits(history: &History) -> Vec<Result<Vec<u32>, EnvError>> {
    let of = |out: &StepBuffers| {
        let floats = out.obs.iter().chain(&out.final_obs).chain(&out.reward);
        let flags = out.terminated.iter().chain(&out.truncated);
        let success = out.success.iter().map(|s| s.map_or(2, u32::from));
        let flags = flags.map(|flag| u32::from(*flag)).chain(success);
        floats.map(|x| x.to_bits()).chain(flags).collect()
    };
    let one = |out: &Result<StepBuffers, EnvError>| out.as_ref().map(of).map_err(Clone::clone);
    history.iter().map(one).collect()
}

fn episode_ends(history: &History) -> usize {
    let ended = |out: &StepBuffers| out.ended().filter(|ended| *ended).count();
    history.iter().flatten().map(ended).sum()
}

#[test]
fn vectors_equal_their_environments_one_by_one() {
    #[cfg(feature = "mujoco")]
    let is_complete = common::robotics_is_here();
    #[cfg(not(feature = "mujoco"))]
    let is_complete = true;
    // an environment kept alive keeps its model: the next id of the same model need not compile it
    let (mut kept, mut skipped) = (None, 0);
    for base in ids() {
        let id = format!("{base}@max_episode_steps={LIMIT}");
        let first = match make(&id) {
            Err(EnvError::MujocoUnavailable { .. }) if !is_complete => {
                skipped += 1;
                continue;
            }
            made => made.unwrap(),
        };
        let wanted = serial(&id).unwrap();
        let has_failed = wanted.iter().any(Result::is_err);
        assert_eq!(has_failed, base == "Probe-NonFinite-v0", "{id}");
        let ends = episode_ends(&wanted);
        assert!(has_failed || ends >= LEN * (STEPS / LIMIT), "{id}: {ends}");
        let wanted = bits(&wanted);
        for threads in 1..=3 {
            let found = bits(&vectorised(&id, threads).unwrap());
            assert_eq!(found.len(), wanted.len(), "{id}, {threads} threads");
            for (step, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                assert!(found == wanted, "{id}, {threads} threads, step {step}");
            }
        }
        kept = Some(first);
    }
    drop(kept);
    println!("{skipped} of {} ids skipped", ids().len());
}
