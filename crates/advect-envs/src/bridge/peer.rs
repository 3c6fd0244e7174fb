//! The requests of the protocol, spoken to a process.

use super::config::{BridgeConfig, Timeouts};
use super::error::BridgeError;
use super::frame::{self, Kind, MAGIC, MAX_PAYLOAD, MAX_SPEC, Numbers, VERSION};
use super::process::Process;
use crate::{EnvSpec, Step};

/// Bytes of a step beside its observation: reward and flags.
const STEP_BYTES: usize = 8 + 1;

/// A server that has greeted.
#[derive(Debug)]
pub(super) struct Peer {
    process: Process,
    timeouts: Timeouts,
    /// Numbers of an observation.
    obs_dim: usize,
}

impl Peer {
    pub(super) fn start(config: &BridgeConfig) -> Result<Self, BridgeError> {
        let mut peer = Self {
            process: Process::spawn(config)?,
            timeouts: config.timeouts,
            obs_dim: 0,
        };
        peer.greet()?;
        Ok(peer)
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    fn greet(&mut self) -> Result<(), BridgeError> {
        let greeting = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4]].concat();
        let time = self.timeouts.start;
        self.process
            .send(Kind::Hello, time, |out| out.extend(&greeting))?;
        let size = greeting.len();
        let answer = self.process.receive(Kind::Hello, size..=size, time)?;
        let problem = match answer.strip_prefix(MAGIC) {
            None => Some("the greeting has another magic".to_owned()),
            Some(rest) if rest[..4] == VERSION.to_le_bytes() => None,
            Some(rest) => Some(format!(
                "it speaks version {:?}, this side {VERSION}",
                Numbers(rest).u32().unwrap_or_default()
            )),
        };
        problem.map_or(Ok(()), |problem| {
            Err(self.process.protocol(Kind::Hello, problem))
        })
    }

    /// Makes the environment of the configuration in a slot.
    pub(super) fn make(
        &mut self,
        config: &BridgeConfig,
        slot: u32,
    ) -> Result<EnvSpec, BridgeError> {
        let time = self.timeouts.start;
        self.process.send(Kind::Make, time, |out| {
            out.extend(slot.to_le_bytes());
            out.extend((config.env_id.len() as u32).to_le_bytes());
            out.extend(config.env_id.as_bytes());
            out.extend(config.arguments.as_bytes());
        })?;
        let payload = self.process.receive(Kind::Make, 0..=MAX_SPEC, time)?;
        let spec = frame::decode_spec(&config.name, payload)
            .map_err(|reason| self.process.protocol(Kind::Make, reason))?;
        self.obs_dim = spec.obs_dim;
        Ok(spec)
    }

    /// Starts an episode.
    pub(super) fn reset(
        &mut self,
        slot: u32,
        seed: u32,
        obs: &mut [f64],
    ) -> Result<(), BridgeError> {
        let time = self.timeouts.reset;
        self.process.send(Kind::Reset, time, |out| {
            out.extend(slot.to_le_bytes());
            out.extend(seed.to_le_bytes());
        })?;
        let size = 8 * self.obs_dim;
        let payload = self.process.receive(Kind::Reset, size..=size, time)?;
        Numbers(payload)
            .f64s(obs)
            .map_err(|reason| self.process.protocol(Kind::Reset, reason))
    }

    /// Sends one action for each of some slots.
    pub(super) fn send_steps<'a>(
        &mut self,
        steps: impl ExactSizeIterator<Item = (u32, &'a [f32])> + Clone,
    ) -> Result<(), BridgeError> {
        let time = self.timeouts.step;
        let count = steps.len();
        let size = count.saturating_mul(STEP_BYTES + 8 * self.obs_dim);
        if size > MAX_PAYLOAD {
            let reason = format!(
                "the answers of {count} environments take {size} bytes, more than {MAX_PAYLOAD}; \
                 use fewer environments per process"
            );
            return Err(self.process.protocol(Kind::Step, reason));
        }
        self.process.send(Kind::Step, time, |out| {
            out.extend((count as u32).to_le_bytes());
            out.extend([0; 4]);
            for (slot, _) in steps.clone() {
                out.extend(slot.to_le_bytes());
            }
            for action in steps.flat_map(|(_, action)| action) {
                out.extend(action.to_le_bytes());
            }
        })
    }

    /// The answers to the steps that were sent last, handed to `take` by their place in the request. `take` copies the
    /// observation out of the numbers.
    pub(super) fn receive_steps(
        &mut self,
        count: usize,
        take: impl FnMut(usize, Step, &mut Numbers<'_>) -> Result<(), String>,
    ) -> Result<(), BridgeError> {
        let size = count * (STEP_BYTES + 8 * self.obs_dim);
        let obs_bytes = 8 * self.obs_dim;
        let payload = self
            .process
            .receive(Kind::Step, size..=size, self.timeouts.step)?;
        decode_steps(payload, count, obs_bytes, take)
            .map_err(|reason| self.process.protocol(Kind::Step, reason))
    }

    /// Closes the environment of a slot.
    pub(super) fn close(&mut self, slot: u32) -> Result<(), BridgeError> {
        let time = self.timeouts.reset.min(super::CLOSE_TIMEOUT);
        self.process
            .send(Kind::Close, time, |out| out.extend(slot.to_le_bytes()))?;
        self.process.receive(Kind::Close, 0..=0, time).map(|_| ())
    }
}

fn decode_steps(
    payload: &[u8],
    count: usize,
    obs_bytes: usize,
    mut take: impl FnMut(usize, Step, &mut Numbers<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let (rewards, rest) = payload.split_at(8 * count);
    let (observations, flags) = rest.split_at(count * obs_bytes);
    let (mut rewards, mut flags) = (Numbers(rewards), Numbers(flags));
    let mut observations = Numbers(observations);
    for place in 0..count {
        let (reward, flags) = (rewards.f64()?, flags.u8()?);
        if flags > 3 {
            return Err(format!("flags are {flags}, more than 3"));
        }
        let step = Step {
            reward,
            terminated: flags & 1 != 0,
            truncated: flags & 2 != 0,
        };
        take(place, step, &mut observations)?;
    }
    Ok(())
}
