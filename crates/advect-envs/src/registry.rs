//! Environments by id.

use crate::embedded::{
    AcrobotContinuous, CartPoleSwingUp, Maze2d, Maze2dConfig, MazeLayout, MountainCarContinuous,
    MultiGoal, Pendulum, Reacher2d,
};
#[cfg(feature = "mujoco")]
use crate::mujoco::{GymEnv, KitchenConfig, KitchenEnv, MazeConfig, MazeEnv};
use crate::probe::{Probe, ProbeEnv};
use crate::{Env, EnvError, TimeLimit};

type Build = Box<dyn Fn() -> Result<Box<dyn Env>, EnvError>>;

/// Every id with how to build it. A new environment is one line here.
fn table() -> Vec<(&'static str, Build)> {
    let mut table = vec![
        entry("MultiGoal-v0", || Ok(TimeLimit::new(MultiGoal::new()))),
        entry("Pendulum-v1", || Ok(TimeLimit::new(Pendulum::new()))),
        entry("MountainCarContinuous-v0", || {
            Ok(TimeLimit::new(MountainCarContinuous::new()))
        }),
        entry("CartPoleSwingUp-v0", || {
            Ok(TimeLimit::new(CartPoleSwingUp::new()))
        }),
        entry("AcrobotContinuous-v0", || {
            Ok(TimeLimit::new(AcrobotContinuous::new()))
        }),
        entry("Reacher2d-v0", || Ok(TimeLimit::new(Reacher2d::new()))),
    ];
    for layout in MazeLayout::ALL {
        table.push(entry(layout.id(), move || {
            Maze2d::new(layout, Maze2dConfig::default()).map(TimeLimit::new)
        }));
    }
    for probe in Probe::ALL {
        table.push(entry(probe.id(), move || {
            Ok(TimeLimit::new(ProbeEnv::new(probe)))
        }));
    }
    #[cfg(feature = "mujoco")]
    add_mujoco(&mut table);
    table
}

#[cfg(feature = "mujoco")]
fn add_mujoco(table: &mut Vec<(&'static str, Build)>) {
    for id in GymEnv::ids() {
        table.push(entry(id, move || GymEnv::new(id).map(TimeLimit::new)));
    }
    for id in KitchenEnv::ids() {
        table.push((
            id,
            Box::new(move || kitchen(id).unwrap_or_else(|| Err(unknown(id)))),
        ));
    }
    for id in MazeEnv::ids() {
        table.push(entry(id, move || {
            MazeEnv::new(id, MazeConfig::default()).map(TimeLimit::new)
        }));
    }
}

/// The kitchen that an id stands for, if it is one: its tasks may be any, so that not every id is listed.
#[cfg(feature = "mujoco")]
fn kitchen(id: &str) -> Option<Result<Box<dyn Env>, EnvError>> {
    let config = KitchenConfig::from_id(id)?;
    let env = KitchenEnv::named(id, config);
    Some(env.map(|env| Box::new(TimeLimit::new(env)) as Box<dyn Env>))
}

#[cfg(not(feature = "mujoco"))]
fn kitchen(_id: &str) -> Option<Result<Box<dyn Env>, EnvError>> {
    None
}

fn unknown(id: &str) -> EnvError {
    EnvError::UnknownId {
        id: id.to_owned(),
        nearest: nearest(id, 3),
    }
}

fn entry<E: Env + 'static>(
    id: &'static str,
    build: impl Fn() -> Result<E, EnvError> + 'static,
) -> (&'static str, Build) {
    (id, Box::new(move || Ok(Box::new(build()?))))
}

/// The ids that [`make`] knows; it also knows `FrankaKitchen-v1/TASK+TASK` for any tasks of the kitchen.
pub fn ids() -> Vec<&'static str> {
    table().into_iter().map(|(id, _)| id).collect()
}

/// Builds the environment `id`, with its time limit. `gym:ID` is Gymnasium's `ID` in a Python process (see
/// [`bridge`](crate::bridge)).
///
/// # Errors
/// [`EnvError::UnknownId`] with the nearest ids, or what building it reports
/// ([`EnvError::MujocoUnavailable`] and its siblings for the MuJoCo tasks, `EnvError::Bridge` for `gym:ID`).
pub fn make(id: &str) -> Result<Box<dyn Env>, EnvError> {
    #[cfg(unix)]
    if let Some(gym_id) = id.strip_prefix(crate::bridge::GYM_PREFIX) {
        return Ok(Box::new(crate::bridge::gym(gym_id, None)?));
    }
    match table().into_iter().find(|(known, _)| *known == id) {
        Some((_, build)) => build(),
        None => kitchen(id).unwrap_or_else(|| Err(unknown(id))),
    }
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
