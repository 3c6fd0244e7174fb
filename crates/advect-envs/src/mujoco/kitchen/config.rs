//! Which tasks a kitchen has, and its ids.

use std::sync::LazyLock;

use super::task::{KitchenTask, SETS, TaskSet};
use crate::EnvError;
use crate::options::Options;

/// Gymnasium-Robotics' id, and the part of ours before the task set.
const ID: &str = "FrankaKitchen-v1";

/// What a kitchen asks for; the default is Gymnasium-Robotics'.
#[derive(Debug, Clone, PartialEq)]
pub struct KitchenConfig {
    /// The tasks to complete, in any order; all seven by default.
    pub tasks: Vec<KitchenTask>,
    /// Scale of the noise on the robot's observed positions and velocities; 0.01 by default.
    pub robot_noise_ratio: f64,
    /// Scale of the noise on those of the things; 0.0005 by default.
    pub object_noise_ratio: f64,
    /// Whether the episode terminates once every task has been completed; true by default.
    pub terminate_on_tasks_completed: bool,
    /// Whether a task is rewarded only once per episode, instead of at every step at which it is complete; true by default.
    pub remove_task_when_completed: bool,
}

impl Default for KitchenConfig {
    fn default() -> Self {
        Self {
            tasks: KitchenTask::ALL.to_vec(),
            robot_noise_ratio: 0.01,
            object_noise_ratio: 0.0005,
            terminate_on_tasks_completed: true,
            remove_task_when_completed: true,
        }
    }
}

impl KitchenConfig {
    /// The default with other tasks.
    pub fn with_tasks(tasks: &[KitchenTask]) -> Self {
        Self {
            tasks: tasks.to_vec(),
            ..Self::default()
        }
    }

    /// The same with the settings behind an id: the names of these fields, but for the tasks.
    pub(crate) fn with_settings(self, options: &mut Options) -> Result<Self, EnvError> {
        Ok(Self {
            robot_noise_ratio: options.take("robot_noise_ratio", self.robot_noise_ratio)?,
            object_noise_ratio: options.take("object_noise_ratio", self.object_noise_ratio)?,
            terminate_on_tasks_completed: options.take(
                "terminate_on_tasks_completed",
                self.terminate_on_tasks_completed,
            )?,
            remove_task_when_completed: options.take(
                "remove_task_when_completed",
                self.remove_task_when_completed,
            )?,
            tasks: self.tasks,
        })
    }

    /// What an id stands for: `FrankaKitchen-v1`, with all tasks; `FrankaKitchen-v1/SET` for D4RL's sets `complete`, `partial`
    /// and `mixed`; `FrankaKitchen-v1/TASK+TASK` for tasks by [name](KitchenTask::name). `None` for any other id.
    pub fn from_id(id: &str) -> Option<Self> {
        let rest = id.strip_prefix(ID)?;
        if rest.is_empty() {
            return Some(Self::default());
        }
        let names = rest.strip_prefix('/')?;
        if let Some((_, tasks)) = SETS.iter().find(|(name, _)| *name == names) {
            return Some(Self::with_tasks(tasks));
        }
        let tasks: Option<Vec<_>> = names.split('+').map(KitchenTask::from_name).collect();
        tasks.map(|tasks| Self::with_tasks(&tasks))
    }

    /// The shortest listed id of the tasks: Gymnasium's for all of them, else their names.
    pub fn id(&self) -> String {
        let set = self.task_set();
        if set == KitchenTask::ALL.into_iter().collect() {
            return ID.to_owned();
        }
        let names: Vec<&str> = set.tasks().map(KitchenTask::name).collect();
        format!("{ID}/{}", names.join("+"))
    }

    /// Checks that there is a task and that the noise is one.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`].
    pub fn check(&self) -> Result<(), EnvError> {
        let bad = |what: &'static str, problem: &str| EnvError::BadSetting {
            id: ID.to_owned(),
            what,
            problem: problem.to_owned(),
        };
        if self.tasks.is_empty() {
            return Err(bad("the task list", "is empty; name at least one"));
        }
        let ratios = [self.robot_noise_ratio, self.object_noise_ratio];
        if ratios
            .iter()
            .all(|ratio| ratio.is_finite() && *ratio >= 0.0)
        {
            return Ok(());
        }
        Err(bad(
            "a noise ratio",
            "is negative or not finite; give 0 or more",
        ))
    }

    pub(super) fn task_set(&self) -> TaskSet {
        self.tasks.iter().copied().collect()
    }
}

/// The ids that are listed: all tasks, the named sets, the single tasks.
pub(super) fn listed() -> impl Iterator<Item = &'static str> {
    static IDS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let sets = SETS.into_iter().map(|(name, _)| name);
        let names = sets.chain(KitchenTask::ALL.into_iter().map(KitchenTask::name));
        let ids = names.map(|name| format!("{ID}/{name}"));
        [ID.to_owned()].into_iter().chain(ids).collect()
    });
    IDS.iter().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_tasks() {
        use KitchenTask::{BottomBurner, Kettle, LightSwitch, Microwave, SlideCabinet};
        let tasks = |id: &str| KitchenConfig::from_id(id).map(|config| config.tasks);
        assert_eq!(tasks("FrankaKitchen-v1"), Some(KitchenTask::ALL.to_vec()));
        let complete = Some(vec![Microwave, Kettle, LightSwitch, SlideCabinet]);
        assert_eq!(tasks("FrankaKitchen-v1/complete"), complete);
        assert_eq!(tasks("FrankaKitchen-v1/partial"), complete);
        let mixed = Some(vec![Microwave, Kettle, BottomBurner, LightSwitch]);
        assert_eq!(tasks("FrankaKitchen-v1/mixed"), mixed);
        let two = Some(vec![Kettle, Microwave]);
        assert_eq!(tasks("FrankaKitchen-v1/kettle+microwave"), two);
        for id in [
            "FrankaKitchen-v2",
            "FrankaKitchen-v1/",
            "FrankaKitchen-v1microwave",
            "FrankaKitchen-v1/microwave+",
            "FrankaKitchen-v1/complete+microwave",
            "FrankaKitchen-v1/sofa",
        ] {
            assert_eq!(tasks(id), None, "{id}");
        }
    }

    #[test]
    fn an_id_of_a_config_names_its_tasks() {
        assert_eq!(KitchenConfig::default().id(), "FrankaKitchen-v1");
        for id in listed() {
            let config = KitchenConfig::from_id(id).unwrap();
            let again = KitchenConfig::from_id(&config.id()).unwrap();
            assert_eq!(again.task_set(), config.task_set(), "{id}");
        }
        assert_eq!(listed().count(), 11);
    }

    #[test]
    fn what_is_no_kitchen_is_refused() {
        assert_eq!(KitchenConfig::default().check(), Ok(()));
        assert!(KitchenConfig::with_tasks(&[]).check().is_err());
        for ratio in [-0.1, f64::NAN, f64::INFINITY] {
            let config = KitchenConfig {
                object_noise_ratio: ratio,
                ..KitchenConfig::default()
            };
            let error = config.check().unwrap_err();
            assert!(error.to_string().contains("noise"), "{error}");
        }
    }
}
