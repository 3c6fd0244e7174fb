//! Evaluation: episodes of their own, with their own environments and seeds.

use advect_envs::{Env, EnvError, Step};
use advect_rng::Stream;
use candle_core::Device;

use crate::acting::{check_bounds, choose_bounded, scale_actions};
use crate::agent::{ActMode, Agent, Metrics};
use crate::error::TrainError;

/// Makes one environment; called for every training environment and every episode of an evaluation.
pub type EnvFactory = Box<dyn Fn() -> Result<Box<dyn Env>, EnvError> + Send>;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2_000;

/// Returns of an evaluation and what they say.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalReport {
    /// Undiscounted return of each episode.
    pub returns: Vec<f64>,
    /// Steps of each episode.
    pub lengths: Vec<u64>,
    /// Whether each episode achieved the task at some time ([`Env::is_success`]); empty for tasks without such a notion.
    pub successes: Vec<bool>,
    /// Mean return.
    pub mean: f64,
    /// Population standard deviation of the returns.
    pub std: f64,
    /// Interquartile mean: mean of the middle half.
    pub iqm: f64,
    /// 95 % bootstrap interval of the mean (percentile method).
    pub mean_interval: [f64; 2],
    /// 95 % bootstrap interval of the interquartile mean (percentile method).
    pub iqm_interval: [f64; 2],
}

impl EvalReport {
    /// The statistics of `returns`; the bootstrap always draws from the same stream.
    pub fn new(returns: Vec<f64>, lengths: Vec<u64>, successes: Vec<bool>) -> Self {
        let mean = mean(&returns);
        let variance =
            returns.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / returns.len().max(1) as f64;
        let [mean_interval, iqm_interval] = bootstrap(&returns);
        let iqm = interquartile_mean(&mut returns.clone());
        Self {
            mean,
            std: variance.sqrt(),
            iqm,
            mean_interval,
            iqm_interval,
            returns,
            lengths,
            successes,
        }
    }

    /// The part of the episodes that achieved the task, if the task has such a notion.
    pub fn success_rate(&self) -> Option<f64> {
        let achieved = self.successes.iter().filter(|success| **success).count();
        (!self.successes.is_empty()).then(|| achieved as f64 / self.successes.len() as f64)
    }

    /// The scalars to log, `eval/...`.
    pub fn metrics(&self) -> Metrics {
        let lengths: Vec<f64> = self.lengths.iter().map(|x| *x as f64).collect();
        let mut metrics = Metrics::from([
            ("eval/return_mean", self.mean),
            ("eval/return_std", self.std),
            ("eval/return_iqm", self.iqm),
            ("eval/return_mean_low", self.mean_interval[0]),
            ("eval/return_mean_high", self.mean_interval[1]),
            ("eval/return_iqm_low", self.iqm_interval[0]),
            ("eval/return_iqm_high", self.iqm_interval[1]),
            ("eval/episode_length", mean(&lengths)),
        ]);
        if let Some(rate) = self.success_rate() {
            metrics.insert("eval/success_rate", rate);
        }
        metrics
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Mean of the values between the quartiles: a quarter of them (rounded down) is cut off at each end. Sorts `values`.
pub fn interquartile_mean(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let cut = values.len() / 4;
    mean(&values[cut..values.len() - cut])
}

/// 95 % percentile intervals of mean and interquartile mean.
fn bootstrap(values: &[f64]) -> [[f64; 2]; 2] {
    let mut stream = Stream::new(0, "evaluation bootstrap");
    let mut picks = vec![0; values.len()];
    let (mut means, mut iqms) = (Vec::with_capacity(RESAMPLES), Vec::with_capacity(RESAMPLES));
    for _ in 0..RESAMPLES {
        stream.fill_indices(values.len() as u32, &mut picks);
        let mut resample: Vec<f64> = picks.iter().map(|i| values[*i as usize]).collect();
        means.push(mean(&resample));
        iqms.push(interquartile_mean(&mut resample));
    }
    [interval(&mut means), interval(&mut iqms)]
}

fn interval(values: &mut [f64]) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |q: f64| values[(q * (values.len() - 1) as f64).round() as usize];
    [at(0.025), at(0.975)]
}

/// One running episode outside of training.
pub(crate) struct Episode {
    index: usize,
    pub(crate) env: Box<dyn Env>,
    pub(crate) obs: Vec<f64>,
    /// The last action, in the environment's units.
    pub(crate) action: Vec<f32>,
    pub(crate) total: f64,
    length: u64,
    pub(crate) done: bool,
    /// Whether the task has been achieved in this episode, if it has such a notion.
    pub(crate) success: Option<bool>,
}

impl Episode {
    /// The episode number `index`, whose first state is drawn from a fork of `seeds` of its own.
    pub(crate) fn start(
        env: Box<dyn Env>,
        seeds: &Stream,
        index: usize,
    ) -> Result<Self, TrainError> {
        let (obs, action) = (vec![0.0; env.spec().obs_dim], vec![0.0; env.spec().act_dim]);
        let mut episode = Self {
            index,
            env,
            obs,
            action,
            total: 0.0,
            length: 0,
            done: false,
            success: None,
        };
        episode.env.reset(
            &mut seeds.fork(&format!("episode {index}")),
            &mut episode.obs,
        )?;
        Ok(episode)
    }

