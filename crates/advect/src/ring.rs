//! The picture of FM-IRL on a ring in the plane of state and action: what its teacher generates, and where its discriminator sees the expert.

use crate::plot::{PlaneField, PlotError, plane_field};
use advect_algos::Dims;
use advect_algos::fm_irl::{FlowTeacher, TeacherConfig};
use advect_algos::imitation::{Minibatch, RewardModel};
use advect_algos::ppo::{ActorCritic, Policy};
use advect_rl::MeanMetrics;
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};
use std::f32::consts::TAU;

const DIMS: Dims = Dims { obs: 1, act: 1 };
/// The expert is a ring of this radius and width, the student fills a disc.
const RADIUS: f32 = 2.0;
const WIDTH: f32 = 0.05;
const DISC: f32 = 3.0;
/// The discriminator's rate for Maze2d.
const LR: f64 = 1e-3;
/// Rows of expert and of student in a step, and in the picture.
const ROWS: usize = 64;
const SHOWN: usize = 400;
/// The picture's plane and the squares per side on which the logit is taken.
const PLANE: (f64, f64) = (-3.5, 3.5);
const CELLS: usize = 70;
/// Level lines of the logit: where both are as likely, and on either side.
const LEVELS: [f64; 3] = [-0.3, 0.0, 0.3];

/// A point of the plane.
type Point = (f64, f64);

/// What a teacher and discriminator learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// Rows of the expert.
    pub expert: Vec<Point>,
    /// Samples of the teacher.
    pub samples: Vec<Point>,
    /// Logits at the corners of the picture's squares, row by row.
    logits: Vec<f32>,
}

impl Behaviour {
    /// Lets a small network learn for `steps` steps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn learn(steps: usize, seed: u64, device: &Device) -> Result<Self> {
        let config = TeacherConfig {
            width: 64,
            n_blocks: 2,
            time_dim: 16,
            // for smooth lines; learning does not depend on it
            reward_draws: 64,
            ..TeacherConfig::default()
        };
        let mut model = FlowTeacher::new(&config, LR, DIMS, seed, device)?;
        let mut stream = Stream::new(seed, "ring");
        // FM-IRL's discriminator does not look at the student's policy
        let net = ActorCritic::new(DIMS, &[1], &[1])?;
        let params = Tensor::zeros(net.layout().len(), DType::F32, device)?;
        let student = &Policy {
            net: &net,
            params: &params,
        };
        let mut means = MeanMetrics::default();
        for _ in 0..steps {
            let (expert, agent) = (ring(&mut stream, ROWS), disc(&mut stream, ROWS));
            let rows = Minibatch {
                expert: &tensor(&expert, device)?,
                agent: &tensor(&agent, device)?,
                student,
            };
            model.learn(rows, &mut means)?;
        }
        let (obs, act) = model.generate(SHOWN)?;
        let (obs, act) = (obs.flatten_all()?.to_vec1()?, act.flatten_all()?.to_vec1()?);
        Ok(Self {
            expert: ring(&mut stream, SHOWN),
            samples: obs.into_iter().zip(act).map(point).collect(),
            logits: model.logits(&tensor(&corners(), device)?, student)?,
        })
    }

    /// Part of the teacher's samples within 0.3 of the ring.
    pub fn share_on_ring(&self) -> f64 {
        let off = |p: &Point| (p.0.hypot(p.1) - f64::from(RADIUS)).abs();
        let near = self.samples.iter().filter(|p| off(p) < 0.3).count();
        near as f64 / self.samples.len().max(1) as f64
    }

    /// Mean logit at the expert's rows.
    pub fn mean_logit_on_ring(&self) -> f64 {
        let sum: f64 = self.expert.iter().map(|p| self.logit(p.0, p.1)).sum();
        sum / self.expert.len().max(1) as f64
    }

    /// The logit at the corner nearest to a point.
    pub fn logit(&self, x: f64, y: f64) -> f64 {
        let index = |v: f64| {
            let place = (v - PLANE.0) / (PLANE.1 - PLANE.0) * CELLS as f64;
            (place.round().max(0.0) as usize).min(CELLS)
        };
        f64::from(self.logits[index(x) * (CELLS + 1) + index(y)])
    }

    /// Draws it.
    ///
    /// # Errors
    /// What drawing reports.
    pub fn draw(&self, title: &str) -> std::result::Result<String, PlotError> {
        plane_field(&PlaneField {
            title,
            axes: ("state", "action"),
            plane: PLANE,
            field: &|x, y| self.logit(x, y),
            levels: &LEVELS,
            cells: CELLS,
            points: &[("expert", &self.expert), ("teacher", &self.samples)],
        })
    }
}

fn point((x, y): (f32, f32)) -> Point {
    (f64::from(x), f64::from(y))
}

fn polar(angle: f32, radius: f32) -> Point {
    point((radius * angle.cos(), radius * angle.sin()))
}

fn ring(stream: &mut Stream, rows: usize) -> Vec<Point> {
    let mut row = || {
        let angle = TAU * stream.uniform_f32();
        polar(angle, RADIUS + WIDTH * stream.normal_f32())
    };
    (0..rows).map(|_| row()).collect()
}

fn disc(stream: &mut Stream, rows: usize) -> Vec<Point> {
    let mut row = || {
        let angle = TAU * stream.uniform_f32();
        polar(angle, DISC * stream.uniform_f32().sqrt())
    };
    (0..rows).map(|_| row()).collect()
}

/// The corners of the picture's squares, those of one `x` behind each other.
fn corners() -> Vec<Point> {
    let at = |i: usize| PLANE.0 + (PLANE.1 - PLANE.0) * i as f64 / CELLS as f64;
    (0..=CELLS)
        .flat_map(|i| (0..=CELLS).map(move |j| (at(i), at(j))))
        .collect()
}

fn tensor(points: &[Point], device: &Device) -> Result<Tensor> {
    let values: Vec<f32> = points
        .iter()
        .flat_map(|(x, y)| [*x as f32, *y as f32])
        .collect();
    Tensor::from_vec(values, (points.len(), 2), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_where_their_logits_are_looked_up() {
        let behaviour = Behaviour {
            expert: vec![(0.0, 0.0)],
            samples: vec![(2.0, 0.0), (0.0, 0.5)],
            logits: corners()
                .iter()
                .map(|(x, y)| (x + 10.0 * y) as f32)
                .collect(),
        };
        for (x, y) in [(0.0, 0.0), (1.0, -2.0), (-3.5, 3.5)] {
            assert!((behaviour.logit(x, y) - (x + 10.0 * y)).abs() < 1e-4);
        }
        assert_eq!(behaviour.share_on_ring(), 0.5);
        let svg = behaviour.draw("a ring").unwrap();
        assert!(svg.contains("teacher") && svg.contains("a ring"));
    }
}
