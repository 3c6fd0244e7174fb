//! The mazes: the free ball's motion, walls, knobs and the expert.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

use advect_envs::embedded::maze2d::{Cell, RADIUS, centre, penetration};
use advect_envs::embedded::{Maze2d, Maze2dConfig, MazeLayout, waypoint_action};
use advect_envs::{Env, EnvError, Step, make};
use advect_rng::Stream;
use proptest::prelude::*;

const MASS: f64 = 4.188_790_204_786_391;

fn maze(layout: MazeLayout, config: Maze2dConfig) -> Maze2d {
    Maze2d::new(layout, config).unwrap()
}

fn medium_at(position: [f64; 2], velocity: [f64; 2], goal: [f64; 2]) -> Maze2d {
    let mut env = maze(MazeLayout::Medium, Maze2dConfig::default());
    env.set_state(position, velocity, goal, &mut [0.0; 6])
        .unwrap();
    env
}

/// Where `v' = v + dt (f - v) / (m + dt)` has the closed form `v_n = f + (v_0 - f) q^n`, `q = m / (m + dt)`.
#[test]
fn a_free_ball_follows_the_closed_form() {
    let mut env = medium_at([0.8, 0.8], [0.0, 0.3], [5.8, 5.8]);
    let mut obs = [0.0; 6];
    let mut wanted = [0.8, 0.8];
    for n in 1..=20 {
        env.step(&[0.02, 0.0], &mut obs).unwrap();
        let q = (MASS / (MASS + 0.01_f64)).powi(n);
        let force = f64::from(0.02_f32) * 100.0;
        let velocity = [force * (1.0 - q), 0.3 * q];
        wanted = [
            wanted[0] + 0.01 * velocity[0],
            wanted[1] + 0.01 * velocity[1],
        ];
        for i in 0..2 {
            assert!((obs[i] - wanted[i]).abs() < 1e-12);
            assert!((obs[2 + i] - velocity[i]).abs() < 1e-12);
        }
    }
    assert_eq!(obs[4..], [5.8, 5.8]);
}

#[test]
fn velocities_are_clipped_before_the_step_and_actions_too() {
    let mut obs = [0.0; 6];
    let mut env = medium_at([4.0, 4.8], [9.0, -9.0], [0.8, 0.8]);
    env.step(&[0.0, 0.0], &mut obs).unwrap();
    let slowed = 5.0 * MASS / (MASS + 0.01);
    assert!((obs[2] - slowed).abs() < 1e-12 && (obs[3] + slowed).abs() < 1e-12);
    let after = |action: [f32; 2]| {
        let mut obs = [0.0; 6];
        medium_at([0.8, 0.8], [0.0; 2], [5.8, 5.8])
            .step(&action, &mut obs)
            .unwrap();
        obs
    };
    assert_eq!(after([3.0, -8.0]), after([1.0, -1.0]));
    assert_ne!(after([0.5, -1.0]), after([1.0, -1.0]));
}

#[test]
fn success_is_within_half_a_unit_of_the_goal() {
    let step_at = |distance: f64| {
        let mut env = medium_at(
            [0.8, 0.8],
            [0.0; 2],
            [0.8 + 0.6 * distance, 0.8 + 0.8 * distance],
        );
        env.step(&[0.0, 0.0], &mut [0.0; 6]).unwrap()
    };
    assert_eq!(step_at(0.4999), Step::ending(1.0, true));
    assert_eq!(step_at(0.5001), Step::running(0.0));
}

#[test]
fn specs_are_those_of_the_table() {
    for (layout, id, limit) in [
        (MazeLayout::UMaze, "Maze2dUMaze-v0", 300),
        (MazeLayout::Medium, "Maze2dMedium-v0", 400),
        (MazeLayout::Large, "Maze2dLarge-v0", 800),
    ] {
        let env = make(id).unwrap();
        let spec = env.spec();
        assert_eq!((layout.id(), spec.id.as_str()), (id, id));
        assert_eq!((spec.obs_dim, spec.act_dim), (6, 2));
        assert_eq!(spec.max_episode_steps, Some(limit));
        let goal = spec.goal.clone().unwrap();
        assert_eq!((goal.achieved, goal.desired), (0..2, 4..6));
    }
}

/// A ball that is pushed into a corner stays there, and goes through the maze where there is no wall.
#[test]
fn walls_hold_the_ball() {
    let mut obs = [0.0; 6];
    let mut env = medium_at([0.8, 0.8], [0.0; 2], [5.8, 5.8]);
    for _ in 0..300 {
        env.step(&[-1.0, -1.0], &mut obs).unwrap();
    }
    for i in 0..2 {
        assert!(
            (obs[i] - 0.4).abs() < 1e-9 && obs[2 + i].abs() < 1e-9,
            "{obs:?}"
        );
    }
    // down the first column until the wall below the cell (2, 1)
    for _ in 0..300 {
        env.step(&[1.0, 0.0], &mut obs).unwrap();
    }
    assert!(
        (obs[0] - 2.2).abs() < 1e-9 && (obs[1] - 0.4).abs() < 1e-9,
        "{obs:?}"
    );
}

