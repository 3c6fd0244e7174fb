//! The expert of FM-IRL's block in the hand: it looks ahead in a simulation of its own.

use advect_rng::Stream;

use super::Expert;
use crate::mujoco::{HandConfig, HandEnv};
use crate::{Env, EnvError};

const ID: &str = "CustomHandManipulateBlockRotateZ-v0";
/// Finger positions of an action.
const FINGERS: usize = 20;
/// Plans that are compared; the first is the last action.
const PLANS: usize = 24;
/// Environment steps that a plan is held for in the simulation.
const AHEAD: usize = 6;
/// Standard deviations of the plans around the last action, by turns.
const SPREADS: [f32; 2] = [0.1, 0.25];
/// What a step's progress loses in value for every step that it comes later.
const HASTE: f64 = 0.02;
/// Value of reaching the goal, beside the progress in radians.
const GOAL: f64 = 1.0;
/// Value that a metre of sinking costs, beyond what a block may sink in the palm.
const SINKING: f64 = 10.0;
const MAY_SINK: f64 = 0.005;
/// Where an observation has the block's height.
const HEIGHT: usize = 56;

/// Predictive sampling (Howell et al., arXiv 2212.00541, algorithm 1): each plan holds one action near the last for [`AHEAD`] steps; the one that turns the
/// block furthest towards the goal without dropping it is acted on, for one step.
///
/// ```text
/// value = sum_k (1 - 0.02 k) progress_k + [goal reached] - 10 max(0, sinking - 0.005 m)
/// ```
///
/// It knows what the observation says. Its plans are drawn from a stream of its own, so that a series of episodes is the same every time.
#[derive(Debug)]
struct BlockTurner {
    /// Made when it is first needed.
    simulation: Option<HandEnv>,
    last: [f32; FINGERS],
    plans: Stream,
}

/// The expert of the task `id`, if there is one.
pub(super) fn expert(id: &str) -> Option<Box<dyn Expert>> {
    let turner = BlockTurner {
        simulation: None,
        last: [0.0; FINGERS],
        plans: Stream::new(0, "experts/hand"),
    };
    (id == ID).then(|| Box::new(turner) as Box<dyn Expert>)
}

impl BlockTurner {
    /// An action near the last one.
    fn plan(&mut self, number: usize) -> [f32; FINGERS] {
        let mut plan = self.last;
        if number > 0 {
            let spread = SPREADS[number % SPREADS.len()];
            for finger in &mut plan {
                *finger = (*finger + spread * self.plans.normal_f32()).clamp(-1.0, 1.0);
            }
        }
        plan
    }
}

/// What holding an action from the observed state is worth.
fn value(simulation: &mut HandEnv, obs: &[f64], action: &[f32]) -> Result<f64, EnvError> {
    simulation.stand_at(obs)?;
    let mut seen = obs.to_vec();
    let mut value = 0.0;
    for k in 0..AHEAD {
        let step = simulation.step(action, &mut seen)?;
        value += step.reward * (1.0 - HASTE * k as f64);
        if step.terminated {
            value += GOAL;
            break;
        }
    }
    let sinking = obs[HEIGHT] - seen[HEIGHT];
    Ok(value - SINKING * (sinking - MAY_SINK).max(0.0))
}

impl Expert for BlockTurner {
    fn reset(&mut self) {
        self.last = [0.0; FINGERS];
    }

    fn act(&mut self, obs: &[f64], action: &mut [f32]) -> Result<(), EnvError> {
        let mut simulation = match self.simulation.take() {
            Some(simulation) => simulation,
            None => HandEnv::new(ID, HandConfig::default())?,
        };
        simulation.spec().check_obs(obs)?;
        simulation.spec().check_action(action)?;
        let mut best = (f64::NEG_INFINITY, self.last);
        for number in 0..PLANS {
            let plan = self.plan(number);
            let value = value(&mut simulation, obs, &plan)?;
            if value > best.0 {
                best = (value, plan);
            }
        }
        self.last = best.1;
        self.simulation = Some(simulation);
        action.copy_from_slice(&self.last);
        Ok(())
    }
}
