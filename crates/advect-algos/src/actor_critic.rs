//! What an off-policy agent with an averaged policy carries from update to update.

use advect_kernels::Params;
use advect_rl::{Averaged, Metrics, StateDict, StateError, TwinCritic};
use candle_core::{Result, Tensor};

use crate::streams::Streams;

/// Policy, critics, random streams and the count of updates.
#[derive(Debug)]
pub(crate) struct ActorCritic {
    /// The policy and its moving average.
    pub policy: Averaged,
    /// The critics and their targets.
    pub critic: TwinCritic,
    /// Where noise comes from.
    pub streams: Streams,
    /// Updates made.
    pub updates: u64,
}

impl ActorCritic {
    /// Before the first update.
    pub(crate) fn new(policy: Averaged, critic: TwinCritic, streams: Streams) -> Self {
        Self {
            policy,
            critic,
            streams,
            updates: 0,
        }
    }

    /// One Adam step of the policy; adds `policy/loss` and `policy/grad_norm`.
    pub(crate) fn descend(&mut self, loss: &Tensor, lr: f64, metrics: &mut Metrics) -> Result<()> {
        metrics.insert("policy/grad_norm", self.policy.online.descend(loss, lr)?);
        metrics.insert_tensor("policy/loss", loss)
    }

    /// Moves targets and averaged policy by `tau`.
    pub(crate) fn update_averages(&self, tau: f64) -> Result<()> {
        self.critic.update_target(tau)?;
        self.policy.update_average(tau)
    }

    /// All parameters, averages included.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = &Params> {
        self.policy
            .buffers()
            .into_iter()
            .chain(self.critic.buffers())
    }

    pub(crate) fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_scalar("updates", self.updates);
        self.policy.save("policy", out)?;
        self.critic.save("critic", out)?;
        self.streams.save(out);
        Ok(())
    }

    pub(crate) fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.policy.load("policy", from)?;
        self.critic.load("critic", from)?;
        self.streams = Streams::load(from)?;
        self.updates = from.scalar("updates")?;
        Ok(())
    }
}
