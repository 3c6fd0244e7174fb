//! Frames as observations: layout, composition, vectors with threads, saved states. MuJoCo's without EGL are skipped;
//! `ADVECT_REQUIRE_EGL=1` makes that a failure.
#![allow(clippy::unwrap_used, reason = "a failed test")]

mod common;

use advect_envs::wrappers::{FrameStack, PixelObs};
use advect_envs::{Env, EnvError, StepBuffers, VecEnv, make};
use advect_rng::Stream;

fn actions(rng: &mut Stream, len: usize) -> Vec<f32> {
    let mut actions = vec![0.0; len];
    rng.fill_uniform_range(-1.0, 1.0, &mut actions);
    actions
}

/// The frame of `env`, channel first.
fn frame(env: &dyn Env, height: usize, width: usize) -> Vec<f64> {
    let image = env.render(width, height).unwrap();
    let mut planes = Vec::new();
    for channel in 0..3 {
        for row in 0..height {
            for column in 0..width {
                planes.push(f64::from(image.pixel(column, row).unwrap()[channel]));
            }
        }
    }
    planes
}

/// Frames of `id`, or nothing where MuJoCo or EGL is missing.
fn is_drawn(id: &str) -> bool {
    let required = std::env::var_os("ADVECT_REQUIRE_EGL").is_some_and(|value| value == "1");
    let drawn = make(id).and_then(|env| env.render(4, 4));
    match drawn {
        Ok(_) => true,
        Err(error @ (EnvError::EglUnavailable { .. } | EnvError::MujocoUnavailable { .. }))
            if !required =>
        {
            assert!(
                !common::mujoco_is_required() || matches!(error, EnvError::EglUnavailable { .. })
            );
            println!("skipped: {error}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn observations_are_frames_channel_first_and_the_rest_is_unchanged() {
    let mut pixels = PixelObs::new(make("Maze2dMedium-v0").unwrap(), 20, 24).unwrap();
    let mut plain = make("Maze2dMedium-v0").unwrap();
    assert_eq!(
        (pixels.spec().obs_dim, &pixels.spec().goal),
        (3 * 20 * 24, &None)
    );
    let (mut obs, mut state) = (vec![-1.0; 3 * 20 * 24], [0.0; 6]);
    let [mut rng, mut same] = [(); 2].map(|()| Stream::new(1, "pixels"));
    pixels.reset(&mut rng, &mut obs).unwrap();
    plain.reset(&mut same, &mut state).unwrap();
    assert_eq!(obs, frame(&*plain, 20, 24));
    let first = obs.clone();
    for _ in 0..30 {
        let action = actions(&mut rng, 2);
        let step = pixels.step(&action, &mut obs).unwrap();
        assert_eq!(step, plain.step(&action, &mut state).unwrap());
        assert_eq!(obs, frame(&*plain, 20, 24));
        assert_eq!(pixels.is_success(), plain.is_success());
    }
    assert_ne!(obs, first);
    assert!(
        obs.iter()
            .all(|x| (0.0..=255.0).contains(x) && x.fract() == 0.0)
    );
    assert!(obs.contains(&255.0));
}

#[test]
fn sizes_and_tasks_without_frames_are_refused() {
    let pendulum = || make("Pendulum-v1").unwrap();
    for (height, width) in [(0, 8), (8, 0), (8, 5000)] {
        let error = PixelObs::new(pendulum(), height, width).err().unwrap();
        assert!(matches!(error, EnvError::BadFrame { .. }), "{error}");
    }
    let mut pixels = PixelObs::new(pendulum(), 8, 8).unwrap();
    let error = pixels.reset(&mut Stream::new(0, "pixels"), &mut [0.0; 3]);
    assert!(matches!(
        error,
        Err(EnvError::BadLength { wanted: 192, .. })
    ));
    let mut envs = VecEnv::new(|_| make("Probe-Policy-v0@pixels=8"), 2, 2, 0).unwrap();
    let error = envs.reset(&mut envs.buffers()).unwrap_err();
    assert!(matches!(error, EnvError::NotRendered { .. }), "{error}");
}

#[test]
fn the_id_of_the_guide_repeats_draws_stacks_and_chunks() {
    let id = "Pendulum-v1@pixels=10,action_repeat=2,frame_stack=3,action_chunk=4";
    let mut env = make(id).unwrap();
    assert_eq!((env.spec().obs_dim, env.spec().act_dim), (3 * 300, 4));
    assert_eq!(env.spec().max_episode_steps, Some(25));
    let mut plain = make("Pendulum-v1").unwrap();
    let [mut rng, mut same] = [(); 2].map(|()| Stream::new(2, "pixels"));
    let (mut obs, mut state) = (vec![0.0; 900], [0.0; 3]);
    env.reset(&mut rng, &mut obs).unwrap();
    plain.reset(&mut same, &mut state).unwrap();
    assert_eq!(obs, frame(&*plain, 10, 10).repeat(3));
    let chunk = actions(&mut rng, 4);
    let step = env.step(&chunk, &mut obs).unwrap();
    let (mut frames, mut reward) = (Vec::new(), 0.0);
    for action in &chunk {
        let mut repeated = 0.0;
        for _ in 0..2 {
            repeated += plain.step(&[*action], &mut state).unwrap().reward;
        }
        reward += repeated;
        frames.push(frame(&*plain, 10, 10));
    }
    assert_eq!(
        obs,
        frames[1..].concat(),
        "the last three frames, oldest first"
    );
    assert_eq!(step.reward, reward);
}

/// Everything that a vector returns, saved and loaded into another one on the way.
fn history(id: &str, threads: usize, interrupted_after: usize) -> Vec<StepBuffers> {
    let build = || VecEnv::new(|_| make(id), 4, threads, 5).unwrap();
    let (mut envs, mut rng) = (build(), Stream::new(5, "pixels"));
    let mut out = envs.buffers();
    envs.reset(&mut out).unwrap();
    let mut all = vec![out.clone()];
    for step in 0..8 {
        if step == interrupted_after {
            let saved = envs.save_state();
            envs = build();
            envs.load_state(&saved).unwrap();
            assert_eq!(envs.obs(), out.obs);
        }
        let actions = actions(&mut rng, 4 * envs.spec().act_dim);
        envs.step(&actions, &mut out).unwrap();
        all.push(out.clone());
    }
    all
}

#[test]
fn vectors_of_frames_depend_on_neither_threads_nor_interruptions() {
    let mut ids = vec!["CartPoleSwingUp-v0", "Maze2dUMaze-v0"];
    ids.extend(
        ["HalfCheetah-v5", "PointMaze_UMaze-v3"]
            .iter()
            .filter(|id| is_drawn(id)),
    );
    for id in ids {
        let id = format!("{id}@pixels=16,action_repeat=2,frame_stack=2,max_episode_steps=6");
        let wanted = history(&id, 1, 8);
        let ends: usize = wanted
            .iter()
            .map(|out| out.ended().filter(|e| *e).count())
            .sum();
        assert!(ends >= 8, "{id}: {ends}");
        let mut frames: Vec<&[f32]> = wanted.iter().map(|out| &out.final_obs[..1536]).collect();
        frames.dedup();
        assert!(frames.len() > 4, "{id}: {} frames differ", frames.len());
        for (threads, interrupted_after) in [(1, 3), (2, 4), (3, 8), (4, 2)] {
            let found = history(&id, threads, interrupted_after);
            assert!(
                found == wanted,
                "{id}, {threads} threads, {interrupted_after}"
            );
        }
    }
}

#[test]
fn a_stack_of_frames_is_saved_with_its_past() {
    let build = || {
        let pixels = PixelObs::new(make("Reacher2d-v0").unwrap(), 12, 12).unwrap();
        FrameStack::new(pixels, 3).unwrap()
    };
    let (mut env, mut rng) = (build(), Stream::new(6, "pixels"));
    let mut obs = vec![0.0; env.spec().obs_dim];
    env.reset(&mut rng, &mut obs).unwrap();
    for _ in 0..5 {
        env.step(&actions(&mut rng, 2), &mut obs).unwrap();
    }
    let mut copy = build();
    copy.load_state(&env.save_state()).unwrap();
    let mut found = obs.clone();
    for _ in 0..5 {
        let action = actions(&mut rng, 2);
        env.step(&action, &mut obs).unwrap();
        copy.step(&action, &mut found).unwrap();
        assert_eq!(found, obs);
    }
}

#[test]
fn the_spec_tells_the_frames_and_the_state_stays_at_hand() {
    let mut rng = Stream::new(0, "first states");
    let mut env = make("MultiGoal-v0@pixels=20,frame_stack=2,action_chunk=3").unwrap();
    let image = env.spec().image.unwrap();
    assert_eq!((image.channels, image.height, image.width), (6, 20, 20));
    assert_eq!(image.len(), env.spec().obs_dim);
    let mut obs = vec![0.0; env.spec().obs_dim];
    env.reset(&mut rng, &mut obs).unwrap();
    let mut state = make("MultiGoal-v0").unwrap();
    let mut own = [0.0; 2];
    state
        .reset(&mut Stream::new(0, "first states"), &mut own)
        .unwrap();
    assert_eq!(env.state_obs(), Some(&own[..]));
    env.step(&[0.5; 6], &mut obs).unwrap();
    for _ in 0..3 {
        state.step(&[0.5; 2], &mut own).unwrap();
    }
    assert_eq!(env.state_obs(), Some(&own[..]));
    assert_eq!((state.state_obs(), state.spec().image), (None, None));
}

#[test]
fn an_expert_acts_where_frames_are_shown_and_not_where_its_state_is_changed() {
    use advect_envs::experts::expert_of_state;
    for id in [
        "MultiGoal-v0",
        "MultiGoal-v0@pixels=20",
        "MultiGoal-v0@pixels=20,frame_stack=2",
    ] {
        assert!(expert_of_state(id).unwrap().is_some(), "{id}");
    }
    for id in [
        "MultiGoal-v0@frame_stack=2",
        "MultiGoal-v0@pixels=20,action_chunk=2",
    ] {
        assert!(expert_of_state(id).is_err(), "{id}");
    }
}
