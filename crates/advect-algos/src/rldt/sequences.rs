//! The trajectories of one batch, scaled as encoders and networks take them.

use advect_rl::Batch;
use advect_rl::advantage::{Rollout, TimeLimits, lambda_returns};
use candle_core::{Result, Tensor};

use super::critic::Share;
use crate::flow_actor::FlowActor;

/// `J` trajectories of `T` steps as `T J` rows, step by step.
#[derive(Debug, Clone)]
pub struct Sequences {
    /// States `[T J, o]`.
    pub obs: Tensor,
    /// Executed actions `[T J, A]`.
    pub act: Tensor,
    /// True next states `[T J, o]`.
    pub next_obs: Tensor,
    reward: Vec<f32>,
    terminated: Vec<f32>,
    truncated: Vec<f32>,
    count: usize,
}

impl Sequences {
    /// The `rows` of a batch, which hold `count` trajectories; rewards times `factor`.
    ///
    /// # Errors
    /// If a row is not there.
    pub fn of(
        batch: &Batch,
        rows: &[u32],
        count: usize,
        actor: &FlowActor,
        factor: f64,
    ) -> Result<Self> {
        let index = Tensor::from_slice(rows, rows.len(), batch.obs.device())?;
        let of = |x: &Tensor| x.index_select(&index, 0);
        Ok(Self {
            obs: actor.scaled(&of(&batch.obs)?)?,
            act: actor.act.normalise(&of(&batch.act)?)?,
            next_obs: actor.scaled(&of(&batch.next_obs)?)?,
            reward: (of(&batch.reward)? * factor)?.to_vec1()?,
            terminated: of(&batch.terminated)?.to_vec1()?,
            truncated: of(&batch.truncated)?.to_vec1()?,
            count: count.max(1),
        })
    }

    /// Trajectories, `J`.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Rows of the trajectories `first`, `first + every`, ..., all their steps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rows(&self, first: usize, every: usize) -> Result<Tensor> {
        let trajectories = (first..self.count).step_by(every.max(1));
        self.rows_of(&trajectories.collect::<Vec<_>>())
    }

    /// Rows of these trajectories, all their steps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rows_of(&self, trajectories: &[usize]) -> Result<Tensor> {
        let steps = self.reward.len() / self.count;
        let own = |t: usize| {
            trajectories
                .iter()
                .map(move |j| (t * self.count + j) as u32)
        };
        let rows: Vec<u32> = (0..steps).flat_map(own).collect();
        let len = rows.len();
        Tensor::from_vec(rows, len, self.obs.device())
    }

    /// Lambda returns `[T J]` from values of the next states `[T J]`.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn targets(
        &self,
        next_value: &Tensor,
        (gamma, lambda): (f64, f64),
        limits: TimeLimits,
    ) -> Result<Tensor> {
        let rollout = Rollout {
            reward: &self.reward,
            value: &[],
            next_value: &next_value.to_vec1::<f32>()?,
            terminated: &self.terminated,
            truncated: &self.truncated,
            num_envs: self.count,
        };
        let y = lambda_returns(&rollout, gamma, lambda, limits);
        Tensor::from_vec(y, self.reward.len(), next_value.device())
    }

    /// Rows that each of `critics` learns from: critic `e` the trajectories `e`, `e + critics`, ...; the only one there is, all of them.
    ///
    /// # Errors
    /// If the device fails.
    pub fn share_rows(&self, critics: usize) -> Result<Vec<Tensor>> {
        let every = critics.min(self.count);
        (0..critics).map(|e| self.rows(e % every, every)).collect()
    }

    /// What is in those rows, where the critics see `states` `[T J, s]`; differentiable in them.
    ///
    /// # Errors
    /// If the device fails.
    pub fn shares(&self, states: &Tensor, rows: &[Tensor]) -> Result<Vec<Share>> {
        let share = |rows: &Tensor| {
            Ok(Share {
                obs: states.index_select(rows, 0)?,
                act: self.act.index_select(rows, 0)?,
            })
        };
        rows.iter().map(share).collect()
    }
}
