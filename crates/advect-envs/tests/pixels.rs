//! Frames of the embedded tasks: references, geometry, files, wrappers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

use advect_envs::embedded::{
    AcrobotContinuous, CartPoleSwingUp, Maze2d, Maze2dConfig, MazeLayout, MountainCarContinuous,
    MultiGoal, Pendulum, Reacher2d,
};
use advect_envs::pixels::{Canvas, Colour};
use advect_envs::wrappers::{ActionChunk, ActionRepeat, FrameStack};
use advect_envs::{Env, EnvError, Image, make};
use advect_rng::Stream;

const BODY: Colour = [204, 60, 60];
const GOAL: Colour = [60, 170, 80];

/// One task of each kind in a pose that shows all its parts.
fn posed() -> Vec<Box<dyn Env>> {
    let mut multi_goal = MultiGoal::new();
    multi_goal.set_position([1.5, -2.25]);
    let (mut pendulum, mut car) = (Pendulum::new(), MountainCarContinuous::new());
    pendulum.set_state(0.75, 0.0, &mut [0.0; 3]);
    car.set_state(-0.75, 0.0, &mut [0.0; 2]).unwrap();
    let (mut cart, mut acrobot) = (CartPoleSwingUp::new(), AcrobotContinuous::new());
    cart.set_state([-0.5, 0.0, 2.5, 0.0], &mut [0.0; 5])
        .unwrap();
    acrobot
        .set_state([0.5, -1.0, 0.0, 0.0], &mut [0.0; 6])
        .unwrap();
    let mut reacher = Reacher2d::new();
    reacher
        .set_state([0.5, 1.0, 0.0, 0.0], [-0.5, -0.25], &mut [0.0; 10])
        .unwrap();
    let mut envs: Vec<Box<dyn Env>> = vec![
        Box::new(multi_goal),
        Box::new(pendulum),
        Box::new(car),
        Box::new(cart),
        Box::new(acrobot),
        Box::new(reacher),
    ];
    envs.extend(MazeLayout::ALL.map(|layout| Box::new(maze(layout)) as Box<dyn Env>));
    envs
}

fn maze(layout: MazeLayout) -> Maze2d {
    let mut maze = Maze2d::new(layout, Maze2dConfig::default()).unwrap();
    let cells = layout.free_cells();
    let goal = cells[cells.len() - 1].map(|index| index as f64);
    maze.set_state([1.0, 1.0], [0.0; 2], goal, &mut [0.0; 6])
        .unwrap();
    maze
}

#[cfg(feature = "pixels")]
#[test]
fn frames_equal_the_stored_ones() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pixel_files");
    for env in posed() {
        let file = folder.join(format!("{}.png", env.spec().id));
        let frame = env.render(48, 48).unwrap();
        if std::env::var_os("ADVECT_WRITE_FRAMES").is_some() {
            frame.write_png(&file).unwrap();
        }
        let differs = "; look at it after a run with ADVECT_WRITE_FRAMES=1";
        assert!(
            frame == Image::read_png(&file).unwrap(),
            "{}{differs}",
            file.display()
        );
    }
}

/// The colour of `image` at a point of a task that is shown from `low` to `high`.
fn colour_at(image: &Image, low: [f64; 2], high: [f64; 2], point: [f64; 2]) -> Colour {
    let canvas = Canvas::new(image.width(), image.height(), low, high).unwrap();
    let [column, row] = canvas.to_pixels(point).map(|at| at as usize);
    image.pixel(column, row).unwrap()
}

#[test]
fn the_pendulums_tip_is_where_its_equations_put_it() {
    let mut pendulum = Pendulum::new();
    for theta in [0.0_f64, 1.0, 2.5, -2.0] {
        pendulum.set_state(theta, 0.0, &mut [0.0; 3]);
        for (width, height) in [(84, 84), (64, 96)] {
            let image = pendulum.render(width, height).unwrap();
            let (low, high) = ([-1.25; 2], [1.25; 2]);
            let tip = [-theta.sin(), theta.cos()];
            assert_eq!(colour_at(&image, low, high, tip), BODY);
            assert_eq!(colour_at(&image, low, high, tip.map(|t| -t)), [255; 3]);
        }
    }
}

#[test]
fn a_mazes_ball_and_goal_are_where_its_observation_has_them() {
    let mut maze = make("Maze2dMedium-v0").unwrap();
    let (mut rng, mut obs) = (Stream::new(3, "frames"), [0.0; 6]);
    for _ in 0..20 {
        maze.reset(&mut rng, &mut obs).unwrap();
        let image = maze.render(96, 96).unwrap();
        let (low, high) = ([-0.7; 2], [7.3; 2]);
        assert_eq!(colour_at(&image, low, high, [obs[0], obs[1]]), BODY);
        let apart = (obs[0] - obs[4]).hypot(obs[1] - obs[5]);
        if apart > 0.5 {
            assert_eq!(colour_at(&image, low, high, [obs[4], obs[5]]), GOAL);
        }
        assert_eq!(colour_at(&image, low, high, [-0.5, -0.5]), [120, 130, 150]);
    }
}

#[test]
fn wrappers_hand_frames_through_and_drawing_changes_nothing() {
    let plain = make("Pendulum-v1").unwrap();
    let wanted = plain.render(24, 24).unwrap();
    let stack = FrameStack::new(plain, 2).unwrap();
    let mut env = ActionChunk::new(ActionRepeat::new(stack, 2).unwrap(), 2).unwrap();
    assert_eq!(env.render(24, 24).unwrap(), wanted);
    env.reset(&mut Stream::new(0, "frames"), &mut [0.0; 6])
        .unwrap();
    let before = env.save_state();
    assert_ne!(env.render(24, 24).unwrap(), wanted);
    assert_eq!(env.save_state(), before);
}

#[test]
fn what_cannot_be_drawn_is_a_typed_error() {
    let probe = make("Probe-ConstantValue-v0").or_else(|_| {
        let ids = advect_envs::ids();
        make(ids.iter().find(|id| id.starts_with("Probe-")).unwrap())
    });
    let error = probe.unwrap().render(8, 8).unwrap_err();
    assert!(matches!(error, EnvError::NotRendered { .. }), "{error}");
    for (width, height) in [(0, 8), (8, 0), (5000, 8), (usize::MAX, usize::MAX)] {
        for env in posed() {
            let error = env.render(width, height).unwrap_err();
            assert!(matches!(error, EnvError::BadFrame { .. }), "{error}");
        }
    }
}

#[cfg(feature = "pixels")]
#[test]
fn files_that_cannot_be_read_or_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::filled(3, 2, BODY).unwrap();
    let file = folder.path().join("frame.png");
    image.write_png(&file).unwrap();
    assert_eq!(Image::read_png(&file).unwrap(), image);
    std::fs::write(&file, b"no picture").unwrap();
    for error in [
        Image::read_png(&file).unwrap_err(),
        image
            .write_png(&folder.path().join("none/frame.png"))
            .unwrap_err(),
    ] {
        assert!(matches!(error, EnvError::ImageFile { .. }), "{error}");
        assert!(error.to_string().contains("frame.png"), "{error}");
    }
}
