//! The updates of a training run: where their rows come from, and how they are launched.

use crate::agent::Metrics;
use crate::batch::Batch;
use crate::device_replay::Minibatches;
use crate::error::TrainError;
use crate::loop_state::Counters;
use crate::settings::Data;
use crate::train::Trainer;
use crate::unread::Read;

impl Trainer {
    /// One update on a minibatch of demonstrations.
    pub(super) fn imitation_step(&mut self, batch_size: usize) -> Result<(), TrainError> {
        let missing = || TrainError::Invalid {
            what: format!("agent {}", self.agent.name()),
            problem: "it learns from demonstrations and has read none".into(),
            fix: "let its `prepare` return them".into(),
        };
        let demonstrations = self.demonstrations.as_ref().ok_or_else(missing)?;
        let batch = demonstrations.sample(&mut self.state.sample, batch_size, &self.device)?;
        self.update(batch)?;
        self.state.counters.env_steps += 1;
        Ok(())
    }

    /// The updates that are due after a vector step.
    pub(super) fn learn(&mut self) -> Result<(), TrainError> {
        match self.settings.data {
            Data::Replay(replay) => {
                if let Some(device_replay) = &mut self.device_replay {
                    device_replay.follow(&self.replay)?;
                }
                (0..replay.updates_per_vector_step)
                    .try_for_each(|_| self.update_from_replay(replay.batch_size))
            }
            Data::Rollout { .. } if self.replay.is_complete(self.settings.rollout_rows()) => {
                let (rows, envs) = (self.settings.rollout_rows(), self.settings.num_envs);
                let batch = self.replay.rollouts(rows, envs, &self.device)?;
                self.update(batch)
            }
            Data::Rollout { .. } | Data::Demonstrations { .. } => Ok(()),
        }
    }

    /// One update on a minibatch: as a graph where the agent's updates are repeatable and the transitions lie on the device.
    fn update_from_replay(&mut self, batch_size: usize) -> Result<(), TrainError> {
        if self.launch_update(batch_size)? {
            return Ok(());
        }
        let stream = &mut self.state.sample;
        let batch = match &self.device_replay {
            Some(device_replay) => {
                let numbers = self.replay.sampled_numbers(stream.clone(), batch_size);
                let batch = device_replay.sample(stream, batch_size)?;
                Batch { numbers, ..batch }
            }
            None => self.replay.sample(stream, batch_size, &self.device)?,
        };
        self.update(batch)
    }

    /// Whether there was a graph of the update, or a rehearsal for one.
    fn launch_update(&mut self, batch_size: usize) -> Result<bool, TrainError> {
        let (Some(graphs), Some(replay)) = (&mut self.graphs, &self.device_replay) else {
            return Ok(false);
        };
        let stream = &mut self.state.sample;
        let mut source = Minibatches {
            replay,
            stream,
            batch_size,
        };
        let log = self.unread.log();
        let updated = graphs.update(self.agent.as_mut(), &mut source, log);
        let update = self.state.counters.updates + 1;
        let failed = self.failed_update(update);
        let Some(updated) = updated.map_err(failed)? else {
            return Ok(false);
        };
        self.state.counters.updates = update;
        let read = self.read_of(updated.metrics);
        let full = match updated.logged.is_empty() {
            true => self.unread.push(read).map_err(failed)?,
            false => self.unread.push_logged(read, updated.logged),
        };
        if full {
            self.read_metrics()?;
        }
        Ok(true)
    }

    /// Metrics of the last update.
    fn read_of(&self, metrics: Metrics) -> Read {
        let Counters {
            env_steps, updates, ..
        } = self.state.counters;
        Read {
            env_steps,
            updates,
            metrics,
        }
    }

    fn failed_update(
        &self,
        update: u64,
    ) -> impl Fn(candle_core::Error) -> TrainError + Copy + use<> {
        let env_steps = self.state.counters.env_steps;
        move |source| TrainError::Update {
            env_steps,
            update,
            source,
        }
    }

    fn update(&mut self, batch: Batch) -> Result<(), TrainError> {
        self.state.counters.updates += 1;
        let failed = self.failed_update(self.state.counters.updates);
        let batch = match self.agent.takes_frames() {
            true => batch,
            false => batch.with_numbers().map_err(failed)?,
        };
        let metrics = self.agent.update(&batch).map_err(failed)?;
        let read = self.read_of(metrics);
        match self.unread.push(read).map_err(failed)? {
            true => self.read_metrics(),
            false => Ok(()),
        }
    }

    /// Counts the metrics of all updates so far.
    pub(super) fn read_metrics(&mut self) -> Result<(), TrainError> {
        for read in self.unread.take()? {
            let Read {
                env_steps,
                updates,
                metrics,
            } = read;
            if let Some((name, value)) = metrics.first_non_finite() {
                return Err(TrainError::NonFinite {
                    what: format!("metric {name}"),
                    place: "returned by the update".into(),
                    value,
                    env_steps,
                    updates,
                });
            }
            metrics
                .iter()
                .for_each(|(name, value)| self.state.tracker.means.add(name, value));
        }
        Ok(())
    }
}
