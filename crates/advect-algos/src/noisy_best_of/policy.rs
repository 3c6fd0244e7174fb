//! The parts in which the algorithms differ: a policy with its sampler, and the loss that trains it.

use advect_kernels::scalars::Scalar;
use std::fmt::Debug;
use std::sync::Arc;

use advect_kernels::{ParamLayout, Precision};
use advect_rl::{Metrics, StateDict, StateError, TwinCritic};
use advect_rng::Stream;
use candle_core::{Result, Tensor};

use crate::normals::Normals;

/// A policy network and how it generates actions.
pub trait Policy: Debug + Send {
    /// Names and shapes of the parameters, in order.
    fn layout(&self) -> &Arc<ParamLayout>;

    /// `P = count` actions per state, without gradient; the chosen one is clipped to `[-1, 1]^d` afterwards.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]` to `[B, P, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn candidates(
        &self,
        params: &Tensor,
        obs: &Tensor,
        count: usize,
        normals: &mut Normals<'_>,
        precision: Precision,
    ) -> Result<Tensor>;

    /// The action of an evaluation where it takes one network call instead of the best candidate; none by default.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]` to `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn one_step(&self, _params: &Tensor, _obs: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// The states of a batch at which the policy is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// `s`, with the replayed action.
    Replayed,
    /// `s`, with a fresh action of the online policy.
    Current,
    /// `s'`, with the action in the critic's target.
    Next,
}

/// What a policy's loss is made of.
#[derive(Debug, Clone, Copy)]
pub struct LossInputs<'a> {
    /// The online policy's parameters `[N]`, tracked.
    pub params: &'a Tensor,
    /// States `[B, o]`.
    pub obs: &'a Tensor,
    /// An action at each, as [`States`] says; a fresh one is the best candidate plus noise, not clipped `[B, d]`.
    pub act: &'a Tensor,
    /// The critics, after their step of this update.
    pub critic: &'a TwinCritic,
    /// The temperature.
    pub alpha: &'a Scalar,
    /// Arithmetic of scores without gradient.
    pub precision: Precision,
}

/// Next states at which an entropy is estimated.
#[derive(Debug, Clone, Copy)]
pub struct NextStates<'a> {
    /// The online policy's parameters `[N]`, detached.
    pub params: &'a Tensor,
    /// The states `[B, o]`.
    pub obs: &'a Tensor,
    /// The best candidate at each `[B, d]`.
    pub act: &'a Tensor,
    /// Whether this update moves the temperature.
    pub temperature_due: bool,
}

/// Whose entropy the temperature keeps at its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntropyOf {
    /// The exploration noise.
    Noise,
    /// The policy, as [`Objective::next_entropy`] estimates it.
    Policy,
}

/// What trains a policy `P`.
pub trait Objective<P>: Debug + Send {
    /// The states at which the loss is taken.
    fn states(&self) -> States;

    /// Whose entropy the temperature keeps at its target; that of the noise by default.
    fn entropy_of(&self) -> EntropyOf {
        EntropyOf::Noise
    }

    /// Entropy of the policy per next state `[B]`, with noise from `stream`, in an update that takes it; none by default.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn next_entropy(
        &self,
        _policy: &P,
        _next: NextStates<'_>,
        _stream: &mut Stream,
    ) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Value of the next states in the critic's target `[B]`, from those of the target critics `[E, B]` and [`Objective::next_entropy`];
    /// by default those of the critics alone, of which the least counts.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn next_value(
        &self,
        q_next: Tensor,
        _entropy: Option<&Tensor>,
        _alpha: &Scalar,
    ) -> Result<Tensor> {
        Ok(q_next)
    }

    /// The loss to differentiate, with noise and times from `stream`; adds its own metrics.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn loss(
        &self,
        policy: &P,
        inputs: &LossInputs<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<Tensor>;

    /// Sees the next states and actions of every update, after the loss; nothing by default.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn observe(
        &mut self,
        _critic: &TwinCritic,
        _next_obs: &Tensor,
        _next_act: &Tensor,
    ) -> Result<()> {
        Ok(())
    }

    /// Whether all updates of a kind launch the same work, see [`advect_rl::Agent::repeats`]; not by default.
    fn repeats(&self) -> bool {
        false
    }

    /// Writes what it remembers; nothing by default.
    ///
    /// # Errors
    /// If the device cannot be read.
    fn save(&self, _out: &mut StateDict) -> std::result::Result<(), StateError> {
        Ok(())
    }

    /// Continues from what [`Objective::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another type.
    fn load(&mut self, _from: &StateDict) -> std::result::Result<(), StateError> {
        Ok(())
    }
}
