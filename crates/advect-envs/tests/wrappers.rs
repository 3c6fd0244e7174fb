//! Wrappers: chunks, repeats and stacks keep episode ends, sums, observations and saved states.
#![allow(clippy::unwrap_used, reason = "a failed test")]

use std::sync::{Arc, Mutex};

use advect_envs::wrappers::{ActionChunk, ActionRepeat, FrameStack};
use advect_envs::{Env, EnvError, EnvSpec, GoalLayout, Step, TimeLimit};
use advect_rng::Stream;

/// Adds its two actions to two sums; the reward is the first action, and a sum of 10 terminates.
struct Sums {
    spec: EnvSpec,
    sums: [f64; 2],
}

fn sums(limit: u32) -> TimeLimit<Sums> {
    let goal = GoalLayout {
        achieved: 0..1,
        desired: 1..2,
    };
    let spec = EnvSpec {
        goal: Some(goal),
        ..EnvSpec::symmetric("Sums-v0", 2, 2, 5.0).with_time_limit(limit)
    };
    TimeLimit::new(Sums {
        spec,
        sums: [0.0; 2],
    })
}

impl Env for Sums {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, _rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.sums = [1.0, 2.0];
        obs.copy_from_slice(&self.sums);
        Ok(())
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        for (sum, action) in self.sums.iter_mut().zip(action) {
            *sum += f64::from(*action);
        }
        obs.copy_from_slice(&self.sums);
        Ok(Step::ending(f64::from(action[0]), self.sums[0] >= 10.0))
    }

    fn save_state(&self) -> Vec<u8> {
        self.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        for (sum, bytes) in self.sums.iter_mut().zip(state.chunks_exact(8)) {
            *sum = f64::from_le_bytes(bytes.try_into().unwrap());
        }
        Ok(())
    }
}

fn started<E: Env>(env: &mut E) -> Vec<f64> {
    let mut obs = vec![f64::NAN; env.spec().obs_dim];
    env.reset(&mut Stream::new(0, "wrappers"), &mut obs)
        .unwrap();
    obs
}

fn step<E: Env>(env: &mut E, action: &[f32]) -> (Vec<f64>, Step) {
    let mut obs = vec![f64::NAN; env.spec().obs_dim];
    let step = env.step(action, &mut obs).unwrap();
    (obs, step)
}

#[test]
fn a_chunk_takes_its_actions_in_order_and_adds_their_rewards() {
    let mut env = ActionChunk::new(sums(7), 3).unwrap();
    let spec = env.spec();
    assert_eq!((spec.act_dim, spec.act_low.len(), spec.obs_dim), (6, 6, 2));
    assert_eq!(spec.max_episode_steps, Some(3));
    started(&mut env);
    let (obs, taken) = step(&mut env, &[1.0, 0.5, 2.0, 0.5, 3.0, 0.5]);
    assert_eq!(obs, [7.0, 3.5]);
    assert_eq!(taken, Step::running(6.0));
}

#[test]
fn a_chunk_stops_at_the_end_of_the_episode() {
    let mut env = ActionChunk::new(sums(100), 3).unwrap();
    started(&mut env);
    let (obs, taken) = step(&mut env, &[4.0, 0.0, 5.0, 0.0, 1.0, 9.0]);
    assert_eq!(obs, [10.0, 2.0], "the third action came after the end");
    assert_eq!(taken, Step::ending(9.0, true));
    let mut obs = [0.0; 2];
    let after = env.step(&[0.0; 6], &mut obs);
    assert!(matches!(after, Err(EnvError::NeedsReset { .. })));
}

#[test]
fn a_time_limit_inside_a_chunk_truncates() {
    let mut env = ActionChunk::new(sums(2), 3).unwrap();
    started(&mut env);
    let (obs, taken) = step(&mut env, &[1.0; 6]);
    assert_eq!(obs, [3.0, 4.0]);
    assert!(taken.truncated && !taken.terminated);
    assert_eq!(taken.reward, 2.0);
}

#[test]
fn a_repeat_is_a_chunk_of_equal_actions() {
    let (mut repeat, mut chunk) = (
        ActionRepeat::new(sums(9), 4).unwrap(),
        ActionChunk::new(sums(9), 4).unwrap(),
    );
    assert_eq!(repeat.spec().max_episode_steps, Some(3));
    assert_eq!(started(&mut repeat), started(&mut chunk));
    let action = [0.75, -1.0];
    for _ in 0..3 {
        assert_eq!(
            step(&mut repeat, &action),
            step(&mut chunk, &action.repeat(4))
        );
    }
}

