//! What tells the expert from the student.

use std::fmt::Debug;

use advect_kernels::Params;
use advect_rl::{MeanMetrics, StateDict, StateError};
use candle_core::{Result, Tensor};

use crate::ppo::ActorCritic;

/// Gives the next minibatch of the expert, `[b, o + d]`.
pub type ExpertRows<'a> = dyn FnMut() -> Result<Tensor> + 'a;

/// A discriminator that learns beside the student and rewards it; rows are `[s; a]`, states in the student's units.
pub trait RewardModel: Debug + Send {
    /// Before its first step; nothing by default.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn warm_up(&mut self, _expert: &mut ExpertRows<'_>, _means: &mut MeanMetrics) -> Result<()> {
        Ok(())
    }

    /// One step on as many rows of the expert as of the student.
    ///
    /// # Shapes
    /// `expert`, `agent` `[b, o + d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn learn(&mut self, expert: &Tensor, agent: &Tensor, means: &mut MeanMetrics) -> Result<()>;

    /// Logits of rows, positive where they look like the expert's, without gradient.
    ///
    /// # Shapes
    /// `x` `[n, o + d]` to `n` numbers.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn logits(&mut self, x: &Tensor) -> Result<Vec<f32>>;

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
    fn pull(
        &mut self,
        _student: &ActorCritic,
        _params: &Tensor,
        _means: &mut MeanMetrics,
    ) -> Result<Option<Tensor>> {
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
