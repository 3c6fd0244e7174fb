//! Expert and student of section 8's ring: states and actions in the plane.

use std::error::Error;

use advect_algos::Dims;
use advect_algos::imitation::{Minibatch, RewardModel};
use advect_algos::ppo::{ActorCritic, Policy};
use advect_rl::MeanMetrics;
use advect_rng::Stream;
use candle_core::{DType, Device, Tensor};

pub const RING: Dims = Dims { obs: 1, act: 1 };

fn points(mut point: impl FnMut() -> (f32, f32), rows: usize) -> candle_core::Result<Tensor> {
    let row = |(angle, radius): (f32, f32)| [radius * angle.cos(), radius * angle.sin()];
    let points: Vec<f32> = (0..rows).flat_map(|_| row(point())).collect();
    Tensor::from_vec(points, (rows, 2), &Device::Cpu)
}

/// The ring of radius 2, 0.05 wide.
pub fn ring(stream: &mut Stream, rows: usize) -> candle_core::Result<Tensor> {
    let mut point = || {
        let angle = std::f32::consts::TAU * stream.uniform_f32();
        (angle, 2.0 + 0.05 * stream.normal_f32())
    };
    points(&mut point, rows)
}

pub fn disc(radius: f32, stream: &mut Stream, rows: usize) -> candle_core::Result<Tensor> {
    let mut point = || {
        let angle = std::f32::consts::TAU * stream.uniform_f32();
        (angle, radius * stream.uniform_f32().sqrt())
    };
    points(&mut point, rows)
}

/// A student whose parameters are zero: standard normal actions.
pub struct Pupil {
    net: ActorCritic,
    params: Tensor,
}

impl Pupil {
    pub fn new() -> candle_core::Result<Self> {
        let net = ActorCritic::new(RING, &[4], &[4])?;
        let params = Tensor::zeros(net.layout().len(), DType::F32, &Device::Cpu)?;
        Ok(Self { net, params })
    }

    pub fn student(&self) -> Policy<'_> {
        Policy {
            net: &self.net,
            params: &self.params,
        }
    }
}

/// Draws rows from a stream.
pub type Rows = fn(&mut Stream, usize) -> candle_core::Result<Tensor>;

/// Steps of a discriminator on these rows of the expert and of the student.
pub fn learn_from(
    model: &mut impl RewardModel,
    steps: usize,
    [expert, agent]: [Rows; 2],
) -> Result<MeanMetrics, Box<dyn Error>> {
    let pupil = Pupil::new()?;
    let (mut stream, mut means) = (Stream::new(1, "ring"), MeanMetrics::default());
    for _ in 0..steps {
        let (expert, agent) = (expert(&mut stream, 64)?, agent(&mut stream, 64)?);
        let rows = Minibatch {
            expert: &expert,
            agent: &agent,
            student: &pupil.student(),
        };
        model.learn(rows, &mut means)?;
    }
    Ok(means)
}

/// Steps of a discriminator on the ring against the disc of radius 3.
pub fn learn(model: &mut impl RewardModel, steps: usize) -> Result<MeanMetrics, Box<dyn Error>> {
    learn_from(model, steps, [ring, |stream, rows| disc(3.0, stream, rows)])
}

/// Mean logits of rows.
pub fn mean_logit(model: &mut impl RewardModel, x: &Tensor) -> Result<f32, Box<dyn Error>> {
    let logits = model.logits(x, &Pupil::new()?.student())?;
    Ok(logits.iter().sum::<f32>() / logits.len() as f32)
}

/// Mean logits on the ring and in its middle.
pub fn logits(model: &mut impl RewardModel) -> Result<[f32; 2], Box<dyn Error>> {
    let mut stream = Stream::new(2, "ring");
    let [on, inside] = [ring(&mut stream, 512)?, disc(1.3, &mut stream, 512)?];
    Ok([mean_logit(model, &on)?, mean_logit(model, &inside)?])
}
