//! A ball that is pushed through a maze to a goal: D4RL's Maze2d without MuJoCo.

mod contact;
mod grid;
mod waypoint;

use std::f64::consts::PI;

use advect_rng::Stream;

use super::colour;
use super::numeric::{distance, uniform};
use crate::options::Options;
use crate::pixels::Canvas;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, GoalLayout, Image, Step};

pub use contact::{RADIUS, penetration};
pub use grid::{CENTRE_OFFSET, Cell, MazeLayout, centre};
pub use waypoint::waypoint_action;

const DENSITY: f64 = 1000.0;
const GEAR: f64 = 100.0;
const DAMPING: f64 = 1.0;
const DT: f64 = 0.01;
const MAX_SPEED: f64 = 5.0;
/// Jitter of start and goal about their cell's point, at noise 1.
const JITTER: f64 = 0.1;
/// Standard deviation of the first velocity, at noise 1.
const START_SPEED: f64 = 0.1;
/// Mass of the ball: a sphere of water's density.
const MASS: f64 = 4.0 / 3.0 * PI * RADIUS * RADIUS * RADIUS * DENSITY;

impl MazeLayout {
    /// The id of the environment with this map.
    pub fn id(self) -> &'static str {
        match self {
            Self::UMaze => "Maze2dUMaze-v0",
            Self::Medium => "Maze2dMedium-v0",
            Self::Large => "Maze2dLarge-v0",
        }
    }

    /// Steps of an episode: 400 in the medium maze as in FM-IRL, in the others as in Gymnasium-Robotics.
    fn time_limit(self) -> u32 {
        match self {
            Self::UMaze => 300,
            Self::Medium => 400,
            Self::Large => 800,
        }
    }
}

/// What of a [`Maze2d`] can be changed; the default is the task of FM-IRL.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Maze2dConfig {
    /// Scale `r` of the noise at the start: start and goal are off their cell's point by `U(-0.1, 0.1) r` in each coordinate, and
    /// the first velocity is `0.1 r N(0, 1)`. At most 2, where the ball would touch a wall. Default 1.
    pub noise: f64,
    /// The part of the free cells that starts and goals are drawn from, in (0, 1]; at least one cell. FM-IRL draws its
    /// demonstrations with 0.25, 0.5, 0.75 or 1. Default 1.
    pub coverage: f64,
    /// Seed of the choice of these cells, which stays the same for all episodes. Default 0.
    pub coverage_seed: u64,
    /// Distance of ball and goal at which the episode ends in success. Default 0.5.
    pub success_distance: f64,
}

impl Default for Maze2dConfig {
    fn default() -> Self {
        Self {
            noise: 1.0,
            coverage: 1.0,
            coverage_seed: 0,
            success_distance: 0.5,
        }
    }
}

impl Maze2dConfig {
    /// The settings behind an id: the names of these fields.
    pub(crate) fn take(options: &mut Options) -> Result<Self, EnvError> {
        let default = Self::default();
        Ok(Self {
            noise: options.take("noise", default.noise)?,
            coverage: options.take("coverage", default.coverage)?,
            coverage_seed: options.take("coverage_seed", default.coverage_seed)?,
            success_distance: options.take("success_distance", default.success_distance)?,
        })
    }
}

