//! The environments of one process: their actions gathered into one message, their crashes answered by the policy.

use super::config::{BridgeConfig, OnCrash};
use super::error::BridgeError;
use super::peer::Peer;
use crate::{EnvSpec, Step};

/// Where an environment is in its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// No action is known.
    Idle,
    /// The action waits for the message.
    Queued,
    /// The action is with the process.
    Sent,
    /// The answer is here.
    Ready,
}

/// An environment of the process.
#[derive(Debug)]
struct Slot {
    live: bool,
    turn: Turn,
    action: Vec<f32>,
    obs: Vec<f64>,
    step: Step,
}

/// One process and its environments.
#[derive(Debug)]
pub(super) struct Hub {
    config: BridgeConfig,
    peer: Option<Peer>,
    spec: Option<EnvSpec>,
    slots: Vec<Slot>,
    /// The slots whose answers are awaited, in the message's order.
    sent: Vec<usize>,
    /// Number of processes before this one: an episode of an earlier process is lost.
    epoch: u64,
    crashes: Vec<BridgeError>,
    /// The failure that every later call returns.
    broken: Option<BridgeError>,
}

impl Hub {
    pub(super) fn start(config: BridgeConfig) -> Result<Self, BridgeError> {
        Ok(Self {
            peer: Some(Peer::start(&config)?),
            config,
            spec: None,
            slots: Vec::new(),
            sent: Vec::new(),
            epoch: 0,
            crashes: Vec::new(),
            broken: None,
        })
    }

