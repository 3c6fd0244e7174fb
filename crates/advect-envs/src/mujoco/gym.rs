//! Gymnasium's MuJoCo environments: the skeleton that the rows of [`super::tasks`] share.

use std::collections::HashMap;
use std::ops::{Add, Mul};
use std::sync::{Arc, Mutex, Weak};

use advect_rng::Stream;

use super::dl::lock;
use super::locate::Installation;
use super::sim::{Data, Model};
use super::tasks::{
    ContactCost, CtrlCost, Forward, Healthy, Interval, Part, ResetNoise, TASKS, Task,
};
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Step};

/// Compiled models that some environment still uses, by file name.
static MODELS: Mutex<Option<HashMap<&'static str, Weak<Model>>>> = Mutex::new(None);

/// A MuJoCo task of Gymnasium, without its time limit ([`crate::make`] adds it).
///
/// Observations are bit-identical with gymnasium 1.4.0 on the same MuJoCo library. First states are drawn
/// from the same distributions but other streams; [`GymEnv::reset_to`] starts from a given state. As in
/// Gymnasium, quantities that MuJoCo derives (`xpos`, `cinert`, ...) are read as the last physics step left
/// them, one step behind the positions.
pub struct GymEnv {
    task: &'static Task,
    spec: EnvSpec,
    data: Data,
    contact_forces: bool,
    /// The rewarded x coordinate after the last step.
    x: f64,
}

impl std::fmt::Debug for GymEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GymEnv")
            .field("id", &self.task.id)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl GymEnv {
    /// The ids that [`GymEnv::new`] knows.
    pub fn ids() -> impl Iterator<Item = &'static str> {
        TASKS.iter().map(|task| task.id)
    }

    /// Builds the task `id`; environments of the same model share it.
    ///
    /// # Errors
    /// [`EnvError::UnknownId`], those of finding and opening MuJoCo, [`EnvError::MujocoModel`].
    pub fn new(id: &str) -> Result<Self, EnvError> {
        let Some(task) = TASKS.iter().find(|task| task.id == id) else {
            return Err(EnvError::UnknownId {
                id: id.to_owned(),
                nearest: Self::ids().map(str::to_owned).collect(),
            });
        };
        let model = shared_model(task.model)?;
        let spec = spec(task, &model);
        let data = Data::new(model)?;
        let contact_forces = task.obs.iter().any(|part| part.needs_contact_forces());
        Ok(Self {
            task,
            spec,
            data,
            contact_forces,
            x: 0.0,
        })
    }

    /// The simulation.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Starts an episode in the given state: `qpos [nq]`, `qvel [nv]`.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], [`EnvError::MujocoFailed`].
    pub fn reset_to(
        &mut self,
        qpos: &[f64],
        qvel: &[f64],
        obs: &mut [f64],
    ) -> Result<(), EnvError> {
        let (nq, nv) = (self.data.model().nq(), self.data.model().nv());
        self.spec.check_len("qpos", nq, qpos.len())?;
        self.spec.check_len("qvel", nv, qvel.len())?;
        self.spec.check_obs(obs)?;
        self.data.reset()?;
        self.data.qpos_mut().copy_from_slice(qpos);
        self.data.qvel_mut().copy_from_slice(qvel);
        self.start(obs)
    }

    /// Completes a reset whose positions and velocities are written.
    fn start(&mut self, obs: &mut [f64]) -> Result<(), EnvError> {
        self.data.forward()?;
        self.x = self.forward_position();
        self.observe(obs);
        Ok(())
    }

    fn observe(&self, obs: &mut [f64]) {
        let mut rest = obs;
        for part in self.task.obs {
            let (values, bound) = values(*part, &self.data);
            let (head, tail) = rest.split_at_mut(values.len());
            match bound {
                None => head.copy_from_slice(values),
                Some(bound) => {
                    for (out, value) in head.iter_mut().zip(values) {
                        *out = value.clamp(-bound, bound);
                    }
                }
            }
            rest = tail;
        }
    }

    fn forward_position(&self) -> f64 {
        match self.task.forward {
            Forward::Qpos0 => self.data.qpos()[0],
            Forward::Body(body) => self.data.xpos()[3 * body],
            Forward::CentreOfMass => {
                let mass = self.data.model().body_mass();
                let moments = mass.iter().zip(self.data.xipos().chunks_exact(3));
                let moment: f64 = moments.map(|(mass, position)| mass * position[0]).sum();
                moment / mass.iter().sum::<f64>()
            }
        }
    }

    fn ctrl_cost(&self, action: &[f32]) -> f64 {
        match self.task.ctrl_cost {
            CtrlCost::Action(weight) => {
                f64::from(weight * sum_of_squares(action.len(), |i| action[i]))
            }
            CtrlCost::Ctrl(weight) => {
                let ctrl = self.data.ctrl();
                weight * sum_of_squares(ctrl.len(), |i| ctrl[i])
            }
        }
    }

    fn contact_cost(&self) -> f64 {
        let forces = self.data.cfrc_ext();
        match self.task.contact_cost {
            ContactCost::None => 0.0,
            ContactCost::Clipped { weight, bound } => {
                weight * sum_of_squares(forces.len(), |i| forces[i].clamp(-bound, bound))
            }
            ContactCost::Capped { weight, most } => {
                (weight * sum_of_squares(forces.len(), |i| forces[i])).min(most)
            }
        }
    }

    fn is_healthy(&self) -> bool {
        let (qpos, qvel) = (self.data.qpos(), self.data.qvel());
        match self.task.healthy {
            Healthy::Always => true,
            Healthy::Inside(intervals) => intervals.iter().all(|interval| {
                coordinates(*interval, qpos, qvel).all(|s| interval.low < s && s < interval.high)
            }),
            Healthy::FiniteAnd(interval) => {
                let height = qpos[interval.from];
                qpos.iter().chain(qvel).all(|s| s.is_finite())
                    && interval.low <= height
                    && height <= interval.high
            }
        }
    }
}