    /// Takes an action in units in which the environment's box is `[-1, 1]^d`.
    pub(crate) fn step(&mut self, act: &[f32]) -> Result<Step, TrainError> {
        self.announce(act);
        self.step_announced()
    }

    /// Says which action comes next, so that environments of one process can be sent theirs together.
    fn announce(&mut self, act: &[f32]) {
        scale_actions(self.env.spec(), act, &mut self.action);
        self.env.announce(&self.action);
    }

    fn step_announced(&mut self) -> Result<Step, TrainError> {
        let step = self.env.step(&self.action, &mut self.obs)?;
        self.length += 1;
        self.check_finite(step.reward)?;
        self.total += step.reward;
        self.done = step.is_last();
        if let Some(achieved) = self.env.is_success() {
            self.success = Some(achieved || self.success == Some(true));
        }
        Ok(step)
    }

    fn check_finite(&self, reward: f64) -> Result<(), EnvError> {
        let bad = self
            .obs
            .iter()
            .position(|x| !x.is_finite())
            .map(|index| ("observation", index));
        match bad.or((!reward.is_finite()).then_some(("reward", 0))) {
            None => Ok(()),
            Some((what, index)) => Err(EnvError::NonFinite {
                id: self.env.spec().id.clone(),
                env: self.index,
                what,
                index,
                step: self.length,
            }),
        }
    }
}

/// Runs `episodes` episodes in lockstep and reports their returns.
///
/// Initial states come from `Stream::new(seed, "evaluation")`, the same at every call, and the agent's draws from a
/// fork of it: the result depends on the agent's parameters and `seed` only, and no training stream moves.
///
/// # Errors
/// What the environment or the agent reports; [`TrainError::Invalid`] without episodes.
pub fn evaluate(
    agent: &mut dyn Agent,
    make: &EnvFactory,
    episodes: usize,
    seed: u64,
    device: &Device,
) -> Result<EvalReport, TrainError> {
    if episodes == 0 {
        let (what, problem) = ("evaluation".into(), "no episodes".into());
        return Err(TrainError::Invalid {
            what,
            problem,
            fix: "set eval_episodes to 1 or more".into(),
        });
    }
    let seeds = Stream::new(seed, "evaluation");
    agent.begin_evaluation(seeds.fork("agent"));
    let mut all = Vec::with_capacity(episodes);
    for index in 0..episodes {
        all.push(Episode::start(make()?, &seeds, index)?);
    }
    check_bounds(all[0].env.spec())?;
    while all.iter().any(|episode| !episode.done) {
        step_running(agent, &mut all, device)?;
    }
    let (returns, lengths) = all
        .iter()
        .map(|episode| (episode.total, episode.length))
        .unzip();
    let successes = all.iter().filter_map(|episode| episode.success).collect();
    Ok(EvalReport::new(returns, lengths, successes))
}

fn step_running(
    agent: &mut dyn Agent,
    all: &mut [Episode],
    device: &Device,
) -> Result<(), TrainError> {
    let mut running: Vec<&mut Episode> = all.iter_mut().filter(|episode| !episode.done).collect();
    let obs: Vec<f32> = running
        .iter()
        .flat_map(|episode| episode.obs.iter().map(|x| *x as f32))
        .collect();
    let spec = running[0].env.spec().clone();
    let act = choose_bounded(agent, &spec, obs, ActMode::Evaluate, device)?;
    for (episode, act) in running.iter_mut().zip(act.chunks(spec.act_dim)) {
        episode.announce(act);
    }
    for episode in running {
        episode.step_announced()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interquartile_mean_cuts_a_quarter_at_each_end() {
        let mut values = [100.0, 1.0, 2.0, 3.0, 4.0, -50.0, 2.5, 3.5];
        assert_eq!(
            interquartile_mean(&mut values),
            (2.0 + 2.5 + 3.0 + 3.5) / 4.0
        );
        assert_eq!(interquartile_mean(&mut [3.0]), 3.0);
    }

    #[test]
    fn report_is_deterministic_and_its_interval_has_the_normal_width() {
        let mut stream = Stream::new(3, "returns");
        let returns: Vec<f64> = (0..400).map(|_| 10.0 + 2.0 * stream.normal_f64()).collect();
        let report = EvalReport::new(returns.clone(), vec![1; 400], Vec::new());
        assert_eq!(report, EvalReport::new(returns, vec![1; 400], Vec::new()));
        let half_width = 1.96 * report.std / 20.0;
        assert!((report.mean_interval[0] - (report.mean - half_width)).abs() < 0.15 * half_width);
        assert!((report.mean_interval[1] - (report.mean + half_width)).abs() < 0.15 * half_width);
        assert!(report.iqm_interval[0] < report.iqm && report.iqm < report.iqm_interval[1]);
    }
}
