//! Saved states of episode statistics.

use std::collections::VecDeque;

use super::{Episode, EpisodeStats, Running, Success};
use crate::EnvError;
use crate::state::{StateReader, StateWriter};

impl EpisodeStats {
    /// Everything that a bit-exact continuation needs.
    pub fn save_state(&self) -> Vec<u8> {
        let lens = [self.running.len(), self.recent.len()].map(|len| len as u64);
        let mut writer = StateWriter::new()
            .u64(self.finished)
            .u64(lens[0])
            .u64(lens[1]);
        for running in &self.running {
            writer = running.save(writer);
        }
        for episode in &self.recent {
            writer = episode.save(writer);
        }
        writer.finish()
    }

    /// Continues from what [`EpisodeStats::save_state`] wrote; a longer window is cut to this one.
    ///
    /// # Errors
    /// [`EnvError::BadState`]; nothing is changed then.
    pub fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.id, state);
        let (finished, len, kept) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let here = self.running.len();
        if len != here as u64 {
            return Err(reader.bad(format!("episodes of {len} environments saved, {here} here")));
        }
        let running = (0..len).map(|_| Running::load(&mut reader));
        let running = running.collect::<Result<Vec<_>, _>>()?;
        let mut recent = VecDeque::new();
        for _ in 0..kept {
            recent.push_back(Episode::load(&mut reader, here)?);
        }
        reader.finish()?;
        recent.drain(..recent.len().saturating_sub(self.window));
        (self.running, self.recent, self.finished) = (running, recent, finished);
        Ok(())
    }
}

impl Running {
    fn save(&self, writer: StateWriter) -> StateWriter {
        writer
            .f64s(&[self.total])
            .u64(self.length)
            .u8(u8::from(self.once))
    }

    fn load(reader: &mut StateReader<'_>) -> Result<Self, EnvError> {
        Ok(Self {
            total: total(reader)?,
            length: reader.u64()?,
            once: match reader.u8()? {
                0 => false,
                1 => true,
                flag => return Err(reader.bad(format!("a success flag is {flag}"))),
            },
        })
    }
}

impl Episode {
    fn save(&self, writer: StateWriter) -> StateWriter {
        let success = self.success.map_or(0, |success| {
            1 + u8::from(success.at_end) + 2 * u8::from(success.once)
        });
        writer
            .u64(self.env as u64)
            .f64s(&[self.total])
            .u64(self.length)
            .u8(success)
    }

    fn load(reader: &mut StateReader<'_>, envs: usize) -> Result<Self, EnvError> {
        let env = reader.u64()?;
        let index = usize::try_from(env).ok().filter(|index| *index < envs);
        let Some(index) = index else {
            return Err(reader.bad(format!("an episode of environment {env}, of {envs}")));
        };
        Ok(Self {
            env: index,
            total: total(reader)?,
            length: reader.u64()?,
            success: match reader.u8()? {
                0 => None,
                bits @ 1..=4 => Some(Success {
                    at_end: (bits - 1) & 1 == 1,
                    once: (bits - 1) & 2 == 2,
                }),
                bits => return Err(reader.bad(format!("the success of an episode is {bits}"))),
            },
        })
    }
}

/// A return.
fn total(reader: &mut StateReader<'_>) -> Result<f64, EnvError> {
    let total = reader.f64()?;
    match total.is_finite() {
        true => Ok(total),
        false => Err(reader.bad(format!("a return is {total}"))),
    }
}
