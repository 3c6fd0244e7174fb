//! Environments by id.

use crate::embedded::{
    AcrobotContinuous, CartPoleSwingUp, Maze2d, Maze2dConfig, MazeLayout, MountainCarContinuous,
    MultiGoal, Pendulum, Reacher2d, TwoModeBandit,
};
#[cfg(feature = "mujoco")]
use crate::mujoco::{
    AdroitEnv, AntGoal, AntGoalConfig, FetchConfig, FetchEnv, GymEnv, HandConfig, HandEnv,
    KitchenConfig, KitchenEnv, MazeConfig, MazeEnv,
};
use crate::options::{AT, Options};
use crate::probe::{Probe, ProbeEnv};
use crate::wrappers::wrapped;
use crate::{Env, EnvError, TimeLimit};

/// Builds the environment with the given full id from the settings behind it.
type Build = Box<dyn Fn(&str, &mut Options) -> Result<Box<dyn Env>, EnvError>>;

/// Every id with how to build it. A new environment is one line here.
fn table() -> Vec<(&'static str, Build)> {
    let mut table = vec![
        entry("MultiGoal-v0", |_| Ok(MultiGoal::new())),
        entry("TwoModeBandit-v0", |_| Ok(TwoModeBandit::new())),
        entry("Pendulum-v1", |_| Ok(Pendulum::new())),
        entry("MountainCarContinuous-v0", |_| {
            Ok(MountainCarContinuous::new())
        }),
        entry("CartPoleSwingUp-v0", |_| Ok(CartPoleSwingUp::new())),
        entry("AcrobotContinuous-v0", |_| Ok(AcrobotContinuous::new())),
        entry("Reacher2d-v0", |_| Ok(Reacher2d::new())),
    ];
    for layout in MazeLayout::ALL {
        table.push(entry(layout.id(), move |options| {
            Maze2d::new(layout, Maze2dConfig::take(options)?)
        }));
    }
    for probe in Probe::ALL {
        table.push(entry(probe.id(), move |_| Ok(ProbeEnv::new(probe))));
    }
    #[cfg(feature = "mujoco")]
    add_mujoco(&mut table);
    table
}

#[cfg(feature = "mujoco")]
fn add_mujoco(table: &mut Vec<(&'static str, Build)>) {
    for id in GymEnv::ids() {
        table.push(entry(id, move |_| GymEnv::new(id)));
    }
    for id in KitchenEnv::ids() {
        table.push((id, kitchen(id)));
    }
    for id in MazeEnv::ids() {
        table.push(entry(id, move |options| {
            MazeEnv::new(id, MazeConfig::take(options)?)
        }));
    }
    for id in FetchEnv::ids() {
        table.push(entry(id, move |options| {
            FetchEnv::new(id, FetchConfig::take(id, options)?)
        }));
    }
    table.push(entry(AntGoal::ID, |options| {
        AntGoal::new(AntGoalConfig::take(options)?)
    }));
    for id in AdroitEnv::ids() {
        table.push(entry(id, move |_| AdroitEnv::new(id)));
    }
    for id in HandEnv::ids() {
        table.push(entry(id, move |options| {
            HandEnv::new(id, HandConfig::take(options)?)
        }));
    }
}

/// The kitchen that an id stands for; its tasks may be any, so that not every id is listed.
#[cfg(feature = "mujoco")]
fn kitchen(id: &str) -> Build {
    let config = KitchenConfig::from_id(id).ok_or_else(|| unknown(id));
    Box::new(move |full_id, options| {
        let config = config.clone()?.with_settings(options)?;
        limited(KitchenEnv::new(config)?, full_id, options)
    })
}

#[cfg(not(feature = "mujoco"))]
fn kitchen(id: &str) -> Build {
    let error = unknown(id);
    Box::new(move |_, _| Err(error.clone()))
}

fn unknown(id: &str) -> EnvError {
    EnvError::UnknownId {
        id: id.to_owned(),
        nearest: nearest(id, 3),
    }
}

fn entry<E: Env + 'static>(
    id: &'static str,
    build: impl Fn(&mut Options) -> Result<E, EnvError> + 'static,
) -> (&'static str, Build) {
    let build: Build = Box::new(move |full_id, options| limited(build(options)?, full_id, options));
    (id, build)
}

