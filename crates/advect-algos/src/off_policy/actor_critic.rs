//! What an off-policy agent with an averaged policy carries from update to update.

use std::sync::Arc;

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, ParamLayout, Params, Precision, Schedule};
use advect_rl::{Averaged, Metrics, StateDict, StateError, TwinCritic};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::Streams;
use crate::candidates::best;
use crate::dims::Dims;
use crate::networks::{CriticSpec, drawn};

/// Policy, critics, random streams and the count of updates.
#[derive(Debug)]
pub struct ActorCritic {
    /// The policy and its moving average.
    pub policy: Averaged,
    /// The critics and their targets.
    pub critic: TwinCritic,
    /// Where noise comes from.
    pub streams: Streams,
    /// Updates made.
    pub updates: u64,
}

/// How the networks begin and learn; the policy's own shape comes with its layout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Networks<'a> {
    /// Hidden widths of the critics.
    pub hidden: &'a [usize],
    /// Activation of the critics.
    pub activation: Activation,
    /// Initial values of the policy.
    pub init: Init,
    /// Initial values of the critics.
    pub critic_init: Init,
    /// Factor on the weights of the policy's last layer.
    pub last_layer_scale: f64,
    /// Optimiser of the policy.
    pub adam: AdamConfig,
    /// Optimiser of the critics.
    pub critic_adam: AdamConfig,
}

impl<'a> Networks<'a> {
    /// Policy and critics that begin and learn alike.
    pub(crate) fn alike(
        hidden: &'a [usize],
        activation: Activation,
        init: Init,
        adam: AdamConfig,
    ) -> Self {
        Self {
            hidden,
            activation,
            init,
            critic_init: init,
            last_layer_scale: 1.0,
            adam,
            critic_adam: adam,
        }
    }

    /// The parts of the agent `name`, drawn from `seed`.
    pub(crate) fn draw(
        self,
        name: &str,
        policy: impl Into<Arc<ParamLayout>>,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> Result<ActorCritic> {
        let init = Stream::new(seed, &format!("{name}/init"));
        let mut stream = init.fork("policy");
        let policy = drawn(
            policy,
            self.init,
            self.last_layer_scale,
            &mut stream,
            device,
        )?;
        let critic = CriticSpec {
            hidden: self.hidden,
            activation: self.activation,
            init: self.critic_init,
            adam: self.critic_adam,
        };
        Ok(ActorCritic {
            policy: Averaged::new(policy, self.adam)?,
            critic: critic.build(dims, &init.fork("critic"), device)?,
            streams: Streams::new(name, seed),
            updates: 0,
        })
    }
}

impl ActorCritic {
    /// The best of `P` candidates per state under the online critics, clipped to `bounds` if there are some; with one candidate, that
    /// one, unscored.
    ///
    /// # Shapes
    /// `obs` `[B, o]`, `candidates` `[B, P, d]` to `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn best(
        &self,
        obs: &Tensor,
        candidates: &Tensor,
        precision: Precision,
        bounds: Option<[f64; 2]>,
    ) -> Result<Tensor> {
        let (net, critics) = (self.critic.net(), self.critic.online());
        best(net, critics, obs, candidates, precision, bounds)
    }

    /// One Adam step of the policy; adds `policy/loss` and `policy/grad_norm`.
    ///
    /// # Errors
    /// If the loss does not depend on the policy.
    pub fn descend(
        &mut self,
        loss: &Tensor,
        lr: impl Into<Schedule>,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let norm = self.policy.online.descend(loss, lr)?;
        metrics.insert_tensor("policy/grad_norm", &norm)?;
        metrics.insert_tensor("policy/loss", loss)
    }

    /// Moves targets and averaged policy by `tau`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn update_averages(&self, tau: f64) -> Result<()> {
        Averaged::update_averages(&[self.critic.averaged(), &self.policy], tau)
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
