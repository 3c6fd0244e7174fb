//! Rewards, costs and terminations.

use std::ops::{Add, Mul};

use super::observation::body;
use super::task::{Alive, ContactCost, CtrlCost, Forward, Healthy, Interval, Reward, Task, When};
use crate::mujoco::Data;

impl Task {
    /// What the next step's reward takes from before its physics.
    pub(super) fn measure(&self, data: &Data) -> f64 {
        match self.reward {
            Reward::Velocity { of, .. } => of.position(data),
            Reward::Reach {
                tip,
                target,
                when: When::Before,
            } => distance(data, tip, target),
            _ => 0.0,
        }
    }

    /// The reward of a step; `before` and `after` are [`Task::measure`] on both sides of it.
    pub(super) fn reward(&self, data: &Data, action: &[f32], before: f64, after: f64) -> f64 {
        let timestep = data.model().timestep();
        let reward = match self.reward {
            Reward::None => 0.0,
            Reward::Velocity { weight, .. } => {
                let dt = timestep * f64::from(self.frame_skip);
                weight * ((after - before) / dt)
            }
            Reward::Height => data.qpos()[2] / timestep + 1.0,
            Reward::Reach { tip, target, when } => match when {
                When::Before => -before,
                When::After => -distance(data, tip, target),
            },
            Reward::Push { tip, object, goal } => {
                -distance(data, object, goal) - 0.5 * distance(data, object, tip)
            }
            Reward::Balance => balance(data),
        };
        let alive = match self.alive {
            Alive::WhileHealthy(_) if !self.is_healthy(data) => 0.0,
            Alive::WhileHealthy(bonus) | Alive::Always(bonus) => bonus,
        };
        reward + alive - self.ctrl_cost.of(data, action) - self.contact_cost.of(data)
    }

    /// Whether the episode goes on.
    pub(super) fn is_healthy(&self, data: &Data) -> bool {
        let (qpos, qvel) = (data.qpos(), data.qvel());
        match self.healthy {
            Healthy::Always => true,
            Healthy::Inside(intervals) => intervals.iter().all(|interval| {
                coordinates(*interval, qpos, qvel).all(|s| interval.low < s && s < interval.high)
            }),
            Healthy::FiniteAnd(interval) => {
                let coordinate = qpos[interval.from];
                qpos.iter().chain(qvel).all(|s| s.is_finite())
                    && interval.low <= coordinate
                    && coordinate <= interval.high
            }
            Healthy::SiteAbove(height) => data.site_xpos()[2] > height,
        }
    }
}

impl Forward {
    fn position(self, data: &Data) -> f64 {
        match self {
            Self::Qpos0 => data.qpos()[0],
            Self::Body(body) => data.xpos()[3 * body],
            Self::CentreOfMass => {
                let mass = data.model().body_mass();
                let moments = mass.iter().zip(data.xipos().chunks_exact(3));
                let moment: f64 = moments.map(|(mass, position)| mass * position[0]).sum();
                moment / mass.iter().sum::<f64>()
            }
        }
    }
}

impl CtrlCost {
    fn of(self, data: &Data, action: &[f32]) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Action(weight) => f64::from(weight * sum_of_squares(action.len(), |i| action[i])),
            Self::Ctrl(weight) => {
                let ctrl = data.ctrl();
                weight * sum_of_squares(ctrl.len(), |i| ctrl[i])
            }
        }
    }
}

impl ContactCost {
    fn of(self, data: &Data) -> f64 {
        let forces = data.cfrc_ext();
        match self {
            Self::None => 0.0,
            Self::Clipped { weight, bound } => {
                weight * sum_of_squares(forces.len(), |i| forces[i].clamp(-bound, bound))
            }
            Self::Capped { weight, most } => {
                (weight * sum_of_squares(forces.len(), |i| forces[i])).min(most)
            }
        }
    }
}

/// The double pendulum's penalties for its tip, the first site, and its joints.
fn balance(data: &Data) -> f64 {
    let (x, z) = (data.site_xpos()[0], data.site_xpos()[2]);
    let (v_1, v_2) = (data.qvel()[1], data.qvel()[2]);
    let distance = 0.01 * x.powi(2) + (z - 2.0).powi(2);
    let velocity = 1e-3 * v_1.powi(2) + 5e-3 * v_2.powi(2);
    -distance - velocity
}

fn distance(data: &Data, a: usize, b: usize) -> f64 {
    let (a, b) = (body(data, a), body(data, b));
    (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt()
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
pub(in crate::mujoco) fn sum_of_squares<T>(len: usize, value: impl Fn(usize) -> T) -> T
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