impl Env for GymEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.data.reset()?;
        let (ResetNoise::Uniform(scale) | ResetNoise::UniformNormal(scale)) = self.task.reset;
        let uniform = |rng: &mut Stream| scale * (2.0 * rng.uniform_f64() - 1.0);
        // mj_resetData has written the reference pose
        for position in self.data.qpos_mut() {
            *position += uniform(rng);
        }
        for velocity in self.data.qvel_mut() {
            *velocity = match self.task.reset {
                ResetNoise::Uniform(_) => uniform(rng),
                ResetNoise::UniformNormal(_) => scale * rng.normal_f64(),
            };
        }
        self.start(obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        for (ctrl, action) in self.data.ctrl_mut().iter_mut().zip(action) {
            *ctrl = f64::from(*action);
        }
        self.data.step(self.task.frame_skip, self.contact_forces)?;
        let x_before = std::mem::replace(&mut self.x, 0.0);
        self.x = self.forward_position();
        self.observe(obs);
        let dt = self.data.model().timestep() * f64::from(self.task.frame_skip);
        let forward = self.task.forward_weight * ((self.x - x_before) / dt);
        let healthy = self.is_healthy();
        let alive = if healthy {
            self.task.healthy_reward
        } else {
            0.0
        };
        let costs = self.ctrl_cost(action) + self.contact_cost();
        Ok(Step::ending(forward + alive - costs, !healthy))
    }

    /// The integration state and the x coordinate, which is derived and would be one step behind after a load.
    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&[self.x])
            .f64s(&self.data.integration_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let x = reader.f64()?;
        let mut integration = vec![0.0; self.data.integration_state_len()];
        reader.f64s(&mut integration)?;
        reader.finish()?;
        self.data.set_integration_state(&integration)?;
        self.x = x;
        Ok(())
    }
}

