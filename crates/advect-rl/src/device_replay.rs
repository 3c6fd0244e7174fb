//! A replay's transitions on the learner's device, where minibatches are drawn without the host.

use advect_kernels::rows::DeviceRows;
use advect_rng::Stream;
use candle_core::{Device, Result};

use crate::batch::Batch;
use crate::graphs::Source;
use crate::replay::{Replay, Row};

/// Most transitions that are copied at once.
const CHUNK: u64 = 4096;

/// Follows a [`Replay`]; a row is obs, act, reward, next_obs, terminated, truncated.
#[derive(Debug)]
pub(crate) struct DeviceReplay {
    rows: DeviceRows,
    /// Transitions ever copied.
    copied: u64,
}

impl DeviceReplay {
    /// Room for the replay's whole capacity; nothing for the CPU, and for frames, which stay bytes of the host.
    ///
    /// # Errors
    /// If the device has no room.
    pub(crate) fn new(replay: &Replay, device: &Device) -> Result<Option<Self>> {
        if replay.holds_frames() {
            return Ok(None);
        }
        let (o, d) = (replay.obs_dim(), replay.act_dim());
        let rows = DeviceRows::new(replay.capacity(), &[o, d, 1, o, 1, 1], device);
        let no_room = |e| {
            let capacity = replay.capacity();
            let fix = "set replay_capacity lower";
            candle_core::Error::Msg(format!(
                "a replay of {capacity} transitions does not fit on the device: {e}; {fix}"
            ))
        };
        Ok(rows.map_err(no_room)?.map(|rows| Self { rows, copied: 0 }))
    }

    /// Copies what has come to the replay since the last call.
    pub(crate) fn follow(&mut self, replay: &Replay) -> Result<()> {
        self.copied = self.copied.max(replay.first_row());
        while self.copied < replay.pushed() {
            let slot = self.copied % replay.capacity() as u64;
            let to_end = replay.capacity() as u64 - slot;
            let n = (replay.pushed() - self.copied).min(to_end).min(CHUNK);
            let mut values = Vec::new();
            for number in self.copied..self.copied + n {
                put(replay.transition(number), &mut values);
            }
            self.copied += n;
            self.rows.write(slot as usize, &values, replay.len())?;
        }
        Ok(())
    }

    /// The minibatch of [`Replay::sample`], without the numbers of its transitions.
    pub(crate) fn sample(&self, stream: &mut Stream, batch_size: usize) -> Result<Batch> {
        let fields = self.rows.sample(stream, batch_size)?;
        let [obs, act, reward, next_obs, terminated, truncated] = &fields[..] else {
            let problem = "a row of the replay has other fields than a transition";
            return Err(candle_core::Error::Msg(problem.into()));
        };
        Ok(Batch {
            obs: obs.clone(),
            act: act.clone(),
            reward: reward.squeeze(1)?,
            next_obs: next_obs.clone(),
            terminated: terminated.squeeze(1)?,
            truncated: truncated.squeeze(1)?,
            numbers: Vec::new(),
            num_envs: batch_size,
        })
    }
}

/// Minibatches that an update draws from it.
#[derive(Debug)]
pub(crate) struct Minibatches<'a> {
    pub(crate) replay: &'a DeviceReplay,
    pub(crate) stream: &'a mut Stream,
    pub(crate) batch_size: usize,
}

impl Source for Minibatches<'_> {
    fn stream(&mut self) -> &mut Stream {
        self.stream
    }

    fn sample(&mut self) -> Result<Batch> {
        self.replay.sample(self.stream, self.batch_size)
    }
}

fn put(row: Row, values: &mut Vec<f32>) {
    values.extend(row.obs);
    values.extend(row.act);
    values.push(row.reward);
    values.extend(row.next_obs);
    values.extend([row.terminated, row.truncated].map(|end| f32::from(u8::from(end))));
}
