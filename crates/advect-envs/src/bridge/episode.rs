//! The running episode of a bridged environment, remembered so that it can be played again.

use crate::state::{StateReader, StateWriter};
use crate::{EnvError, Step};

/// Most action numbers remembered per episode (16 MiB); a longer episode cannot be played again.
const MAX_REMEMBERED: usize = 1 << 22;

/// Seed, actions and a digest of all that came back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Episode {
    pub(super) seed: u32,
    /// Epoch of the process in which it runs; `None` if it cannot go on.
    pub(super) epoch: Option<u64>,
    /// The actions one behind the other; `None` if they became too many.
    pub(super) actions: Option<Vec<f32>>,
    /// Changes with each bit of each observation, reward and flag.
    pub(super) digest: u64,
    /// The observation that came last.
    pub(super) last_obs: Vec<f64>,
}

impl Episode {
    /// An episode that began with `obs`.
    pub(super) fn begin(seed: u32, epoch: u64, obs: &[f64]) -> Self {
        Self {
            seed,
            epoch: Some(epoch),
            actions: Some(Vec::new()),
            digest: digest(0, obs),
            last_obs: obs.to_vec(),
        }
    }

    pub(super) fn record(&mut self, action: &[f32], step: Step, obs: &[f64]) {
        match &mut self.actions {
            Some(actions) if actions.len() + action.len() <= MAX_REMEMBERED => {
                actions.extend(action);
            }
            actions => *actions = None,
        }
        let flags = f64::from(u8::from(step.terminated) | u8::from(step.truncated) << 1);
        self.digest = digest(digest(self.digest, &[step.reward, flags]), obs);
        self.last_obs.copy_from_slice(obs);
    }

    pub(super) fn save(&self, writer: StateWriter) -> StateWriter {
        let actions = self.actions.as_deref();
        let bytes = StateWriter::new().f32s(actions.unwrap_or_default());
        writer
            .u32(self.seed)
            .u64(self.digest)
            .f64s(&self.last_obs)
            .u8(u8::from(actions.is_some()))
            .block(&bytes.finish())
    }

    /// Reads an episode with observations of `obs_dim` and actions of `act_dim` numbers. It belongs to no process yet.
    pub(super) fn load(
        reader: &mut StateReader<'_>,
        obs_dim: usize,
        act_dim: usize,
    ) -> Result<Self, EnvError> {
        let (seed, digest) = (reader.u32()?, reader.u64()?);
        let mut last_obs = vec![0.0; obs_dim];
        reader.f64s(&mut last_obs)?;
        let complete = reader.u8()? == 1;
        let block = reader.block()?;
        if block.len() % (4 * act_dim) != 0 {
            let len = block.len();
            return Err(reader.bad(format!("{len} bytes are no actions of {act_dim} numbers")));
        }
        let mut actions = vec![0.0; block.len() / 4];
        StateReader::new("actions", block).f32s(&mut actions)?;
        Ok(Self {
            seed,
            epoch: None,
            actions: complete.then_some(actions),
            digest,
            last_obs,
        })
    }
}

/// Mixes the bits of `values` into `start`.
fn digest(start: u64, values: &[f64]) -> u64 {
    values.iter().fold(start, |digest, value| {
        let mixed = (digest ^ value.to_bits()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 29)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_sees_every_bit_and_the_order() {
        let base = digest(0, &[1.0, 2.0]);
        assert_ne!(base, digest(0, &[2.0, 1.0]));
        assert_ne!(
            base,
            digest(0, &[1.0, f64::from_bits(2.0f64.to_bits() + 1)])
        );
        assert_ne!(digest(7, &[0.0]), digest(7, &[-0.0]));
    }

    #[test]
    fn too_long_episodes_are_no_longer_remembered() {
        let mut episode = Episode::begin(1, 0, &[0.0]);
        let action = vec![0.0; MAX_REMEMBERED / 2];
        let step = Step::running(0.0);
        for _ in 0..2 {
            episode.record(&action, step, &[0.0]);
        }
        assert!(episode.actions.is_some());
        episode.record(&[0.0], step, &[0.0]);
        assert_eq!(episode.actions, None);
    }
}
