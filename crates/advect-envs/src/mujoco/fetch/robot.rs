//! The robot: its model, how it settles, and how an action moves it.

use super::table::Task;
use crate::EnvError;
use crate::mujoco::locate::Installation;
use crate::mujoco::models;
use crate::mujoco::sim::{Data, Kind, Model, View};

/// Physics steps per environment step.
pub(super) const SUBSTEPS: u32 = 20;
/// Environment steps that the robot settles for.
const SETTLING: u32 = 10;
/// Way that an action of 1 asks the gripper for, metres.
const REACH: f32 = 0.05;
/// What an action adds to the gripper's orientation: a gripper that points down, not normalised.
const DOWN: [f64; 4] = [1.0, 0.0, 1.0, 0.0];
/// From the gripper's first place to the one that it settles at.
const WAY_HOME: [f64; 3] = [-0.498, 0.005, -0.431];
/// Place of the right finger in positions and velocities; the left one follows.
pub(super) const FINGERS: usize = 13;
/// Place of the object in the positions.
pub(super) const OBJECT: usize = 15;
/// Gymnasium-Robotics' view.
const VIEW: View = View {
    look_at: [1.3, 0.75, 0.55],
    distance: 2.5,
    azimuth: 132.0,
    elevation: -14.0,
};

/// Where the parts of the robot stand in the simulation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// The body that is welded to the mocap body.
    hand: usize,
    /// The site between the fingers.
    pub(super) grip: usize,
    /// The site of the object.
    pub(super) object: Option<usize>,
}

impl Parts {
    /// Finds them by name.
    pub(super) fn find(task: &Task, model: &Model) -> Result<Self, EnvError> {
        let object = task.object.map(|_| model.index_of(Kind::Site, "object0"));
        Ok(Self {
            hand: model.index_of(Kind::Body, "robot0:gripper_link")?,
            grip: model.index_of(Kind::Site, "robot0:grip")?,
            object: object.transpose()?,
        })
    }

    /// Position and orientation of the hand, as the last physics step left them.
    pub(super) fn hand_pose(&self, data: &Data) -> [f64; 7] {
        let position = &data.xpos()[3 * self.hand..];
        let orientation = &data.xquat()[4 * self.hand..];
        std::array::from_fn(|i| match i {
            0..3 => position[i],
            _ => orientation[i - 3],
        })
    }
}

/// The state that every episode begins in, but for the object's place.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) qpos: Vec<f64>,
    pub(super) qvel: Vec<f64>,
    /// Place of the gripper.
    pub(super) gripper: [f64; 3],
    /// Height of the object, where there is one.
    pub(super) object_height: f64,
}

impl Home {
    /// Lets the robot and the object settle, as Gymnasium-Robotics' `_env_setup` does.
    pub(super) fn settle(task: &Task, parts: &Parts, data: &mut Data) -> Result<Self, EnvError> {
        let qpos = data.qpos_mut();
        qpos[..3].copy_from_slice(&task.base);
        if let Some(pose) = task.object {
            qpos[OBJECT..OBJECT + 7].copy_from_slice(&pose);
        }
        data.forward()?;
        let [x, y, z] = site(data, parts.grip);
        let [dx, dy, dz] = WAY_HOME;
        let target = [dx + x, dy + y, dz + task.extra_height + z];
        data.set_mocap(target, DOWN);
        data.step(SETTLING * SUBSTEPS, false)?;
        Ok(Self {
            qpos: data.qpos().to_vec(),
            qvel: data.qvel().to_vec(),
            gripper: site(data, parts.grip),
            object_height: parts.object.map_or(0.0, |object| site(data, object)[2]),
        })
    }
}

/// The model of a task, shared with other environments.
pub(super) fn model(task: &Task) -> Result<std::sync::Arc<Model>, EnvError> {
    models::shared(task.model, || {
        let path = Installation::locate()?.robotics_file(task.model)?;
        let mut model = Model::from_xml_path(&path)?;
        models::check_sizes(&model, task.model, task.sizes)?;
        model.reset_welds();
        Ok(model.seen_from(VIEW))
    })
}

/// Sends an action: the fingers relative to where they are, and the mocap body relative to the hand's `pose`.
pub(super) fn send(task: &Task, action: &[f32], pose: [f64; 7], data: &mut Data) {
    let mut clipped = [0.0_f32; 4];
    for (clipped, action) in clipped.iter_mut().zip(action) {
        *clipped = action.clamp(-1.0, 1.0);
    }
    let fingers = match task.blocked {
        true => 0.0,
        false => f64::from(clipped[3]),
    };
    // the first actuator moves the left finger, the second the right one
    let [right, left] = [FINGERS, FINGERS + 1].map(|finger| data.qpos()[finger] + fingers);
    for (ctrl, target) in data.ctrl_mut().iter_mut().zip([left, right]) {
        *ctrl = target;
    }
    let position = std::array::from_fn(|i| pose[i] + f64::from(clipped[i] * REACH));
    let orientation = std::array::from_fn(|i| pose[3 + i] + DOWN[i]);
    data.set_mocap(position, orientation);
}

/// Takes the steps of an action, and puts blocked fingers back.
pub(super) fn advance(task: &Task, data: &mut Data) -> Result<(), EnvError> {
    data.step(SUBSTEPS, false)?;
    if task.blocked {
        data.qpos_mut()[FINGERS..FINGERS + 2].fill(0.0);
        data.forward()?;
    }
    Ok(())
}

/// Position of a site.
pub(super) fn site(data: &Data, site: usize) -> [f64; 3] {
    let position = &data.site_xpos()[3 * site..];
    [position[0], position[1], position[2]]
}
