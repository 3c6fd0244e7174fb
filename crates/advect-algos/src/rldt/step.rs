//! One policy step's loss (rldt.md section 3, steps 1 to 6): particles, gradients, field, anchor, and the three terms.

use advect_flow::{Candidates, TimeConvention, VelocityNet};
use advect_kernels::{Precision, random};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};

use super::field::Field;
use super::landing::{sample, times};
use super::loss::{ActorLoss, Coefficients, Targets, actor_loss};
use crate::rows::repeat_rows;

/// What is drawn for `M` states with `P` particles of width `A`.
#[derive(Debug, Clone)]
pub struct StepNoise {
    /// Source noise of the particles `[M, P, A]`.
    pub x_0: Tensor,
    /// Flow step of each one's intermediate point `[M, P]`, u32.
    pub step: Tensor,
    /// Noise of the anchor points `[M P, A]`.
    pub z: Tensor,
    /// Their flow steps `[M P]`, u32.
    pub anchor_step: Tensor,
}

impl StepNoise {
    /// Draws it from `stream`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn draw(
        (states, particles, width): (usize, usize, usize),
        n_steps: usize,
        stream: &mut Stream,
        device: &Device,
    ) -> Result<Self> {
        let rows = states * particles;
        Ok(Self {
            x_0: random::normal(stream, (states, particles, width), device)?,
            step: random::indices(stream, n_steps as u32, (states, particles), device)?,
            z: random::normal(stream, (rows, width), device)?,
            anchor_step: random::indices(stream, n_steps as u32, rows, device)?,
        })
    }
}

/// How the policy learns from its particles.
#[derive(Debug, Clone, Copy)]
pub struct PolicyStep<'a> {
    /// The velocity network.
    pub net: &'a VelocityNet,
    /// The transport field.
    pub field: Field,
    /// Weights of the terms, and the number of flow steps.
    pub coefficients: Coefficients,
}

/// What the networks see of `M` states: the states themselves, or features of their frames.
#[derive(Debug, Clone, Copy)]
pub struct States<'a> {
    /// As the policy sees them `[M, s]`; the loss is differentiable in them.
    pub policy: &'a Tensor,
    /// As the reference sees them `[M, s]`.
    pub reference: &'a Tensor,
}

/// The terms of a step and what they are made of, one row per particle.
#[derive(Debug, Clone)]
pub struct StepLoss {
    /// The terms; differentiable in the policy.
    pub terms: ActorLoss,
    /// What the velocities are compared with.
    pub targets: Targets,
    /// Expected landings `[M P, A]`.
    pub landing: Tensor,
    /// Gradients of the value that made the field `[M P, A]`.
    pub g: Tensor,
    /// Velocities at the intermediate points `[M P, A]`.
    pub v: Tensor,
}

impl PolicyStep<'_> {
    /// The loss of `policy` near `reference`, where `gradient(obs, act)` is that of the value, one row each.
    ///
    /// # Shapes
    /// `policy` and `reference` `[N]`, `obs` `[M, o]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn loss(
        &self,
        policy: &Tensor,
        reference: &Tensor,
        obs: &Tensor,
        noise: &StepNoise,
        gradient: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<StepLoss> {
        let states = States {
            policy: obs,
            reference: obs,
        };
        self.loss_at(policy, reference, states, noise, gradient)
    }

    /// The same where policy and reference may see different states; `gradient` is given those of the policy.
    ///
    /// # Shapes
    /// As [`PolicyStep::loss`].
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn loss_at(
        &self,
        policy: &Tensor,
        reference: &Tensor,
        states: States<'_>,
        noise: &StepNoise,
        gradient: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<StepLoss> {
        let n_steps = self.coefficients.n_steps;
        let candidates = Candidates {
            net: self.net,
            params: &policy.detach(),
            obs: &states.policy.detach(),
            precision: Precision::F32,
        };
        let found = sample(&candidates, &noise.x_0, &noise.step, n_steps)?;
        let (action, landing) = (found.action.flatten(0, 1)?, found.landing.flatten(0, 1)?);
        let at = match self.field.takes_landing_gradients() {
            true => &landing,
            false => &action,
        };
        let particles = noise.x_0.dim(1)?;
        let rows = repeat_rows(states.policy, particles)?;
        let of_reference = repeat_rows(&states.reference.detach(), particles)?;
        let g = gradient(&rows.detach(), at)?;
        let last = noise.step.eq(n_steps as u32 - 1)?.to_dtype(DType::F32)?;
        let per_state = g.reshape(found.action.shape())?;
        let moved = self
            .field
            .at(&found.landing, &found.action, &per_state, &last)?;
        let anchor_tau = times(&noise.anchor_step, n_steps)?;
        let anchor = TimeConvention::DataUp.interpolate(&action, &noise.z, &anchor_tau)?;
        let velocity =
            |params: &Tensor, x: &Tensor, tau: &Tensor| self.net.forward(params, &rows, x, [tau]);
        let v_ref = self
            .net
            .forward(&reference.detach(), &of_reference, &anchor, [&anchor_tau])?;
        let targets = Targets {
            v_ref,
            point: found.point.flatten(0, 1)?,
            tau: found.tau.flatten_all()?,
            phi: moved.phi.flatten(0, 1)?,
            action,
        };
        let v = velocity(policy, &targets.point, &targets.tau)?;
        let v_anchor = velocity(policy, &anchor, &anchor_tau)?;
        Ok(StepLoss {
            terms: actor_loss(&v, &v_anchor, &targets, self.coefficients)?,
            targets,
            landing,
            g,
            v,
        })
    }
}
