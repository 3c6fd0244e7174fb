//! What Gymnasium-Robotics' four tasks for the Adroit hand are made of.

use advect_rng::Stream;

use super::{door, hammer, pen, relocate};
use crate::EnvError;
use crate::mujoco::rotation;
use crate::mujoco::sim::{Data, Field, Kind, Model};

/// Every task.
pub(super) const TASKS: [&Task; 4] = [&door::TASK, &hammer::TASK, &pen::TASK, &relocate::TASK];

/// One task.
pub(super) struct Task {
    /// The ids with dense and with sparse rewards.
    pub(super) ids: [&'static str; 2],
    /// Model file of the gymnasium-robotics wheel.
    pub(super) model: &'static str,
    /// `nq`, `nv` and `nu` of the model.
    pub(super) sizes: [usize; 3],
    pub(super) obs_dim: usize,
    /// The things whose places the observation and the reward are about, by their position in this list.
    pub(super) things: &'static [Thing],
    /// Which numbers of the model a reset draws.
    pub(super) drawn: &'static [Slot],
    pub(super) draw: Draw,
    /// What a reset measures for later.
    pub(super) lengths: fn(&Scene<'_>) -> [f64; 2],
    /// Writes the observation `[obs_dim]`.
    pub(super) observe: fn(&Scene<'_>, &mut [f64]),
    pub(super) judge: fn(&Scene<'_>) -> Judgement,
}

/// Something with a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Thing {
    Body(&'static str),
    Site(&'static str),
}

/// Numbers `from..from + len` of one thing in a field of the model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) field: Field,
    pub(super) name: &'static str,
    pub(super) from: usize,
    pub(super) len: usize,
}

/// How a reset draws the numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Draw {
    /// Each uniformly between two bounds.
    Uniform(&'static [[f64; 2]]),
    /// The quaternion of the Euler angles `(U(-1, 1), U(-1, 1), 0)`.
    Tilt,
}

impl Draw {
    pub(super) fn draw(self, rng: &mut Stream) -> Vec<f64> {
        let mut between = |low: f64, high: f64| low + (high - low) * rng.uniform_f64();
        match self {
            Self::Uniform(bounds) => bounds.iter().map(|[l, h]| between(*l, *h)).collect(),
            Self::Tilt => {
                let tilt = [between(-1.0, 1.0), between(-1.0, 1.0), 0.0];
                rotation::from_euler(tilt).to_vec()
            }
        }
    }
}

/// What a state is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judgement {
    /// Whether the task is achieved.
    pub(super) achieved: bool,
    /// The dense reward.
    pub(super) reward: f64,
}

/// A thing found in a model.
#[derive(Debug, Clone, Copy)]
enum Found {
    Body(usize),
    Site(usize),
}

/// The things and numbers of a task, found in its model.
#[derive(Debug)]
pub(super) struct Places {
    things: Vec<Found>,
    /// Field and index of each number that a reset draws.
    drawn: Vec<(Field, usize)>,
}

impl Places {
    pub(super) fn find(task: &Task, model: &Model) -> Result<Self, EnvError> {
        let thing = |thing: &Thing| match *thing {
            Thing::Body(name) => model.index_of(Kind::Body, name).map(Found::Body),
            Thing::Site(name) => model.index_of(Kind::Site, name).map(Found::Site),
        };
        let things = task.things.iter().map(thing).collect::<Result<_, _>>()?;
        let mut drawn = Vec::new();
        for slot in task.drawn {
            let (kind, each) = slot.field.of();
            let start = each * model.index_of(kind, slot.name)? + slot.from;
            drawn.extend((start..start + slot.len).map(|index| (slot.field, index)));
        }
        Ok(Self { things, drawn })
    }

    /// How many numbers a reset draws.
    pub(super) fn drawn_len(&self) -> usize {
        self.drawn.len()
    }

    /// Writes the numbers that a reset draws into the simulation's own model.
    pub(super) fn write(&self, data: &mut Data, numbers: &[f64]) -> Result<(), EnvError> {
        let model = data.model_mut()?;
        for ((field, index), number) in self.drawn.iter().zip(numbers) {
            model.field_mut(*field)[*index] = *number;
        }
        Ok(())
    }
}

/// What an observation and a reward are made from: places are as the last physics step left them, one step behind the positions.
pub(super) struct Scene<'a> {
    pub(super) data: &'a Data,
    pub(super) places: &'a Places,
    /// What [`Task::lengths`] measured at the reset.
    pub(super) lengths: [f64; 2],
}

impl Scene<'_> {
    /// Where the thing is.
    pub(super) fn at(&self, thing: usize) -> [f64; 3] {
        let (all, index) = match self.places.things[thing] {
            Found::Body(index) => (self.data.xpos(), index),
            Found::Site(index) => (self.data.site_xpos(), index),
        };
        [all[3 * index], all[3 * index + 1], all[3 * index + 2]]
    }

    /// The rotation of a body.
    pub(super) fn turned(&self, thing: usize) -> rotation::Quat {
        let index = match self.places.things[thing] {
            Found::Body(index) => index,
            Found::Site(_) => return [1.0, 0.0, 0.0, 0.0],
        };
        let all = self.data.xquat();
        [0, 1, 2, 3].map(|part| all[4 * index + part])
    }

    /// The distance of two things.
    pub(super) fn distance(&self, a: usize, b: usize) -> f64 {
        rotation::norm(&minus(self.at(a), self.at(b)))
    }
}

/// The lengths of a task that needs none.
pub(super) fn no_lengths(_: &Scene<'_>) -> [f64; 2] {
    [1.0; 2]
}

/// `a - b`
pub(super) fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// Writes the parts behind one another.
pub(super) fn write(out: &mut [f64], parts: &[&[f64]]) {
    let numbers = parts.iter().copied().flatten();
    for (out, number) in out.iter_mut().zip(numbers) {
        *out = *number;
    }
}