/// The least distance of a point from any wall cell, by trying all cells of the map and a border around it.
fn distance_to_walls(layout: MazeLayout, position: [f64; 2]) -> f64 {
    let [rows, columns] = layout.size();
    let cells = (0..rows).flat_map(|i| (0..columns).map(move |j| [i, j]));
    let walls = cells.filter(|cell| !layout.is_free(*cell));
    let outside = |cell: Cell, i: usize| ((position[i] - centre(cell)[i]).abs() - 0.5).max(0.0);
    walls
        .map(|cell| outside(cell, 0).hypot(outside(cell, 1)))
        .fold(f64::INFINITY, f64::min)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Random pushes, each held for a while so that the ball meets walls at speed.
    #[test]
    fn walls_are_never_entered(
        which in 0usize..3,
        seed in any::<u64>(),
        pushes in prop::collection::vec((-1.0f32..=1.0, -1.0f32..=1.0, 1usize..60), 12),
    ) {
        let layout = MazeLayout::ALL[which];
        let mut env = maze(layout, Maze2dConfig::default());
        let mut obs = [0.0; 6];
        env.reset(&mut Stream::new(seed, "maze"), &mut obs).unwrap();
        for (x, y, count) in pushes {
            // full force in the direction drawn
            let scale = 1.0 / x.abs().max(y.abs()).max(0.1);
            for _ in 0..count {
                let before = [obs[0], obs[1]];
                env.step(&[x * scale, y * scale], &mut obs).unwrap();
                let gap = distance_to_walls(layout, [obs[0], obs[1]]) - RADIUS;
                prop_assert!(gap > -1e-9, "{obs:?} after {before:?}");
                let moved = (obs[0] - before[0]).hypot(obs[1] - before[1]);
                // further than its radius it could pass a wall's corner unseen
                prop_assert!(moved < RADIUS, "jumped by {moved}");
            }
        }
        prop_assert!(penetration([obs[0], obs[1]], layout) < 1e-9);
        let meets_a_wall = (0..200).any(|_| {
            env.step(&[1.0, 0.0], &mut obs).unwrap();
            distance_to_walls(layout, [obs[0], obs[1]]) - RADIUS < 1e-9
        });
        prop_assert!(meets_a_wall, "no wall after two seconds of full force: {obs:?}");
    }

    /// Starts and goals lie about covered cells, for any noise that is allowed.
    #[test]
    fn starts_and_goals_come_from_the_covered_cells(
        which in 0usize..3,
        seed in any::<u64>(),
        noise in 0.0f64..=2.0,
        coverage in 0.01f64..=1.0,
    ) {
        let config = Maze2dConfig { noise, coverage, coverage_seed: seed, ..Maze2dConfig::default() };
        let mut env = maze(MazeLayout::ALL[which], config);
        let mut obs = [0.0; 6];
        env.reset(&mut Stream::new(seed, "maze"), &mut obs).unwrap();
        for point in [[obs[0], obs[1]], [obs[4], obs[5]]] {
            let from_a_cell = env.covered_cells().iter().any(|cell| {
                (0..2).all(|i| (point[i] - cell[i] as f64).abs() <= 0.1 * noise + 1e-12)
            });
            prop_assert!(from_a_cell, "{point:?}");
        }
        prop_assert!(obs[2].hypot(obs[3]) <= 1.0 * noise);
    }
}

#[test]
fn coverage_chooses_a_fixed_part_of_the_free_cells() {
    let covered = |coverage, coverage_seed| {
        let config = Maze2dConfig {
            coverage,
            coverage_seed,
            ..Maze2dConfig::default()
        };
        maze(MazeLayout::Medium, config).covered_cells().to_vec()
    };
    // a quarter of 26, and at least one
    assert_eq!(covered(0.25, 0).len(), 7);
    assert_eq!(covered(0.001, 0).len(), 1);
    assert_eq!(covered(1.0, 0), MazeLayout::Medium.free_cells());
    assert_eq!(covered(0.25, 3), covered(0.25, 3));
    assert_ne!(covered(0.25, 3), covered(0.25, 4));
    // a larger part contains the smaller
    let half = covered(0.5, 3);
    assert!(covered(0.25, 3).iter().all(|cell| half.contains(cell)));
}