/// `Maze2dUMaze-v0`, `Maze2dMedium-v0`, `Maze2dLarge-v0`: push a ball through a maze of unit cells to a goal.
///
/// The ball has radius `r = 0.1 m` and mass `m = 4/3 pi r^3 1000 = 4.189 kg`. With force `f = 100 clip(a, +-1)` per axis, damping `d = 1` and
/// `dt = 0.01 s`:
///
/// ```text
/// v  = clip(v, +-5)
/// v' = v + dt (f - d v) / (m + dt d)
/// p' = p + dt v'
/// ```
///
/// which is MuJoCo's semi-implicit Euler step with implicit damping. Then the ball is pushed out of the walls, and loses the part of its
/// velocity that points into them. Walls are frictionless; MuJoCo's are soft and let the ball a little way in, these are hard.
///
/// Reward 1 and termination within 0.5 of the goal, else 0. Observation `(x, y, vx, vy, gx, gy)` in D4RL's coordinates: start and goal are
/// drawn independently about the points `(i, j)` of free cells, whose centres are at `(i - 0.2, j - 0.2)`. Both may be in one cell: such an
/// episode succeeds at once. Horizons 300, 400 and 800. The medium maze is the Maze2d of FM-IRL; see [`Maze2dConfig`] for its knobs and
/// [`waypoint_action`] for its expert. Gymnasium-Robotics' `PointMaze` tasks have the same ball in MuJoCo, other coordinates and other goals.
#[derive(Debug, Clone)]
pub struct Maze2d {
    spec: EnvSpec,
    layout: MazeLayout,
    config: Maze2dConfig,
    cells: Vec<Cell>,
    position: [f64; 2],
    velocity: [f64; 2],
    goal: [f64; 2],
}

impl Maze2d {
    /// The maze `layout`, its ball at rest in its goal.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] if a number of the config is out of its range.
    pub fn new(layout: MazeLayout, config: Maze2dConfig) -> Result<Self, EnvError> {
        check(layout, &config)?;
        let cells = covered_cells(layout, &config);
        let start = cells.first().map_or([0.0; 2], |cell| centre(*cell));
        let spec = EnvSpec::symmetric(layout.id(), 6, 2, 1.0);
        Ok(Self {
            spec: EnvSpec {
                goal: Some(GoalLayout {
                    achieved: 0..2,
                    desired: 4..6,
                }),
                ..spec.with_time_limit(layout.time_limit())
            },
            layout,
            config,
            cells,
            position: start,
            velocity: [0.0; 2],
            goal: start,
        })
    }

    /// The map.
    pub fn layout(&self) -> MazeLayout {
        self.layout
    }

    /// The cells that starts and goals are drawn from.
    pub fn covered_cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Sets position, velocity and goal, and writes the observation.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], or [`EnvError::BadSetting`] where the ball overlaps a wall.
    pub fn set_state(
        &mut self,
        position: [f64; 2],
        velocity: [f64; 2],
        goal: [f64; 2],
        obs: &mut [f64],
    ) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        if !is_clear(position, self.layout) {
            let problem = format!("is {position:?} and overlaps a wall");
            return Err(bad_setting(self.layout, "ball position", problem));
        }
        (self.position, self.velocity, self.goal) = (position, velocity, goal);
        self.write_obs(obs);
        Ok(())
    }

    fn write_obs(&self, obs: &mut [f64]) {
        let ([x, y], [vx, vy], [gx, gy]) = (self.position, self.velocity, self.goal);
        obs.copy_from_slice(&[x, y, vx, vy, gx, gy]);
    }

    /// Moves the ball by one step under `force` in newtons.
    fn roll(&mut self, force: [f64; 2]) {
        for (i, force) in force.into_iter().enumerate() {
            let speed = self.velocity[i].clamp(-MAX_SPEED, MAX_SPEED);
            self.velocity[i] = speed + DT * (force - DAMPING * speed) / (MASS + DT * DAMPING);
            self.position[i] += DT * self.velocity[i];
        }
        contact::resolve(&mut self.position, &mut self.velocity, self.layout);
    }

    fn at_goal(&self) -> bool {
        distance(self.position, self.goal) <= self.config.success_distance
    }

    /// A point about one of the covered cells.
    fn random_point(&self, rng: &mut Stream) -> [f64; 2] {
        let index = rng.below(self.cells.len() as u64) as usize;
        let jitter = JITTER * self.config.noise;
        self.cells[index].map(|i| i as f64 + uniform(rng, jitter))
    }
}

