//! One environment of a bridge as an `Env`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use advect_rng::Stream;

use super::config::OnResume;
use super::episode::Episode;
use super::error::BridgeError;
use super::hub::Hub;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Step};

/// An environment in another process, from [`Bridge::make`](super::Bridge::make).
///
/// Time limits are the server's: `truncated` is what it says.
#[derive(Debug)]
pub struct BridgedEnv {
    hub: Arc<Mutex<Hub>>,
    slot: usize,
    spec: EnvSpec,
    episode: Option<Episode>,
}

impl BridgedEnv {
    pub(super) fn open(hub: Arc<Mutex<Hub>>) -> Result<Self, EnvError> {
        let (slot, spec) = {
            let mut hub = lock(&hub);
            let name = hub.config().name.clone();
            hub.open().map_err(|fault| failed(&name, fault))?
        };
        Ok(Self {
            hub,
            slot,
            spec,
            episode: None,
        })
    }

    fn failed(&self, fault: BridgeError) -> EnvError {
        failed(&self.spec.id, fault)
    }

    fn begin(&mut self, seed: u32, obs: &mut [f64]) -> Result<(), EnvError> {
        self.episode = None;
        let begun = lock(&self.hub).reset(self.slot, seed, obs);
        let epoch = begun.map_err(|fault| self.failed(fault))?;
        self.episode = Some(Episode::begin(seed, epoch, obs));
        Ok(())
    }

    /// Steps `episode`; `None` if its process is gone.
    fn advance(
        &self,
        episode: &mut Episode,
        action: &[f32],
        obs: &mut [f64],
    ) -> Result<Option<Step>, BridgeError> {
        let Some(epoch) = episode.epoch else {
            return Ok(None);
        };
        let step = lock(&self.hub).step(self.slot, epoch, action, obs)?;
        if let Some(step) = step {
            episode.record(action, step, obs);
        }
        Ok(step)
    }

    /// Plays `saved` again; what comes back must be what came back then.
    fn replay(&mut self, saved: &Episode) -> Result<(), EnvError> {
        let differs = |reason: &str| BridgeError::Replay {
            reason: reason.to_owned(),
        };
        let Some(actions) = &saved.actions else {
            return Err(self.failed(differs("it is too long to be played again")));
        };
        let mut obs = vec![0.0; self.spec.obs_dim];
        self.begin(saved.seed, &mut obs)?;
        let steps = actions.len() / self.spec.act_dim;
        for (taken, action) in actions.chunks_exact(self.spec.act_dim).enumerate() {
            let reason = match self.step(action, &mut obs)? {
                _ if self.episode.is_some() => continue,
                _ => format!("it ended at step {} of {steps}", taken + 1),
            };
            return Err(self.failed(differs(&reason)));
        }
        let same = |played: &Episode| played.digest == saved.digest;
        match self.episode.as_ref().is_some_and(same) {
            true => Ok(()),
            false => Err(self.failed(differs(
                "its observations or rewards differ from the saved ones",
            ))),
        }
    }
}

impl Env for BridgedEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        // 31 bits: some simulators take the seed as a signed integer
        self.begin(rng.next_u32() >> 1, obs)
    }

    fn announce(&mut self, action: &[f32]) {
        let mut hub = lock(&self.hub);
        let running = |episode: &Episode| episode.epoch == Some(hub.epoch());
        if action.len() == self.spec.act_dim && self.episode.as_ref().is_some_and(running) {
            hub.announce(self.slot, action);
        }
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        let Some(mut episode) = self.episode.take() else {
            return Err(EnvError::NeedsReset {
                id: self.spec.id.clone(),
            });
        };
        let step = match self.advance(&mut episode, action, obs) {
            Ok(Some(step)) => step,
            Ok(None) => cut_off(&episode, obs),
            Err(fault) => {
                self.episode = Some(episode);
                return Err(self.failed(fault));
            }
        };
        self.episode = Some(episode).filter(|_| !step.is_last());
        Ok(step)
    }

    /// The episode's seed, its actions and a digest of what came back; the simulator itself cannot be saved.
    fn save_state(&self) -> Vec<u8> {
        let writer = StateWriter::new().u8(u8::from(self.episode.is_some()));
        match &self.episode {
            None => writer.finish(),
            Some(episode) => episode.save(writer).finish(),
        }
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let id = self.spec.id.clone();
        let mut reader = StateReader::new(&id, state);
        let saved = match reader.u8()? {
            0 => None,
            1 => Some(Episode::load(
                &mut reader,
                self.spec.obs_dim,
                self.spec.act_dim,
            )?),
            flag => return Err(reader.bad(format!("running flag is {flag}"))),
        };
        reader.finish()?;
        let policy = lock(&self.hub).config().on_resume;
        match (saved, policy) {
            (Some(saved), OnResume::Replay) => self.replay(&saved),
            (saved, _) => {
                self.episode = saved;
                Ok(())
            }
        }
    }
}

impl Drop for BridgedEnv {
    fn drop(&mut self) {
        lock(&self.hub).close(self.slot);
    }
}

/// The step that ends an episode whose process is gone.
fn cut_off(episode: &Episode, obs: &mut [f64]) -> Step {
    obs.copy_from_slice(&episode.last_obs);
    Step {
        truncated: true,
        ..Step::running(0.0)
    }
}

/// The failure `fault` of the environment `id`.
pub(super) fn failed(id: &str, fault: BridgeError) -> EnvError {
    EnvError::Bridge {
        id: id.to_owned(),
        fault,
    }
}

/// The hub, also after a panic of another thread: its state is whole between any two requests.
pub(super) fn lock(hub: &Mutex<Hub>) -> MutexGuard<'_, Hub> {
    hub.lock().unwrap_or_else(PoisonError::into_inner)
}
