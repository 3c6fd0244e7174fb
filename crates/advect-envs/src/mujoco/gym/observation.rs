//! Observations: every part of a task's list, read from the simulation.

use super::task::Part;
use crate::mujoco::{Data, Model};

/// Bound of the constraint forces.
const MAX_CONSTRAINT_FORCE: f64 = 10.0;

/// How many numbers the parts have together.
pub(in crate::mujoco) fn len_of(parts: &[Part], model: &Model) -> usize {
    parts.iter().map(|part| part.len(model)).sum()
}

/// Writes the parts behind one another.
pub(in crate::mujoco) fn write_all(parts: &[Part], data: &Data, out: &mut [f64]) {
    let mut rest = out;
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len(data.model()));
        part.write(data, head);
        rest = tail;
    }
}

impl Part {
    /// How many numbers it has.
    pub(super) fn len(self, model: &Model) -> usize {
        let bodies = model.nbody();
        match self {
            Self::QposFrom(first) => model.nq() - first,
            Self::Qvel | Self::QvelClipped(_) => model.nv(),
            Self::QposHead(len)
            | Self::QvelHead(len)
            | Self::QfrcConstraintHead(len)
            | Self::Cos { len, .. }
            | Self::Sin { len, .. }
            | Self::Between { len, .. } => len,
            Self::Body(_) => 3,
            Self::CinertFrom(first) => 10 * (bodies - first),
            Self::CvelFrom(first) | Self::CfrcExtFrom(first) => 6 * (bodies - first),
            Self::CfrcExtClipped(_) => 6 * (bodies - 1),
            Self::QfrcActuatorFrom(first) => model.nv() - first,
        }
    }

    /// Writes its numbers, as many as [`Part::len`].
    pub(super) fn write(self, data: &Data, out: &mut [f64]) {
        match self {
            Self::QposFrom(first) => out.copy_from_slice(&data.qpos()[first..]),
            Self::QposHead(len) => out.copy_from_slice(&data.qpos()[..len]),
            Self::Cos { from, .. } => map(out, &data.qpos()[from..], f64::cos),
            Self::Sin { from, .. } => map(out, &data.qpos()[from..], f64::sin),
            Self::Qvel => out.copy_from_slice(data.qvel()),
            Self::QvelHead(len) => out.copy_from_slice(&data.qvel()[..len]),
            Self::QvelClipped(bound) => clip(out, data.qvel(), bound),
            Self::Body(body) => out.copy_from_slice(&data.xpos()[3 * body..][..3]),
            Self::Between { from, to, .. } => {
                for ((out, from), to) in out.iter_mut().zip(body(data, from)).zip(body(data, to)) {
                    *out = to - from;
                }
            }
            Self::CinertFrom(first) => out.copy_from_slice(&data.cinert()[10 * first..]),
            Self::CvelFrom(first) => out.copy_from_slice(&data.cvel()[6 * first..]),
            Self::QfrcActuatorFrom(first) => out.copy_from_slice(&data.qfrc_actuator()[first..]),
            Self::CfrcExtFrom(first) => out.copy_from_slice(&data.cfrc_ext()[6 * first..]),
            Self::CfrcExtClipped(bound) => clip(out, &data.cfrc_ext()[6..], bound),
            Self::QfrcConstraintHead(_) => {
                clip(out, data.qfrc_constraint(), MAX_CONSTRAINT_FORCE);
            }
        }
    }
}

/// Position of a body's frame.
pub(super) fn body(data: &Data, index: usize) -> [f64; 3] {
    let position = &data.xpos()[3 * index..];
    [position[0], position[1], position[2]]
}

fn map(out: &mut [f64], values: &[f64], f: impl Fn(f64) -> f64) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = f(*value);
    }
}

fn clip(out: &mut [f64], values: &[f64], bound: f64) {
    map(out, values, |value| value.clamp(-bound, bound));
}
