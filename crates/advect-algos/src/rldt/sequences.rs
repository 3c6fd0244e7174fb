//! The trajectories of one batch, scaled as encoders and networks take them.

use advect_kernels::recursion::Recursion;
use advect_rl::Batch;
use advect_rl::advantage::{TimeLimits, lambda_returns};
use candle_core::{Result, Tensor};

use super::critic::Share;
use crate::flow_actor::FlowActor;

/// States: `n` scaled observations, and what the critics are shown beside them.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Observations `[n, o]`.
    pub obs: Tensor,
    /// What the episode has collected so far `[n, 1]`, where the critics see it.
    pub so_far: Option<Tensor>,
}

impl Shown {
    /// The states in `rows` `[m]`.
    ///
    /// # Errors
    /// If a row is not there.
    pub fn rows(&self, rows: &Tensor) -> Result<Self> {
        let so_far = self.so_far.as_ref();
        Ok(Self {
            obs: self.obs.index_select(rows, 0)?,
            so_far: so_far.map(|x| x.index_select(rows, 0)).transpose()?,
        })
    }

    /// What the critics see where `encoded` `[n, s]` stands for the observations.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn beside(&self, encoded: Tensor) -> Result<Tensor> {
        match &self.so_far {
            None => Ok(encoded),
            Some(so_far) => Tensor::cat(&[&encoded, so_far], 1),
        }
    }
}

/// `J` trajectories of `T` steps as `T J` rows, step by step.
#[derive(Debug, Clone)]
pub struct Sequences {
    /// States, `T J` of them.
    pub now: Shown,
    /// Executed actions `[T J, A]`.
    pub act: Tensor,
    /// True next states, `T J` of them.
    pub next: Shown,
    reward: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    count: usize,
}

impl Sequences {
    /// The `rows` of a batch, which hold `count` trajectories; rewards times `factor`, and so is what was collected before each of the
    /// batch's rows, where the critics see it.
    ///
    /// # Errors
    /// If a row is not there.
    pub fn of(
        batch: &Batch,
        (rows, count): (&[u32], usize),
        actor: &FlowActor,
        factor: f64,
        so_far: Option<&Tensor>,
    ) -> Result<Self> {
        let index = Tensor::from_slice(rows, rows.len(), batch.obs.device())?;
        let of = |x: &Tensor| x.index_select(&index, 0);
        let reward = (of(&batch.reward)? * factor)?;
        let before = so_far.map(|x| of(x)? * factor).transpose()?;
        let after = before.as_ref().map(|x| x + &reward).transpose()?;
        let shown = |obs: &Tensor, so_far: Option<Tensor>| -> Result<Shown> {
            Ok(Shown {
                obs: actor.scaled(&of(obs)?)?,
                so_far: so_far.map(|x| x.unsqueeze(1)).transpose()?,
            })
        };
        Ok(Self {
            now: shown(&batch.obs, before)?,
            act: actor.act.normalise(&of(&batch.act)?)?,
            next: shown(&batch.next_obs, after)?,
            reward,
            terminated: of(&batch.terminated)?,
            truncated: of(&batch.truncated)?,
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
        let steps = self.reward.elem_count() / self.count;
        let own = |t: usize| {
            trajectories
                .iter()
                .map(move |j| (t * self.count + j) as u32)
        };
        let rows: Vec<u32> = (0..steps).flat_map(own).collect();
        let len = rows.len();
        Tensor::from_vec(rows, len, self.act.device())
    }

    /// Lambda returns `[T J]` for any values of the next states `[T J]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn returns(&self, discount: (f64, f64), limits: TimeLimits) -> Result<Recursion> {
        let (terminated, truncated) = (&self.terminated, &self.truncated);
        lambda_returns(
            &self.reward,
            terminated,
            truncated,
            self.count,
            discount,
            limits,
        )
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
