//! Episodes recorded as data.

use advect_envs::data::{Builder, Dataset};
use advect_rng::Stream;

use crate::behaviour::{Behaviour, seen};
use crate::error::TrainError;
use crate::eval::{EnvFactory, Episode};

/// Attempts per episode wanted before giving up.
const PATIENCE: usize = 20;

/// Which episodes are recorded, and how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Episodes to record.
    pub episodes: usize,
    /// Fewest transitions of an episode.
    pub min_length: usize,
    /// Most transitions of an episode.
    pub max_length: usize,
    /// Smallest return of an episode.
    pub min_return: f64,
    /// Only episodes in which the task is achieved ([`Env::is_success`](advect_envs::Env::is_success)), each up to the step that
    /// achieved it.
    pub successful: bool,
}

impl Wanted {
    /// Any `episodes` episodes.
    pub fn any(episodes: usize) -> Self {
        Self {
            episodes,
            min_length: 0,
            max_length: usize::MAX,
            min_return: f64::NEG_INFINITY,
            successful: false,
        }
    }
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// The episodes that were wanted.
    pub dataset: Dataset,
    /// Episodes played, the others included.
    pub attempts: usize,
    /// Those in which the task was achieved; `None` for tasks without such a notion.
    pub successes: Option<usize>,
}

/// A transition of the running episode.
struct Transition {
    obs: Vec<f32>,
    act: Vec<f32>,
    reward: f32,
    next_obs: Vec<f32>,
    terminated: bool,
}

/// An episode that has ended.
struct Played {
    transitions: Vec<Transition>,
    total: f64,
    success: Option<bool>,
}

impl Wanted {
    fn keeps(&self, played: &Played) -> bool {
        (self.min_length..=self.max_length).contains(&played.transitions.len())
            && played.total >= self.min_return
            && (!self.successful || played.success == Some(true))
    }

    fn gives_up(&self, attempts: usize, kept: usize) -> TrainError {
        TrainError::Invalid {
            what: "collecting".into(),
            problem: format!(
                "only {kept} of {attempts} episodes were as wanted ({} needed)",
                self.episodes
            ),
            fix: "ask for less: fewer conditions on length, return or success, less noise".into(),
        }
    }
}

/// Plays episodes, one after the other, until enough are as `wanted`; actions are recorded in the environment's own units.
///
/// First states come from `Stream::new(seed, "collect")`, a fork for each episode. `on_episode` hears of every one that is recorded:
/// its index and return.
///
/// # Errors
/// What the environment or the behaviour reports; an observation or a reward that is not finite; [`TrainError::Invalid`] if fewer than one
/// episode in twenty is as wanted.
pub fn collect(
    make: &EnvFactory,
    wanted: &Wanted,
    seed: u64,
    behaviour: &mut dyn Behaviour,
    on_episode: &mut dyn FnMut(usize, f64),
) -> Result<Collected, TrainError> {
    let seeds = Stream::new(seed, "collect");
    let mut builder: Option<Builder> = None;
    let (mut attempts, mut kept, mut successes) = (0, 0, None);
    let mut env = make()?;
    while kept < wanted.episodes {
        if attempts >= PATIENCE * wanted.episodes {
            return Err(wanted.gives_up(attempts, kept));
        }
        let mut episode = Episode::start(env, &seeds, attempts)?;
        let played = play(&mut episode, behaviour, wanted.successful)?;
        attempts += 1;
        if let Some(success) = played.success {
            *successes.get_or_insert(0) += usize::from(success);
        }
        if wanted.keeps(&played) {
            on_episode(kept, played.total);
            let spec = episode.env.spec();
            let new = || Builder::new(&spec.id, spec.obs_dim, spec.act_dim).with_image(spec.image);
            record(played, builder.get_or_insert_with(new));
            kept += 1;
        }
        env = episode.env;
    }
    Ok(Collected {
        dataset: builder.map(Builder::finish).unwrap_or_default(),
        attempts,
        successes,
    })
}

/// Plays an episode to its end, or up to the step that achieves the task.
fn play(
    episode: &mut Episode,
    behaviour: &mut dyn Behaviour,
    to_success: bool,
) -> Result<Played, TrainError> {
    behaviour.begin();
    let spec = episode.env.spec().clone();
    let mut transitions = Vec::new();
    while !(episode.done || to_success && episode.success == Some(true)) {
        let obs = single(&episode.obs);
        let act = behaviour.act(&spec, seen(behaviour, episode.env.as_ref(), &episode.obs))?;
        let step = episode.step(&act)?;
        transitions.push(Transition {
            obs,
            act: episode.action.clone(),
            reward: step.reward as f32,
            next_obs: single(&episode.obs),
            terminated: step.terminated,
        });
    }
    Ok(Played {
        transitions,
        total: episode.total,
        success: episode.success,
    })
}

fn record(played: Played, builder: &mut Builder) {
    for t in played.transitions {
        builder.push(&t.obs, &t.act, t.reward, &t.next_obs, t.terminated);
    }
    builder.end_episode();
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}
