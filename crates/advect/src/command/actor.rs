//! Who acts in `advect collect` and `advect render`: a trained agent, an expert written by hand, chance.

use super::args::ComputeArgs;
use super::start_threads;
use advect::compose;
use advect::env_source::EnvSource;
use advect::envs::experts;
use advect::rl::behaviour::{Behaviour, ByAgent, ByChance, ByExpert, Noisy};
use advect::rl::{ActMode, run_dir};
use advect::rng::Stream;
use advect::skill::{self, Skill};
use anyhow::Context;
use clap::Args;
use std::path::Path;

/// The word that stands for uniform random actions instead of a run.
const RANDOM: &str = "random";
/// The word that stands for the expert of the environment.
const SCRIPTED: &str = "scripted";

/// Who acts, and where.
#[derive(Debug, Args)]
pub struct ActorArgs {
    /// Run directory, `scripted` for the environment's expert written by hand, or `random`
    pub source: String,
    /// Environment, see `advect envs` [default: that of the run]
    #[arg(long, value_name = "ID")]
    pub env: Option<String>,
    /// Python that runs `gym:ID` environments [default: that of the run]
    #[arg(long, value_name = "PATH")]
    pub python: Option<String>,
    /// Act as in training, with exploration
    #[arg(long)]
    pub explore: bool,
    /// Standard deviation of noise on the actions, which are clipped to their box `[-1, 1]` afterwards
    #[arg(long, default_value_t = 0.0, value_name = "STD", value_parser = noise)]
    pub noise: f32,
    /// Environment step of the checkpoint [default: the last one]
    #[arg(long, value_name = "STEP", conflicts_with = "skill")]
    pub checkpoint: Option<u64>,
    /// Take the run's checkpoint of this skill, by its evaluations
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub skill: Option<SkillChoice>,
    /// Seed of first states and random actions
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub seed: u64,
    /// Where to compute.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// How good an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SkillChoice {
    /// A third of the way from the first evaluation to the best.
    Medium,
    /// The best evaluation.
    Expert,
}

impl ActorArgs {
    /// Calls `act` with the environment and the one who acts in it.
    pub fn with_actor<R>(
        &self,
        act: impl FnOnce(&EnvSource, &mut dyn Behaviour) -> anyhow::Result<R>,
    ) -> anyhow::Result<R> {
        start_threads(self.compute.thread_count())?;
        match self.source.as_str() {
            RANDOM => {
                let behaviour = ByChance(Stream::new(self.seed, "collect/random"));
                act(&self.named_env()?, &mut self.noisy(behaviour))
            }
            SCRIPTED => {
                let source = self.named_env()?;
                let expert = experts::expert_of_state(source.id())?;
                let expert = expert.with_context(|| {
                    let known = experts::ids().join(", ");
                    format!("{} has no expert; these have one: {known}", source.id())
                })?;
                act(&source, &mut self.noisy(ByExpert(expert)))
            }
            run => self.with_agent(Path::new(run), act),
        }
    }

    fn named_env(&self) -> anyhow::Result<EnvSource> {
        let env = self.env.as_deref();
        let env = env.with_context(|| format!("`{}` needs --env ID", self.source))?;
        let source = EnvSource::new(env, self.python.as_deref());
        source.provide(&mut |line| eprintln!("{line}"))?;
        Ok(source)
    }

    fn with_agent<R>(
        &self,
        run: &Path,
        act: impl FnOnce(&EnvSource, &mut dyn Behaviour) -> anyhow::Result<R>,
    ) -> anyhow::Result<R> {
        let config = run_dir::read_config(run)?;
        let python = self.python.as_deref();
        let source = EnvSource::for_agent_of(&config, self.env.as_deref(), python)?;
        let device = self.compute.device_name().unwrap_or_else(|| "auto".into());
        let mut trained = compose::load(run, &device, self.checkpoint_in(run)?)?;
        let agent = trained.agent.as_mut();
        agent.begin_evaluation(Stream::new(self.seed, "collect/agent"));
        let mode = match self.explore {
            true => ActMode::Explore,
            false => ActMode::Evaluate,
        };
        let device = &trained.device;
        act(
            &source,
            &mut self.noisy(ByAgent {
                agent,
                mode,
                device,
            }),
        )
    }

    /// The step of the checkpoint asked for; `None` for the last one.
    pub fn checkpoint_in(&self, run: &Path) -> anyhow::Result<Option<u64>> {
        let skill = match self.skill {
            None => return Ok(self.checkpoint),
            Some(SkillChoice::Medium) => Skill::Medium,
            Some(SkillChoice::Expert) => Skill::Expert,
        };
        Ok(Some(skill::checkpoint_of(run, skill)?))
    }

    fn noisy<B: Behaviour>(&self, inner: B) -> Noisy<B> {
        Noisy {
            inner,
            std: self.noise,
            stream: Stream::new(self.seed, "collect/noise"),
        }
    }
}

fn noise(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(std) if (0.0..=100.0).contains(&std) => Ok(std),
        _ => Err("expected a standard deviation from 0 to 100".into()),
    }
}
