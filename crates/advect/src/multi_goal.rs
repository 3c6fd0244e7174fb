//! The picture of a policy on `MultiGoal-v0`: where it goes from the start, and which actions it samples there.

use crate::plot::{PlotError, PolicyPicture, Trajectory, policy_picture};
use advect_envs::Env;
use advect_envs::EnvError;
use advect_envs::embedded::{GOALS, MultiGoal};
use advect_rl::{ActMode, Agent};
use advect_rng::Stream;
use candle_core::{DType, Device, Tensor};

/// Id of the environment.
pub const ID: &str = "MultiGoal-v0";
/// Episodes in a picture.
const EPISODES: usize = 60;
/// Actions in a picture.
const ACTIONS: usize = 400;
/// Squared distances to the nearest goal whose lines are drawn.
const LEVELS: [f64; 5] = [-1.5, -4.0, -9.0, -16.0, -25.0];

/// Why a policy could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The agent failed, for instance because it was built for another environment.
    #[error("the agent cannot act on MultiGoal-v0")]
    Agent(#[from] candle_core::Error),
    /// The environment failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The picture failed.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// What a policy does on `MultiGoal-v0`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Behaviour {
    /// Episodes from the start distribution.
    pub trajectories: Vec<Trajectory>,
    /// Actions at the centre.
    pub actions: Vec<(f64, f64)>,
    /// Samples of the policy at the centre before the critics choose among them; empty where nothing chooses.
    pub samples: Vec<(f64, f64)>,
}

impl Behaviour {
    /// Runs the policy in evaluation mode; the same parameters and `seed` give the same behaviour.
    ///
    /// `unranked` is the same policy without a choice among candidates, where it makes one
    /// ([`compose::unranked`](crate::compose::unranked)).
    ///
    /// # Errors
    /// What an agent or the environment reports.
    pub fn observe(
        agent: &mut dyn Agent,
        unranked: Option<&mut (dyn Agent + '_)>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, PolicyError> {
        let root = Stream::new(seed, "advect/policy-picture");
        agent.begin_evaluation(root.fork("agent"));
        let trajectories = roll_out(agent, &root, device)?;
        let actions = sample_at_centre(agent, &root, device)?;
        let samples = unranked
            .map(|agent| sample_at_centre(agent, &root, device))
            .transpose()?;
        Ok(Self {
            trajectories,
            actions,
            samples: samples.unwrap_or_default(),
        })
    }

    /// How many episodes reached each of the four goals.
    pub fn goals_reached(&self) -> [usize; GOALS.len()] {
        let mut reached = [0; GOALS.len()];
        for goal in self.trajectories.iter().filter_map(|t| t.goal) {
            reached[goal] += 1;
        }
        reached
    }

    /// Draws it.
    ///
    /// # Errors
    /// What drawing reports.
    pub fn draw(&self, title: &str) -> Result<String, PlotError> {
        policy_picture(&PolicyPicture {
            title,
            reward: &|x, y| -MultiGoal::nearest_goal([x, y]).1,
            levels: &LEVELS,
            plane: (-7.0, 7.0),
            goals: &GOALS.map(|[x, y]| (x, y)),
            goal_radius: 1.0,
            trajectories: &self.trajectories,
            actions: &self.actions,
            samples: &self.samples,
        })
    }
}

/// One episode that is being played.
struct Episode {
    env: Box<dyn Env>,
    position: [f64; 2],
    trajectory: Trajectory,
    done: bool,
}

impl Episode {
    fn start(stream: &mut Stream) -> Result<Self, EnvError> {
        let mut env = advect_envs::make(ID)?;
        let mut position = [0.0; 2];
        env.reset(stream, &mut position)?;
        let trajectory = Trajectory {
            points: vec![(position[0], position[1])],
            goal: None,
        };
        Ok(Self {
            env,
            position,
            trajectory,
            done: false,
        })
    }

    /// Takes a step; the action box of the task is `[-1, 1]^2`, so that the agent's units are the environment's.
    fn step(&mut self, action: [f32; 2]) -> Result<(), EnvError> {
        let step = self.env.step(&action, &mut self.position)?;
        self.trajectory
            .points
            .push((self.position[0], self.position[1]));
        if step.terminated {
            self.trajectory.goal = Some(MultiGoal::nearest_goal(self.position).0);
        }
        self.done = step.terminated || step.truncated;
        Ok(())
    }
}

/// Actions at the origin, each with noise of its own: in evaluation an agent's noise follows from its stream and the observation.
fn sample_at_centre(
    agent: &mut dyn Agent,
    root: &Stream,
    device: &Device,
) -> Result<Vec<(f64, f64)>, PolicyError> {
    let centre = Tensor::zeros((1, 2), DType::F32, device)?;
    let mut sample = |i: usize| {
        agent.begin_evaluation(root.fork(&format!("action {i}")));
        let [x, y] = pairs(&agent.act(&centre, ActMode::Evaluate)?)?[0];
        Ok((x.into(), y.into()))
    };
    (0..ACTIONS).map(&mut sample).collect()
}

fn roll_out(
    agent: &mut dyn Agent,
    root: &Stream,
    device: &Device,
) -> Result<Vec<Trajectory>, PolicyError> {
    let start = |i: usize| Episode::start(&mut root.fork(&format!("episode {i}")));
    let mut episodes = (0..EPISODES).map(start).collect::<Result<Vec<_>, _>>()?;
    while episodes.iter().any(|e| !e.done) {
        let mut running: Vec<&mut Episode> = episodes.iter_mut().filter(|e| !e.done).collect();
        let obs: Vec<f32> = running
            .iter()
            .flat_map(|e| e.position.map(|p| p as f32))
            .collect();
        let obs = Tensor::from_vec(obs, (running.len(), 2), device)?;
        let actions = pairs(&agent.act(&obs, ActMode::Evaluate)?)?;
        for (episode, action) in running.iter_mut().zip(actions) {
            episode.step(action)?;
        }
    }
    Ok(episodes.into_iter().map(|e| e.trajectory).collect())
}

fn pairs(actions: &Tensor) -> candle_core::Result<Vec<[f32; 2]>> {
    let rows = actions.to_vec2::<f32>()?;
    let pair = |row: Vec<f32>| <[f32; 2]>::try_from(row).map_err(|row| shape_error(row.len()));
    rows.into_iter().map(pair).collect()
}

fn shape_error(width: usize) -> candle_core::Error {
    candle_core::Error::Msg(format!(
        "actions have {width} coordinates, MultiGoal-v0 takes 2"
    ))
}