    pub(super) fn config(&self) -> &BridgeConfig {
        &self.config
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn crashes(&self) -> &[BridgeError] {
        &self.crashes
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        self.peer.as_ref().map(Peer::process_id)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The number of environments in use.
    pub(super) fn live(&self) -> usize {
        self.slots.iter().filter(|slot| slot.live).count()
    }

    /// Makes an environment; its slot and its specification.
    pub(super) fn open(&mut self) -> Result<(usize, EnvSpec), BridgeError> {
        let opened = self.try_open();
        opened.map_err(|fault| self.give_up(fault))
    }

    fn try_open(&mut self) -> Result<(usize, EnvSpec), BridgeError> {
        self.collect()?;
        let free = self.slots.iter().position(|slot| !slot.live);
        let index = free.unwrap_or(self.slots.len());
        let spec = self.make(index)?;
        let slot = Slot {
            live: true,
            turn: Turn::Idle,
            action: vec![0.0; spec.act_dim],
            obs: vec![0.0; spec.obs_dim],
            step: Step::running(0.0),
        };
        match self.slots.get_mut(index) {
            Some(old) => *old = slot,
            None => self.slots.push(slot),
        }
        Ok((index, spec))
    }

    /// Makes the environment of a slot in the process, which must be like those before it.
    fn make(&mut self, index: usize) -> Result<EnvSpec, BridgeError> {
        let peer = running(&mut self.peer, &self.broken)?;
        let spec = peer.make(&self.config, index as u32)?;
        match &self.spec {
            Some(first) if *first != spec => Err(BridgeError::Protocol {
                doing: "make",
                reason: "two environments of one id have different sizes, bounds or limits".into(),
                stderr: String::new(),
            }),
            _ => {
                self.spec = Some(spec.clone());
                Ok(spec)
            }
        }
    }

    /// Ends an environment. A failure is left for the next call to report.
    pub(super) fn close(&mut self, index: usize) {
        self.slots[index].live = false;
        self.slots[index].turn = Turn::Idle;
        if self.broken.is_some() {
            return;
        }
        let closed = self.collect().and_then(|()| {
            let peer = running(&mut self.peer, &self.broken)?;
            peer.close(index as u32)
        });
        self.slots[index].turn = Turn::Idle;
        if let Err(fault) = closed {
            let _ = match self.live() {
                0 => Err(self.give_up(fault)),
                _ => self.recover(fault),
            };
        }
    }

    /// Starts an episode; returns the epoch in which it runs.
    pub(super) fn reset(
        &mut self,
        index: usize,
        seed: u32,
        obs: &mut [f64],
    ) -> Result<u64, BridgeError> {
        loop {
            match self.try_reset(index, seed, obs) {
                Ok(()) => return Ok(self.epoch),
                Err(fault) => self.recover(fault)?,
            }
        }
    }

    fn try_reset(&mut self, index: usize, seed: u32, obs: &mut [f64]) -> Result<(), BridgeError> {
        self.collect()?;
        self.slots[index].turn = Turn::Idle;
        running(&mut self.peer, &self.broken)?.reset(index as u32, seed, obs)
    }

    /// Takes the action of the next step. The message goes out as soon as every environment's action is known; a
    /// failure is left for the step to report.
    pub(super) fn announce(&mut self, index: usize, action: &[f32]) {
        if self.broken.is_some() || self.slots[index].turn != Turn::Idle {
            return;
        }
        self.queue(index, action);
        let all = |slot: &Slot| !slot.live || slot.turn == Turn::Queued;
        if self.slots.iter().all(all)
            && let Err(fault) = self.flush()
        {
            let _ = self.recover(fault);
        }
    }

    /// Steps an environment whose episode began in `epoch`; `None` if the process was started again since.
    pub(super) fn step(
        &mut self,
        index: usize,
        epoch: u64,
        action: &[f32],
        obs: &mut [f64],
    ) -> Result<Option<Step>, BridgeError> {
        if let Some(fault) = &self.broken {
            return Err(fault.clone());
        }
        if epoch != self.epoch {
            return Ok(None);
        }
        let slot = &self.slots[index];
        if slot.turn == Turn::Idle {
            self.queue(index, action);
        } else if !same_bits(&slot.action, action) {
            return Err(BridgeError::Announced);
        }
        match self.answer(index) {
            Ok(()) => Ok(Some(self.take(index, obs))),
            Err(fault) => self.recover(fault).map(|()| None),
        }
    }

    fn queue(&mut self, index: usize, action: &[f32]) {
        let slot = &mut self.slots[index];
        slot.action.copy_from_slice(action);
        slot.turn = Turn::Queued;
    }

    /// Makes sure that the answer of a slot is here.
    fn answer(&mut self, index: usize) -> Result<(), BridgeError> {
        if self.slots[index].turn == Turn::Queued {
            self.flush()?;
        }
        if self.slots[index].turn == Turn::Sent {
            self.collect()?;
        }
        Ok(())
    }

    fn take(&mut self, index: usize, obs: &mut [f64]) -> Step {
        let slot = &mut self.slots[index];
        obs.copy_from_slice(&slot.obs);
        slot.turn = Turn::Idle;
        slot.step
    }

    /// Sends all queued actions.
    fn flush(&mut self) -> Result<(), BridgeError> {
        self.collect()?;
        let peer = running(&mut self.peer, &self.broken)?;
        let queued = self.slots.iter().enumerate();
        self.sent.extend(
            queued
                .filter(|(_, slot)| slot.turn == Turn::Queued)
                .map(|(index, _)| index),
        );
        let slots = &self.slots;
        let action = |index: &usize| (*index as u32, slots[*index].action.as_slice());
        peer.send_steps(self.sent.iter().map(action))?;
        for index in &self.sent {
            self.slots[*index].turn = Turn::Sent;
        }
        Ok(())
    }

    /// Receives the answers that are awaited.
    fn collect(&mut self) -> Result<(), BridgeError> {
        if self.sent.is_empty() {
            return Ok(());
        }
        let peer = running(&mut self.peer, &self.broken)?;
        let (sent, slots) = (&self.sent, &mut self.slots);
        peer.receive_steps(sent.len(), |place, step, numbers| {
            let slot = &mut slots[sent[place]];
            slot.step = step;
            slot.turn = Turn::Ready;
            numbers.f64s(&mut slot.obs)
        })?;
        self.sent.clear();
        Ok(())
    }

    /// Starts the process again if the policy allows it; else every later call fails.
    fn recover(&mut self, fault: BridgeError) -> Result<(), BridgeError> {
        let mut fault = fault;
        loop {
            self.forget();
            if self.broken.is_some() || self.config.on_crash == OnCrash::End {
                return Err(self.give_up(fault));
            }
            let count = self.crashes.len() as u32;
            if count >= self.config.max_restarts {
                let last = Box::new(fault);
                return Err(self.give_up(BridgeError::Restarts { count, last }));
            }
            self.crashes.push(fault);
            match self.start_again() {
                Ok(()) => return Ok(()),
                Err(next) => fault = next,
            }
        }
    }

    /// Ends the process and drops all that was under way.
    fn forget(&mut self) {
        self.peer = None;
        self.sent.clear();
        for slot in &mut self.slots {
            slot.turn = Turn::Idle;
        }
    }

    fn start_again(&mut self) -> Result<(), BridgeError> {
        self.epoch += 1;
        self.peer = Some(Peer::start(&self.config)?);
        (0..self.slots.len())
            .filter(|index| self.slots[*index].live)
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|index| self.make(index).map(|_| ()))
    }

    /// Remembers the first failure as final and returns it.
    fn give_up(&mut self, fault: BridgeError) -> BridgeError {
        self.forget();
        self.broken.get_or_insert(fault).clone()
    }
}

/// The running process, or the failure that ended it.
fn running<'a>(
    peer: &'a mut Option<Peer>,
    broken: &Option<BridgeError>,
) -> Result<&'a mut Peer, BridgeError> {
    peer.as_mut().ok_or_else(|| {
        broken.clone().unwrap_or(BridgeError::Exited {
            doing: "start",
            status: "it was ended".to_owned(),
            stderr: String::new(),
        })
    })
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    let bits = |value: &f32| value.to_bits();
    a.iter().map(bits).eq(b.iter().map(bits))
}
