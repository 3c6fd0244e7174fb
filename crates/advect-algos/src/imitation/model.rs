//! What tells the expert from the student.

use std::fmt::Debug;

use advect_kernels::Params;
use advect_rl::{MeanMetrics, StateDict, StateError};
use candle_core::{Device, Result, Tensor};
use serde::Serialize;

use super::config::ImitationConfig;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::ppo::PpoConfig;

/// Gives the next minibatch of the expert, `[b, o + d]`.
pub type ExpertRows<'a> = dyn FnMut() -> Result<Tensor> + 'a;

/// The student's policy as it is now; states are in its units.
pub trait Student {
    /// The action that it takes without noise; differentiable in the parameters.
    ///
    /// # Shapes
    /// `obs` `[n, o]` to `[n, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn mean(&self, obs: &Tensor) -> Result<Tensor>;

    /// `log pi(a | s)` of rows `[s; a]`, without gradient.
    ///
    /// # Shapes
    /// `x` `[n, o + d]` to `[n]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn log_prob(&self, x: &Tensor) -> Result<Tensor>;
}

/// States `[n, o]` and actions `[n, d]` of rows `[s; a]`, whose actions have the width `d`.
///
/// # Errors
/// If rows are narrower.
pub(crate) fn halves(x: &Tensor, d: usize) -> Result<(Tensor, Tensor)> {
    let o = x.dim(1)?.saturating_sub(d);
    let part = |from, width| x.narrow(1, from, width)?.contiguous();
    Ok((part(0, o)?, part(o, d)?))
}

/// What a discriminator's step sees: as many rows of the expert as of the student, `[b, o + d]`.
#[derive(Clone, Copy)]
pub struct Minibatch<'a> {
    /// Rows of the expert.
    pub expert: &'a Tensor,
    /// Rows of the student's rollout.
    pub agent: &'a Tensor,
    /// The student.
    pub student: &'a dyn Student,
}

/// An algorithm of the family: its configuration, from which its discriminator is made.
pub trait Method: Serialize {
    /// Its name in the registry.
    const NAME: &'static str;
    /// Its discriminator.
    type Model: RewardModel;

    /// The settings that all methods share, and the student's.
    fn parts(&self) -> (&ImitationConfig, &PpoConfig);

    /// Refuses what makes no sense in its own settings.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    fn validate(&self) -> std::result::Result<(), AlgoError>;

    /// The discriminator, drawn from `seed`.
    ///
    /// # Errors
    /// If a width is zero or the device fails.
    fn model(&self, dims: Dims, seed: u64, device: &Device) -> Result<Self::Model>;
}

/// A discriminator that learns beside the student and rewards it; rows are `[s; a]`, states in the student's units.
pub trait RewardModel: Debug + Send {
    /// Before its first step; nothing by default.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn warm_up(&mut self, _expert: &mut ExpertRows<'_>, _means: &mut MeanMetrics) -> Result<()> {
        Ok(())
    }

    /// One step on a minibatch.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn learn(&mut self, rows: Minibatch<'_>, means: &mut MeanMetrics) -> Result<()>;

    /// Logits of rows, positive where they look like the expert's, without gradient.
    ///
    /// # Shapes
    /// `x` `[n, o + d]` to `n` numbers.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn logits(&mut self, x: &Tensor, student: &dyn Student) -> Result<Vec<f32>>;

    /// Before the student learns from a rollout; nothing by default.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn begin_student(&mut self) -> Result<()> {
        Ok(())
    }

    /// A summand of the student's loss of one minibatch, a function of its networks and parameters; none by default.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn pull(&mut self, _student: &dyn Student, _means: &mut MeanMetrics) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Its parameters.
    fn params(&self) -> &Params;

    /// Writes parameters, optimiser and streams.
    ///
    /// # Errors
    /// If the device cannot be read.
    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError>;

    /// Continues from what [`RewardModel::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError>;
}
