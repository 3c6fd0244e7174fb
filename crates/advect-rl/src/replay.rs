//! Replay: a ring of transitions in memory, structure of arrays.

use advect_envs::EnvSpec;
use advect_rng::Stream;
use candle_core::{Device, Tensor};

use crate::batch::Batch;
use crate::column::Column;

/// Transitions of one vector step, row-major slices of `E` rows.
#[derive(Debug, Clone, Copy)]
pub struct Transitions<'a> {
    /// Observations `[E * o]`.
    pub obs: &'a [f32],
    /// Actions as the agent returned them `[E * d]`.
    pub act: &'a [f32],
    /// Raw rewards `[E]`.
    pub reward: &'a [f32],
    /// True next observations, the last of the episode where one ended `[E * o]`.
    pub next_obs: &'a [f32],
    /// Whether the episode terminated (not: was truncated) `[E]`.
    pub terminated: &'a [bool],
    /// Whether the episode was cut off `[E]`.
    pub truncated: &'a [bool],
}

/// One transition.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) obs: Vec<f32>,
    pub(crate) act: Vec<f32>,
    pub(crate) reward: f32,
    pub(crate) next_obs: Vec<f32>,
    pub(crate) terminated: bool,
    pub(crate) truncated: bool,
}

/// How a step ended, as one number of a row: terminated counts 1, truncated 2.
fn end_code(terminated: bool, truncated: bool) -> f32 {
    f32::from(u8::from(terminated) + 2 * u8::from(truncated))
}

fn is_terminated(code: f32) -> bool {
    code == 1.0 || code == 3.0
}

fn is_truncated(code: f32) -> bool {
    code >= 2.0
}

/// What a replay refuses.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A slice does not hold as many numbers as the transitions need.
    #[error("replay: `{what}` has {found} numbers, expected {expected}")]
    Length {
        /// Which slice.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length wanted.
        expected: usize,
    },
    /// There is nothing to sample.
    #[error("replay is empty: push transitions (the warm-up) before the first update")]
    Empty,
    /// The last rollout has begun and not ended, or the ring does not hold whole ones.
    #[error("a rollout is incomplete: push transitions until it is full")]
    Incomplete,
    /// Widths or capacity that no replay can have.
    #[error("replay: {what} is {found}; it must lie in 1..=4294967295")]
    Size {
        /// Which size.
        what: &'static str,
        /// Its value.
        found: usize,
    },
    /// The batch could not be moved to the device.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// The last `capacity` transitions, sampled uniformly with replacement.
///
/// Memory: [`Replay::row_bytes`] per transition, taken as it fills; a million transitions of HalfCheetah
/// (`o = 17`, `d = 6`) are 168 MB, of Humanoid (`o = 348`, `d = 17`) 2.9 GB.
///
/// Transition number `i` (counted from the first ever pushed) lives in slot `i mod capacity`, so that a replay
/// rebuilt from its last transitions samples the same ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    obs: Column,
    act: Column,
    reward: Column,
    next_obs: Column,
    /// [`end_code`] of each transition.
    end: Column,
    capacity: usize,
    pushed: u64,
}

impl Replay {
    /// An empty replay of `capacity` transitions with observations `[obs_dim]` and actions `[act_dim]`.
    ///
    /// # Errors
    /// [`ReplayError::Size`] if a size is zero or the capacity exceeds 2^32 - 1.
    pub fn new(capacity: usize, obs_dim: usize, act_dim: usize) -> Result<Self, ReplayError> {
        for (what, found) in [
            ("capacity", capacity),
            ("obs_dim", obs_dim),
            ("act_dim", act_dim),
        ] {
            if found == 0 || found > u32::MAX as usize {
                return Err(ReplayError::Size { what, found });
            }
        }
        let column = |width| Column::new(width, capacity);
        let (obs, next_obs, act) = (column(obs_dim), column(obs_dim), column(act_dim));
        let (reward, end) = (column(1), column(1));
        Ok(Self {
            obs,
            act,
            reward,
            next_obs,
            end,
            capacity,
            pushed: 0,
        })
    }