/// The model file, compiled unless an environment of this process has it already.
fn shared_model(file: &'static str) -> Result<Arc<Model>, EnvError> {
    let mut models = lock(&MODELS);
    let models = models.get_or_insert_default();
    if let Some(model) = models.get(file).and_then(Weak::upgrade) {
        return Ok(model);
    }
    let path = Installation::locate()?.models.join(file);
    let model = Arc::new(Model::from_xml_path(&path)?);
    models.insert(file, Arc::downgrade(&model));
    Ok(model)
}

fn spec(task: &Task, model: &Model) -> EnvSpec {
    let bounds = |side: usize| {
        let pairs = model.ctrl_range().chunks_exact(2);
        pairs.map(|pair| pair[side] as f32).collect()
    };
    EnvSpec {
        id: task.id.to_owned(),
        obs_dim: task.obs.iter().map(|part| len(*part, model)).sum(),
        act_dim: model.nu(),
        act_low: bounds(0),
        act_high: bounds(1),
        max_episode_steps: Some(task.max_episode_steps),
        reward_threshold: task.reward_threshold,
    }
}

/// Numbers in a part of the observation.
fn len(part: Part, model: &Model) -> usize {
    let bodies = model.nbody() - 1;
    match part {
        Part::QposFrom(first) => model.nq() - first,
        Part::Qvel | Part::QvelClipped(_) => model.nv(),
        Part::Cinert => 10 * bodies,
        Part::Cvel | Part::CfrcExt | Part::CfrcExtClipped(_) => 6 * bodies,
        Part::QfrcActuatorFrom(first) => model.nv() - first,
    }
}

/// The numbers of a part of the observation, and the bound to clip them to.
fn values(part: Part, data: &Data) -> (&[f64], Option<f64>) {
    match part {
        Part::QposFrom(first) => (&data.qpos()[first..], None),
        Part::Qvel => (data.qvel(), None),
        Part::QvelClipped(bound) => (data.qvel(), Some(bound)),
        Part::Cinert => (&data.cinert()[10..], None),
        Part::Cvel => (&data.cvel()[6..], None),
        Part::QfrcActuatorFrom(first) => (&data.qfrc_actuator()[first..], None),
        Part::CfrcExt => (&data.cfrc_ext()[6..], None),
        Part::CfrcExtClipped(bound) => (&data.cfrc_ext()[6..], Some(bound)),
    }
}

/// The coordinates of (qpos, qvel) that an interval is about.
fn coordinates<'a>(
    interval: Interval,
    qpos: &'a [f64],
    qvel: &'a [f64],
) -> impl Iterator<Item = f64> + 'a {
    let count = if interval.and_after { usize::MAX } else { 1 };
    let state = qpos.iter().chain(qvel).copied();
    state.skip(interval.from).take(count)
}

/// `sum_i value(i)^2` in NumPy's order of additions (eight running sums), for at most 128 numbers.
fn sum_of_squares<T>(len: usize, value: impl Fn(usize) -> T) -> T
where
    T: Copy + Default + Add<Output = T> + Mul<Output = T>,
{
    let square = |i: usize| value(i) * value(i);
    let blocks = len / 8 * 8;
    let mut sum = T::default();
    if blocks > 0 {
        let mut sums: [T; 8] = std::array::from_fn(square);
        for start in (8..blocks).step_by(8) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum = *sum + square(start + lane);
            }
        }
        let [a, b, c, d, e, f, g, h] = sums;
        sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    }
    (blocks..len).fold(sum, |sum, i| sum + square(i))
}

#[cfg(test)]
mod tests {
    use super::sum_of_squares;

    #[test]
    fn sums_of_squares_add_every_number_once() {
        for len in [0, 1, 7, 8, 9, 17, 84, 128] {
            let expected: f64 = (0..len).map(|i| (i * i) as f64).sum();
            assert_eq!(sum_of_squares(len, |i| i as f64), expected, "{len}");
        }
    }
}
