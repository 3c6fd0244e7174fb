//! The part of a vector of environments that one thread steps.

use std::ops::Range;

use advect_rng::Stream;

use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, StepBuffers};

/// What a shard is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command {
    Reset,
    Step,
}

struct Member {
    env: Box<dyn Env>,
    rng: Stream,
    /// Steps taken, all episodes together.
    steps: u64,
}

/// Contiguous environments with their streams, actions and results. The default is an empty shard, which
/// stands in while the real one is with its worker.
#[derive(Default)]
pub(crate) struct Shard {
    first: usize,
    members: Vec<Member>,
    actions: Vec<f32>,
    /// One observation as the environments write it `[obs_dim]`.
    row: Vec<f64>,
    out: StepBuffers,
    error: Option<EnvError>,
}

impl Shard {
    /// The environments from index `first` on; at least one.
    pub(crate) fn new(first: usize, members: Vec<(Box<dyn Env>, Stream)>) -> Self {
        let spec = members[0].0.spec().clone();
        Self {
            first,
            actions: vec![0.0; members.len() * spec.act_dim],
            row: vec![0.0; spec.obs_dim],
            out: StepBuffers::new(members.len(), spec.obs_dim),
            members: members
                .into_iter()
                .map(|(env, rng)| Member { env, rng, steps: 0 })
                .collect(),
            error: None,
        }
    }

    pub(crate) fn first(&self) -> usize {
        self.first
    }

    pub(crate) fn end(&self) -> usize {
        self.first + self.members.len()
    }

    pub(crate) fn env_mut(&mut self, index: usize) -> Option<&mut dyn Env> {
        let member = self.members.get_mut(index.checked_sub(self.first)?)?;
        Some(&mut *member.env)
    }

    /// Takes its rows of the whole vector's actions.
    pub(crate) fn set_actions(&mut self, actions: &[f32], act_dim: usize) {
        let rows = self.first * act_dim..self.end() * act_dim;
        self.actions.copy_from_slice(&actions[rows]);
    }

    /// The results of the last command, or its error.
    pub(crate) fn results(&mut self) -> Result<&StepBuffers, EnvError> {
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(&self.out),
        }
    }

    pub(crate) fn run(&mut self, command: Command) {
        if let Command::Step = command {
            self.announce();
        }
        let mut run = || {
            (0..self.members.len()).try_for_each(|index| match command {
                Command::Reset => self.reset(index),
                Command::Step => self.step(index),
            })
        };
        self.error = run().err();
    }

    pub(crate) fn save(&self, mut writer: StateWriter) -> StateWriter {
        for member in &self.members {
            writer = writer
                .stream(&member.rng)
                .u64(member.steps)
                .block(&member.env.save_state());
        }
        writer
    }

    pub(crate) fn load(&mut self, reader: &mut StateReader<'_>) -> Result<(), EnvError> {
        for member in &mut self.members {
            let (rng, steps) = (reader.stream()?, reader.u64()?);
            member.env.load_state(reader.block()?)?;
            (member.rng, member.steps) = (rng, steps);
        }
        Ok(())
    }

    /// Tells every environment its action, so that those that share a process are stepped together. Bad actions are
    /// left for the step to report.
    fn announce(&mut self) {
        let act_dim = self.actions.len() / self.members.len();
        let actions = self.actions.chunks_exact(act_dim.max(1));
        for (member, action) in self.members.iter_mut().zip(actions) {
            if action.iter().all(|a| a.is_finite()) {
                member.env.announce(action);
            }
        }
    }

    fn reset(&mut self, index: usize) -> Result<(), EnvError> {
        self.start_episode(index)?;
        let rows = self.rows(index);
        let (obs, final_obs) = (&self.out.obs, &mut self.out.final_obs);
        final_obs[rows.clone()].copy_from_slice(&obs[rows]);
        self.out.reward[index] = 0.0;
        self.out.terminated[index] = false;
        self.out.truncated[index] = false;
        self.out.success[index] = self.members[index].env.is_success();
        Ok(())
    }

    fn step(&mut self, index: usize) -> Result<(), EnvError> {
        let act_dim = self.actions.len() / self.members.len();
        let action = &self.actions[index * act_dim..(index + 1) * act_dim];
        if let Some(bad) = action.iter().position(|a| !a.is_finite()) {
            return Err(self.non_finite(index, "action", bad));
        }
        let member = &mut self.members[index];
        let step = member.env.step(action, &mut self.row)?;
        member.steps += 1;
        let reward = step.reward as f32;
        if !reward.is_finite() {
            return Err(self.non_finite(index, "reward", 0));
        }
        self.out.reward[index] = reward;
        self.out.success[index] = member.env.is_success();
        self.out.terminated[index] = step.terminated;
        self.out.truncated[index] = step.truncated;
        self.write_obs(index)?;
        let rows = self.rows(index);
        self.out.final_obs[rows.clone()].copy_from_slice(&self.out.obs[rows]);
        if step.is_last() {
            self.start_episode(index)?;
        }
        Ok(())
    }

    fn start_episode(&mut self, index: usize) -> Result<(), EnvError> {
        let member = &mut self.members[index];
        member.env.reset(&mut member.rng, &mut self.row)?;
        self.write_obs(index)
    }

    /// Rounds the observation row to f32, refusing what is not finite then.
    fn write_obs(&mut self, index: usize) -> Result<(), EnvError> {
        let rows = self.rows(index);
        for (narrow, wide) in self.out.obs[rows.clone()].iter_mut().zip(&self.row) {
            *narrow = *wide as f32;
        }
        match self.out.obs[rows].iter().position(|o| !o.is_finite()) {
            None => Ok(()),
            Some(bad) => Err(self.non_finite(index, "observation", bad)),
        }
    }

    fn rows(&self, index: usize) -> Range<usize> {
        index * self.row.len()..(index + 1) * self.row.len()
    }

    fn non_finite(&self, index: usize, what: &'static str, bad: usize) -> EnvError {
        let member = &self.members[index];
        EnvError::NonFinite {
            id: member.env.spec().id.clone(),
            env: self.first + index,
            what,
            index: bad,
            step: member.steps,
        }
    }
}