    /// An empty replay for an environment; observations that are frames and nothing else take a byte a number.
    ///
    /// # Errors
    /// As [`Replay::new`].
    pub fn for_env(capacity: usize, env: &EnvSpec) -> Result<Self, ReplayError> {
        let frames = env.image.filter(|image| image.len() == env.obs_dim);
        let (obs_dim, act_dim) = (env.obs_dim, env.act_dim);
        if frames.is_none() {
            return Self::new(capacity, obs_dim, act_dim);
        }
        // no memory is taken for numbers that frames replace
        let empty = Self::new(capacity, 1, act_dim)?;
        let column = || Column::of_frames(obs_dim);
        Ok(Self {
            obs: column(),
            next_obs: column(),
            ..empty
        })
    }

    /// Most transitions that it keeps.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Transitions that it holds now.
    pub fn len(&self) -> usize {
        self.pushed.min(self.capacity as u64) as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.pushed == 0
    }

    /// Transitions ever pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Width of an observation.
    pub fn obs_dim(&self) -> usize {
        self.obs.width
    }

    /// Width of an action.
    pub fn act_dim(&self) -> usize {
        self.act.width
    }

    /// Whether observations are frames, a byte a number.
    pub fn holds_frames(&self) -> bool {
        self.obs.holds_frames()
    }

    /// Values of one transition, `2 o + d + 2`.
    pub fn row_len(&self) -> usize {
        2 * self.obs.width + self.act.width + 2
    }

    /// Bytes of one transition, `4 (2 o + d + 2)`, or `2 o + 4 (d + 2)` where observations are frames.
    pub fn row_bytes(&self) -> usize {
        self.columns().into_iter().map(Column::row_bytes).sum()
    }

    /// Number of the oldest transition that it still holds.
    pub fn first_row(&self) -> u64 {
        self.pushed - self.len() as u64
    }

    /// Appends `E` transitions, over the oldest ones where it is full.
    ///
    /// # Errors
    /// [`ReplayError::Length`] if the slices do not belong together; nothing is pushed then.
    pub fn push(&mut self, t: Transitions) -> Result<(), ReplayError> {
        self.check(&t)?;
        for (i, (terminated, truncated)) in t.terminated.iter().zip(t.truncated).enumerate() {
            let slot = self.next_slot();
            let (o, d) = (self.obs.width, self.act.width);
            self.obs.write(slot, &t.obs[i * o..(i + 1) * o]);
            self.act.write(slot, &t.act[i * d..(i + 1) * d]);
            self.reward.write(slot, &t.reward[i..=i]);
            self.next_obs.write(slot, &t.next_obs[i * o..(i + 1) * o]);
            self.end.write(slot, &[end_code(*terminated, *truncated)]);
            self.pushed += 1;
        }
        Ok(())
    }

    fn check(&self, t: &Transitions) -> Result<(), ReplayError> {
        let rows = t.terminated.len();
        let wanted = [
            ("obs", t.obs.len(), rows * self.obs.width),
            ("act", t.act.len(), rows * self.act.width),
            ("reward", t.reward.len(), rows),
            ("next_obs", t.next_obs.len(), rows * self.obs.width),
            ("truncated", t.truncated.len(), rows),
        ];
        match wanted
            .into_iter()
            .find(|(_, found, expected)| found != expected)
        {
            Some((what, found, expected)) => Err(ReplayError::Length {
                what,
                found,
                expected,
            }),
            None => Ok(()),
        }
    }

    fn next_slot(&self) -> usize {
        (self.pushed % self.capacity as u64) as usize
    }

    /// `batch_size` transitions drawn uniformly with replacement, gathered straight into the tensors' memory.
    ///
    /// # Errors
    /// [`ReplayError::Empty`], or what the device reports.
    pub fn sample(
        &self,
        stream: &mut Stream,
        batch_size: usize,
        device: &Device,
    ) -> Result<Batch, ReplayError> {
        if self.is_empty() {
            return Err(ReplayError::Empty);
        }
        let slots = self.sampled_slots(stream, batch_size);
        Ok(self.gather(&slots, batch_size, device)?)
    }

    fn sampled_slots(&self, stream: &mut Stream, batch_size: usize) -> Vec<u32> {
        let mut slots = vec![0; batch_size];
        stream.fill_indices(self.len() as u32, &mut slots);
        slots
    }

    /// Numbers of the transitions that [`Replay::sample`] draws from that stream.
    pub(crate) fn sampled_numbers(&self, mut stream: Stream, batch_size: usize) -> Vec<u64> {
        self.numbers_in(&self.sampled_slots(&mut stream, batch_size))
    }