/// Puts the time limit around `env`, and what else every environment can be asked for: `max_episode_steps` (0: no limit) and the settings
/// of the wrappers.
fn limited<E: Env + 'static>(
    env: E,
    full_id: &str,
    options: &mut Options,
) -> Result<Box<dyn Env>, EnvError> {
    let own = env.spec().max_episode_steps.unwrap_or(0);
    let limit = options.take("max_episode_steps", own)?;
    let env = TimeLimit::new(env).with_limit((limit > 0).then_some(limit));
    wrapped(Box::new(env.named(full_id)), options)
}

/// The ids that [`make`] knows; it also knows `FrankaKitchen-v1/TASK+TASK` for any tasks of the kitchen.
pub fn ids() -> Vec<&'static str> {
    table().into_iter().map(|(id, _)| id).collect()
}

/// Builds the environment `id`, with its time limit.
///
/// `ID@name=value,name=value` sets what the environment lets one set: `Maze2dMedium-v0@noise=1.5,coverage=0.25`, and for each
/// `max_episode_steps` (0: no limit) and the [wrappers](crate::wrappers) `action_repeat`, `pixels`, `frame_stack` and `action_chunk`. `gym:ID` is
/// Gymnasium's `ID` in a Python process (see [`bridge`](crate::bridge)), whose own time limit can only be shortened.
///
/// # Errors
/// [`EnvError::UnknownId`] with the nearest ids, [`EnvError::BadSetting`], or what building it reports
/// ([`EnvError::MujocoUnavailable`] and its siblings for the MuJoCo tasks, `EnvError::Bridge` for `gym:ID`).
pub fn make(id: &str) -> Result<Box<dyn Env>, EnvError> {
    #[cfg(unix)]
    if let Some(gym_id) = id.strip_prefix(crate::bridge::GYM_PREFIX) {
        return with_settings(id, crate::bridge::gym(base_id(gym_id), None)?);
    }
    let (base, mut options) = Options::split(id)?;
    let listed = table().into_iter().find(|(known, _)| *known == base);
    let build = listed.map_or_else(|| kitchen(base), |(_, build)| build);
    let env = build(id, &mut options)?;
    options.finish()?;
    Ok(env)
}

/// The id without the settings behind it.
pub fn base_id(full_id: &str) -> &str {
    full_id.split_once(AT).map_or(full_id, |(base, _)| base)
}

/// Puts around `env`, which has its time limit, what the settings of `full_id` ask for: those that [`make`] has for every environment.
///
/// # Errors
/// [`EnvError::BadSetting`].
pub fn with_settings<E: Env + 'static>(full_id: &str, env: E) -> Result<Box<dyn Env>, EnvError> {
    if base_id(full_id) == full_id {
        return Ok(Box::new(env));
    }
    let (_, mut options) = Options::split(full_id)?;
    let env = limited(env, full_id, &mut options)?;
    options.finish()?;
    Ok(env)
}

/// The `count` known ids with the smallest edit distance to `id`, letter case ignored.
fn nearest(id: &str, count: usize) -> Vec<String> {
    let wanted = id.to_lowercase();
    let mut ids = ids();
    ids.sort_by_key(|known| edit_distance(&wanted, &known.to_lowercase()));
    ids.truncate(count);
    ids.into_iter().map(str::to_owned).collect()
}

/// Levenshtein distance: insertions, deletions and substitutions that turn `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let substituted = diagonal + usize::from(letter != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::edit_distance;

    #[test]
    fn edit_distance_counts_insertions_deletions_and_substitutions() {
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("half", "half"), 0);
    }
}