/// Whether the ball at `position` is in a free cell and touches no wall.
fn is_clear(position: [f64; 2], layout: MazeLayout) -> bool {
    let cell = layout.cell_of(position);
    cell.is_some_and(|cell| layout.is_free(cell)) && penetration(position, layout) < 1e-9
}

fn bad_setting(layout: MazeLayout, what: &'static str, problem: String) -> EnvError {
    EnvError::BadSetting {
        id: layout.id().to_owned(),
        what,
        problem,
    }
}

fn check(layout: MazeLayout, config: &Maze2dConfig) -> Result<(), EnvError> {
    let bad = |what: &'static str, value: f64, range: &str| {
        let problem = format!("is {value} and has to be {range}");
        Err(bad_setting(layout, what, problem))
    };
    // half a cell has to hold the offset, the jitter and the radius
    let most = (0.5 + CENTRE_OFFSET - RADIUS) / JITTER;
    if !(0.0..=most + 1e-9).contains(&config.noise) {
        return bad("noise", config.noise, "between 0 and 2");
    }
    if !(config.coverage > 0.0 && config.coverage <= 1.0) {
        return bad("coverage", config.coverage, "above 0 and at most 1");
    }
    let distance = config.success_distance;
    if !(distance >= 0.0 && distance.is_finite()) {
        return bad("success_distance", distance, "finite and not negative");
    }
    Ok(())
}

/// The cells for starts and goals: `coverage` of the free ones, at least one, chosen by the config's seed.
fn covered_cells(layout: MazeLayout, config: &Maze2dConfig) -> Vec<Cell> {
    let free = layout.free_cells();
    let count = (config.coverage * free.len() as f64).round().max(1.0) as usize;
    let order = Stream::new(config.coverage_seed, "maze2d/coverage").permutation(free.len());
    let mut chosen: Vec<Cell> = order
        .into_iter()
        .take(count)
        .map(|index| free[index as usize])
        .collect();
    chosen.sort_unstable();
    chosen
}

impl Env for Maze2d {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        let goal = self.random_point(rng);
        let position = self.random_point(rng);
        let velocity = [(); 2].map(|()| START_SPEED * self.config.noise * rng.normal_f64());
        self.set_state(position, velocity, goal, obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        self.roll([action[0], action[1]].map(|a| GEAR * f64::from(a).clamp(-1.0, 1.0)));
        self.write_obs(obs);
        let reached = self.at_goal();
        Ok(Step::ending(if reached { 1.0 } else { 0.0 }, reached))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&self.position)
            .f64s(&self.velocity)
            .f64s(&self.goal)
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let mut loaded = [[0.0; 2]; 3];
        for pair in &mut loaded {
            reader.f64s(pair)?;
        }
        if !is_clear(loaded[0], self.layout) {
            return Err(reader.bad(format!("the ball at {:?} overlaps a wall", loaded[0])));
        }
        reader.finish()?;
        [self.position, self.velocity, self.goal] = loaded;
        Ok(())
    }

    fn is_success(&self) -> Option<bool> {
        Some(self.at_goal())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        let [rows, columns] = self.layout.size().map(|cells| cells as f64);
        let corner = CENTRE_OFFSET - 0.5;
        let high = [corner + rows, corner + columns];
        let mut canvas = Canvas::new(width, height, [corner; 2], high)?;
        canvas.rectangle([corner; 2], high, colour::GROUND);
        for cell in self.layout.free_cells() {
            let ([x, y], [i, j]) = (centre(cell), cell);
            // with the next cell at once, so that no seam is left between them
            for next in [cell, [i + 1, j], [i, j + 1]] {
                if self.layout.is_free(next) {
                    let high = centre(next).map(|middle| middle + 0.5);
                    canvas.rectangle([x - 0.5, y - 0.5], high, [255; 3]);
                }
            }
        }
        canvas.circle(self.goal, 0.25, colour::GOAL);
        // twice its size, to be seen in a small frame
        canvas.circle(self.position, 2.0 * RADIUS, colour::BODY);
        Ok(canvas.into_image())
    }
}