    fn numbers_in(&self, slots: &[u32]) -> Vec<u64> {
        slots.iter().map(|slot| self.number_in(*slot)).collect()
    }

    /// Whether it holds whole rollouts of `rows` transitions: as many came in since the last time that this was so.
    pub fn is_complete(&self, rows: usize) -> bool {
        !self.is_empty() && self.pushed.is_multiple_of(rows.max(1) as u64)
    }

    /// All that it holds in time order: rollouts of `rows` transitions of `num_envs` environments, the fresh one last.
    ///
    /// # Errors
    /// [`ReplayError::Incomplete`] in the middle of one, or what the device reports.
    pub fn rollouts(
        &self,
        rows: usize,
        num_envs: usize,
        device: &Device,
    ) -> Result<Batch, ReplayError> {
        if !self.is_complete(rows) || !self.capacity.is_multiple_of(rows.max(1)) {
            return Err(ReplayError::Incomplete);
        }
        let slot = |number: u64| (number % self.capacity as u64) as u32;
        let slots: Vec<u32> = (self.first_row()..self.pushed).map(slot).collect();
        Ok(self.gather(&slots, num_envs, device)?)
    }

    fn gather(
        &self,
        slots: &[u32],
        num_envs: usize,
        device: &Device,
    ) -> candle_core::Result<Batch> {
        let b = slots.len();
        let matrix = |c: &Column| c.matrix(slots, device);
        let end = self.end.gather(slots);
        let flags = |is_set: fn(f32) -> bool| {
            let flag = |code: &f32| f32::from(u8::from(is_set(*code)));
            Tensor::from_vec(end.iter().map(flag).collect(), b, device)
        };
        Ok(Batch {
            obs: matrix(&self.obs)?,
            act: matrix(&self.act)?,
            reward: Tensor::from_vec(self.reward.gather(slots), b, device)?,
            next_obs: matrix(&self.next_obs)?,
            terminated: flags(is_terminated)?,
            truncated: flags(is_truncated)?,
            numbers: self.numbers_in(slots),
            num_envs,
        })
    }

    /// Number of the transition in a slot: the newest one that belongs there.
    fn number_in(&self, slot: u32) -> u64 {
        let (slot, capacity) = (u64::from(slot), self.capacity as u64);
        let rounds = self.pushed.saturating_sub(slot + 1) / capacity;
        slot + rounds * capacity
    }

    /// Transition number `row`, one that it still holds.
    pub(crate) fn transition(&self, row: u64) -> Row {
        let slot = (row % self.capacity as u64) as usize;
        Row {
            obs: self.obs.row(slot),
            act: self.act.row(slot),
            reward: self.reward.row(slot)[0],
            next_obs: self.next_obs.row(slot),
            terminated: is_terminated(self.end.row(slot)[0]),
            truncated: is_truncated(self.end.row(slot)[0]),
        }
    }

    /// Appends transition number `row` to `out`, little-endian: obs, act, reward, next_obs, end (terminated counts 1, truncated 2);
    /// frames are bytes.
    pub(crate) fn write_row(&self, row: u64, out: &mut Vec<u8>) {
        let slot = (row % self.capacity as u64) as usize;
        for column in self.columns() {
            column.put(slot, out);
        }
    }

    fn columns(&self) -> [&Column; 5] {
        [
            &self.obs,
            &self.act,
            &self.reward,
            &self.next_obs,
            &self.end,
        ]
    }

    fn columns_mut(&mut self) -> [&mut Column; 5] {
        [
            &mut self.obs,
            &mut self.act,
            &mut self.reward,
            &mut self.next_obs,
            &mut self.end,
        ]
    }

    /// Prepares an empty replay for restoring transitions `first_row..`; all earlier ones had been overwritten.
    pub(crate) fn restore_from(&mut self, first_row: u64) {
        self.pushed = first_row;
        if first_row > 0 {
            let capacity = self.capacity;
            self.columns_mut()
                .into_iter()
                .for_each(|column| column.fill(capacity));
        }
    }

    /// Appends one transition from [`Replay::row_bytes`] bytes in the order of [`Replay::write_row`].
    pub(crate) fn restore_row(&mut self, mut row: &[u8]) {
        let slot = self.next_slot();
        for column in self.columns_mut() {
            let (own, rest) = row.split_at(column.row_bytes());
            column.take(slot, own);
            row = rest;
        }
        self.pushed += 1;
    }
}
