//! The picture of a policy on `TwoModeBandit-v0`: the density of its actions beside the reward.

use crate::plot::{DensityPicture, PlotError, density_picture};
use advect_envs::embedded::TwoModeBandit;
use advect_rl::{ActMode, Agent};
use candle_core::{DType, Device, Tensor};

/// Id of the environment.
pub const ID: &str = "TwoModeBandit-v0";
/// Actions in a picture.
const ACTIONS: usize = 4000;
/// An action is in a mode if it is within this distance of its centre, `+-0.6`; uniform actions are with probability 0.3 each.
const MODE_RADIUS: f64 = 0.3;
const CENTRE: f64 = 0.6;

/// The actions that a policy takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// Actions, clipped to the box.
    pub actions: Vec<f64>,
}

impl Behaviour {
    /// Draws actions as the agent explores: samples of the policy with the algorithm's exploration noise, where it adds any. Its exploration streams move: give a copy of an agent that goes on.
    ///
    /// # Errors
    /// What the agent reports.
    pub fn observe(agent: &mut dyn Agent, device: &Device) -> candle_core::Result<Self> {
        let obs = Tensor::zeros((ACTIONS, 1), DType::F32, device)?;
        let actions = agent.act(&obs, ActMode::Explore)?.flatten_all()?;
        let clipped = |action: f32| f64::from(action).clamp(-1.0, 1.0);
        Ok(Self {
            actions: actions.to_vec1()?.into_iter().map(clipped).collect(),
        })
    }

    /// Shares of the actions near the lower mode (-0.6) and near the higher one (0.6).
    pub fn mode_shares(&self) -> [f64; 2] {
        [-CENTRE, CENTRE].map(|centre| {
            let near = |action: &&f64| (*action - centre).abs() < MODE_RADIUS;
            self.actions.iter().filter(near).count() as f64 / self.actions.len().max(1) as f64
        })
    }

    /// Mean reward of the actions.
    pub fn mean_reward(&self) -> f64 {
        let sum: f64 = self.actions.iter().map(|a| TwoModeBandit::reward(*a)).sum();
        sum / self.actions.len().max(1) as f64
    }

    /// Draws it.
    ///
    /// # Errors
    /// What drawing reports.
    pub fn draw(&self, title: &str) -> Result<String, PlotError> {
        density_picture(&DensityPicture {
            title,
            samples: &self.actions,
            reward: &TwoModeBandit::reward,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_count_the_actions_near_each_mode() {
        let behaviour = Behaviour {
            actions: vec![-0.6, -0.5, 0.0, 0.6],
        };
        assert_eq!(behaviour.mode_shares(), [0.5, 0.25]);
        assert!(behaviour.mean_reward() > 0.5);
    }
}