#[test]
fn a_stack_starts_with_the_first_observation_and_moves_on() {
    let mut env = FrameStack::new(sums(100), 3).unwrap();
    assert_eq!(env.spec().obs_dim, 6);
    let goal = env.spec().goal.clone().unwrap();
    assert_eq!((goal.achieved, goal.desired), (4..5, 5..6));
    assert_eq!(started(&mut env), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    assert_eq!(
        step(&mut env, &[1.0, 0.0]).0,
        [1.0, 2.0, 1.0, 2.0, 2.0, 2.0]
    );
    assert_eq!(
        step(&mut env, &[1.0, 1.0]).0,
        [1.0, 2.0, 2.0, 2.0, 3.0, 3.0]
    );
    assert_eq!(started(&mut env), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
}

#[test]
fn wrapped_environments_continue_to_the_same_bits() {
    let build = || {
        let pendulum = advect_envs::make("Pendulum-v1").unwrap();
        FrameStack::new(ActionChunk::new(pendulum, 2).unwrap(), 3).unwrap()
    };
    let (mut first, mut second) = (build(), build());
    started(&mut first);
    let action = |i: u32| [(f64::from(i)).sin() as f32, (f64::from(i)).cos() as f32];
    for i in 0..7 {
        step(&mut first, &action(i));
    }
    started(&mut second);
    second.load_state(&first.save_state()).unwrap();
    for i in 7..40 {
        assert_eq!(step(&mut first, &action(i)), step(&mut second, &action(i)));
    }
    let error = second.load_state(&[1, 2, 3]).unwrap_err();
    assert!(matches!(error, EnvError::BadState { .. }), "{error}");
}

/// Remembers what was announced and what was taken.
struct Listening {
    spec: EnvSpec,
    announced: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl Env for Listening {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, _rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        obs.fill(0.0);
        Ok(())
    }

    fn announce(&mut self, action: &[f32]) {
        self.announced.lock().unwrap().push(action.to_vec());
    }

    fn step(&mut self, _action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        obs.fill(0.0);
        Ok(Step::running(0.0))
    }

    fn save_state(&self) -> Vec<u8> {
        Vec::new()
    }

    fn load_state(&mut self, _state: &[u8]) -> Result<(), EnvError> {
        Ok(())
    }
}

#[test]
fn the_first_action_of_a_chunk_is_announced() {
    let announced = Arc::new(Mutex::new(Vec::new()));
    let env = Listening {
        spec: EnvSpec::symmetric("Listening-v0", 1, 2, 1.0),
        announced: Arc::clone(&announced),
    };
    let mut env = ActionChunk::new(ActionRepeat::new(env, 2).unwrap(), 3).unwrap();
    started(&mut env);
    let chunk = [0.5, -0.5, 0.25, 0.25, 1.0, 1.0];
    env.announce(&chunk);
    // `step` would refuse these before the environment sees them
    env.announce(&chunk[..4]);
    env.announce(&[]);
    step(&mut env, &chunk);
    assert_eq!(*announced.lock().unwrap(), [vec![0.5, -0.5]]);
}

#[test]
fn settings_behind_an_id_wrap_in_their_order() {
    let id = "Pendulum-v1@action_chunk=3,frame_stack=2,action_repeat=4,max_episode_steps=100";
    let (mut named, mut by_hand) = (advect_envs::make(id).unwrap(), {
        let plain = advect_envs::make("Pendulum-v1@max_episode_steps=100").unwrap();
        let stacked = FrameStack::new(ActionRepeat::new(plain, 4).unwrap(), 2).unwrap();
        ActionChunk::new(stacked, 3).unwrap()
    });
    let spec = named.spec();
    assert_eq!(
        (
            &*spec.id,
            spec.obs_dim,
            spec.act_dim,
            spec.max_episode_steps
        ),
        (id, 6, 3, Some(9))
    );
    assert_eq!(started(&mut named), started(&mut by_hand));
    for i in 0..9_u8 {
        let action = [f32::from(i) / 4.0, -1.0, 0.5];
        let taken = step(&mut named, &action);
        assert_eq!(taken, step(&mut by_hand, &action));
        assert_eq!(taken.1.truncated, i == 8, "100 of at most 108 steps");
    }
    // what changes nothing is no wrapper: saved states stay those of the plain environment
    let plain = advect_envs::make("Pendulum-v1@action_repeat=1,frame_stack=1,action_chunk=1");
    let wanted = advect_envs::make("Pendulum-v1").unwrap().save_state();
    assert_eq!(plain.unwrap().save_state(), wanted);
    for setting in [
        "action_repeat=0",
        "frame_stack=0",
        "action_chunk=0",
        "pixels=-1",
        "pixel=84",
    ] {
        let error = advect_envs::make(&format!("Pendulum-v1@{setting}")).err();
        assert!(
            matches!(error, Some(EnvError::BadSetting { .. })),
            "{setting}"
        );
    }
}

#[test]
fn experts_are_not_asked_about_what_they_cannot_read() {
    use advect_envs::experts::expert;
    let id = "Maze2dUMaze-v0";
    assert!(
        expert(&format!("{id}@noise=1.5,action_repeat=2"))
            .unwrap()
            .is_some()
    );
    for setting in ["pixels=84", "frame_stack=3", "action_chunk=2"] {
        let error = expert(&format!("{id}@{setting}")).err().unwrap();
        let name = setting.split('=').next().unwrap();
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

#[test]
fn zero_is_refused_and_lengths_are_checked() {
    let errors = [
        ActionChunk::new(sums(9), 0).err(),
        ActionRepeat::new(sums(9), 0).err(),
        FrameStack::new(sums(9), 0).err(),
    ];
    for error in errors {
        let message = error.unwrap().to_string();
        assert!(
            message.contains("Sums-v0") && message.contains("at least 1"),
            "{message}"
        );
    }
    let mut env = ActionChunk::new(sums(9), 2).unwrap();
    started(&mut env);
    let short = env.step(&[0.0; 3], &mut [0.0; 2]);
    assert!(matches!(short, Err(EnvError::BadLength { wanted: 4, .. })));
}
