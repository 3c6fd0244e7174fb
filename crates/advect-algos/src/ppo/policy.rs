//! The policy under given parameters, as a discriminator sees it.

use candle_core::{Result, Tensor};

use super::actor_critic::ActorCritic;
use crate::gaussian;
use crate::imitation::{Student, halves};

/// Networks and their parameters `[N]`.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// Their shapes.
    pub net: &'a ActorCritic,
    /// Their parameters.
    pub params: &'a Tensor,
}

impl Student for Policy<'_> {
    /// `mu(s)`.
    fn mean(&self, obs: &Tensor) -> Result<Tensor> {
        self.net.mean(self.params, obs)
    }

    fn log_prob(&self, x: &Tensor) -> Result<Tensor> {
        let params = self.params.detach();
        let log_std = self.net.log_std(&params)?;
        let (obs, act) = halves(x, log_std.dim(0)?)?;
        gaussian::log_prob(&act, &self.net.mean(&params, &obs)?, &log_std)
    }
}