#[test]
fn without_noise_episodes_start_on_the_points_of_cells_at_rest() {
    let config = Maze2dConfig {
        noise: 0.0,
        ..Maze2dConfig::default()
    };
    let mut env = maze(MazeLayout::Large, config);
    let (mut rng, mut obs) = (Stream::new(1, "maze"), [0.0; 6]);
    let mut starts = Vec::new();
    for _ in 0..1_000 {
        env.reset(&mut rng, &mut obs).unwrap();
        assert!(obs.iter().all(|number| number.fract() == 0.0));
        assert_eq!(obs[2..4], [0.0; 2]);
        starts.push([obs[0] as usize, obs[1] as usize]);
    }
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(
        starts,
        MazeLayout::Large.free_cells(),
        "every free cell comes up"
    );
}

#[test]
fn bad_configs_and_states_are_named() {
    let default = Maze2dConfig::default;
    for (config, wanted) in [
        (
            Maze2dConfig {
                noise: 2.01,
                ..default()
            },
            "noise of Maze2dUMaze-v0 is 2.01 ",
        ),
        (
            Maze2dConfig {
                noise: f64::NAN,
                ..default()
            },
            "noise of Maze2dUMaze-v0 is NaN ",
        ),
        (
            Maze2dConfig {
                coverage: 0.0,
                ..default()
            },
            "coverage of Maze2dUMaze-v0 is 0 ",
        ),
        (
            Maze2dConfig {
                coverage: 1.5,
                ..default()
            },
            "coverage of Maze2dUMaze-v0 is 1.5 ",
        ),
        (
            Maze2dConfig {
                success_distance: -1.0,
                ..default()
            },
            "success_distance of Maze2dUMaze-v0 is -1 ",
        ),
    ] {
        let error = Maze2d::new(MazeLayout::UMaze, config).unwrap_err();
        assert!(matches!(error, EnvError::BadSetting { .. }));
        assert!(error.to_string().starts_with(wanted), "{error}");
    }
    let mut env = maze(MazeLayout::UMaze, default());
    for position in [
        [0.0, 0.0],
        [0.35, 0.8],
        [-7.0, 1.0],
        [f64::NAN, 1.0],
        [1e9, 1.0],
    ] {
        let error = env.set_state(position, [0.0; 2], [1.0; 2], &mut [0.0; 6]);
        assert!(
            matches!(error, Err(EnvError::BadSetting { .. })),
            "{position:?}"
        );
    }
}

#[test]
fn saved_states_with_a_ball_in_a_wall_are_refused() {
    let mut env = medium_at([0.8, 0.8], [0.1, 0.2], [5.8, 5.8]);
    let good = env.save_state();
    let mut bad = good.clone();
    bad[..8].copy_from_slice(&0.35_f64.to_le_bytes());
    let error = env.load_state(&bad).unwrap_err();
    assert!(matches!(error, EnvError::BadState { .. }), "{error}");
    assert_eq!(env.save_state(), good);
}

/// Steps until success, by the expert from `start` to `goal`; `noise` is added to its actions.
fn expert_steps(layout: MazeLayout, start: [f64; 2], goal: [f64; 2], noise: f32) -> Option<usize> {
    let mut env = maze(layout, Maze2dConfig::default());
    let (mut obs, mut heading) = ([0.0; 6], None);
    env.set_state(start, [0.0; 2], goal, &mut obs).unwrap();
    let mut rng = Stream::new(7, "expert");
    let limit = env.spec().max_episode_steps.unwrap() as usize;
    (1..=limit).find(|_| {
        let action = waypoint_action(layout, &obs, &mut heading).unwrap();
        let action = action.map(|a| a + noise * rng.normal_f32());
        env.step(&action, &mut obs).unwrap().terminated
    })
}

/// The corners that a ball can start in, by the jitter about the point of its cell.
fn point(cell: Cell, jitter: f64) -> [f64; 2] {
    cell.map(|index| index as f64 + jitter)
}

#[test]
fn the_expert_reaches_every_goal_from_every_free_cell() {
    for layout in MazeLayout::ALL {
        for start in layout.free_cells() {
            for goal in layout.free_cells() {
                let steps = expert_steps(layout, point(start, 0.1), point(goal, -0.1), 0.0);
                assert!(steps.is_some(), "{layout:?}: {start:?} to {goal:?}");
            }
        }
    }
}

#[test]
fn the_expert_reaches_goals_under_noise() {
    let cells = MazeLayout::Medium.free_cells();
    for start in &cells {
        for goal in [cells[0], cells[12], cells[25]] {
            let steps = expert_steps(
                MazeLayout::Medium,
                point(*start, 0.0),
                point(goal, 0.0),
                0.5,
            );
            assert!(steps.is_some(), "{start:?} to {goal:?}");
        }
    }
}

/// Neighbouring goals need one waypoint: a straight push, of the controller's formula.
#[test]
fn the_expert_is_a_clipped_proportional_derivative_controller() {
    let mut heading = None;
    let action = |obs: [f64; 6], heading: &mut Option<Cell>| {
        waypoint_action(MazeLayout::Medium, &obs, heading).unwrap()
    };
    // in the goal's cell the waypoint is the goal
    let found = action([0.8, 0.8, 0.1, -0.2, 0.85, 0.75], &mut heading);
    assert_eq!(heading, Some([1, 1]));
    assert!(
        (found[0] - 0.4).abs() < 1e-6 && (found[1] + 0.3).abs() < 1e-6,
        "{found:?}"
    );
    // from the cell (1, 1) to (3, 2): first to the centre of (1, 2) or (2, 1), saturated
    let mut heading = None;
    let found = action([0.8, 0.8, 0.0, 0.0, 3.0, 2.0], &mut heading);
    assert!([Some([1, 2]), Some([2, 1])].contains(&heading));
    assert!(found.contains(&1.0) && found.contains(&0.0), "{found:?}");
    // near that centre the next cell is taken up
    let [x, y] = centre(heading.unwrap());
    action([x + 0.05, y - 0.05, 0.0, 0.0, 3.0, 2.0], &mut heading);
    assert_eq!(heading, Some([2, 2]));
    // a heading that is elsewhere in the maze is dropped
    let mut heading = Some([6, 6]);
    action([0.8, 0.8, 0.0, 0.0, 1.2, 2.0], &mut heading);
    assert_eq!(heading, Some([1, 2]));
}

#[test]
fn the_expert_refuses_what_is_no_observation() {
    let error = waypoint_action(MazeLayout::Large, &[0.0; 4], &mut None).unwrap_err();
    assert!(
        matches!(
            error,
            EnvError::BadLength {
                wanted: 6,
                found: 4,
                ..
            }
        ),
        "{error}"
    );
    for obs in [
        [0.0, 0.0, 0.0, 0.0, 1.0, 1.0],
        [1.0, 1.0, 0.0, 0.0, f64::NAN, 1.0],
        [1.0, 1.0, 0.0, 0.0, 1e12, 1.0],
    ] {
        let error = waypoint_action(MazeLayout::Large, &obs, &mut None).unwrap_err();
        assert!(matches!(error, EnvError::BadSetting { .. }), "{error}");
    }
}

#[test]
fn the_expert_of_an_id_succeeds_with_any_of_its_settings() {
    let id = "Maze2dMedium-v0@noise=0.5,coverage=0.25,coverage_seed=3";
    let mut env = make(id).unwrap();
    assert_eq!(env.spec().id, id);
    let mut expert = advect_envs::experts::expert(id).unwrap().unwrap();
    let (mut obs, mut action) = ([0.0; 6], [0.0; 2]);
    for episode in 0..20 {
        env.reset(&mut Stream::new(episode, "expert"), &mut obs)
            .unwrap();
        expert.reset();
        let last = loop {
            expert.act(&obs, &mut action).unwrap();
            let step = env.step(&action, &mut obs).unwrap();
            if step.is_last() {
                break step;
            }
        };
        assert!(last.terminated, "episode {episode}");
        assert_eq!(env.is_success(), Some(true));
    }
}

#[test]
fn the_expert_refuses_buffers_of_other_lengths() {
    let mut expert = advect_envs::experts::expert("Maze2dUMaze-v0")
        .unwrap()
        .unwrap();
    let obs = [0.8, 0.8, 0.0, 0.0, 0.8, 0.8];
    assert!(expert.act(&obs, &mut [0.0; 2]).is_ok());
    assert!(expert.act(&obs, &mut [0.0; 3]).is_err());
    assert!(expert.act(&obs[..5], &mut [0.0; 2]).is_err());
}

#[test]
fn settings_that_the_maze_does_not_have_are_refused() {
    for (id, problem) in [
        ("Maze2dMedium-v0@nose=1", "knows noise, coverage"),
        ("Maze2dMedium-v0@noise=9", "between 0 and 2"),
        ("Pendulum-v1@noise=1", "knows max_episode_steps"),
    ] {
        let error = make(id).map(drop).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn every_environment_takes_another_time_limit() {
    let limit = |id| make(id).unwrap().spec().max_episode_steps;
    assert_eq!(limit("Maze2dMedium-v0"), Some(400));
    assert_eq!(limit("Maze2dMedium-v0@max_episode_steps=50"), Some(50));
    assert_eq!(limit("Pendulum-v1@max_episode_steps=0"), None);
}
