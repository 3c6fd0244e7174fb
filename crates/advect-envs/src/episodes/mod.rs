//! Return, length and success of the episodes of a vector.

mod saved;

use std::collections::VecDeque;

use crate::{EnvError, EnvSpec, StepBuffers};

/// Whether an episode achieved its task, in the two senses that the field reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Success {
    /// In its last state: the success rate of Gymnasium-Robotics' tasks, hindsight replay and Stable-Baselines3.
    pub at_end: bool,
    /// After any of its steps: the success of AntMaze and of FM-IRL's tasks, which need not stay at the goal.
    pub once: bool,
}

/// An episode that ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Episode {
    /// Index of its environment.
    pub env: usize,
    /// Undiscounted return.
    pub total: f64,
    /// Steps of the vector; a wrapper's step is one, however many actions it took.
    pub length: u64,
    /// `None` for tasks without the notion.
    pub success: Option<Success>,
}

/// Means over the last episodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpisodeMeans {
    /// Episodes that the means are over.
    pub episodes: usize,
    /// Mean return.
    pub total: f64,
    /// Mean length.
    pub length: f64,
    /// Share of episodes with success in the last state, of those that have the notion.
    pub success_at_end: Option<f64>,
    /// Share of episodes with success after any step, of those that have the notion.
    pub success_once: Option<f64>,
}

/// An episode that goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Running {
    total: f64,
    length: u64,
    once: bool,
}

/// Counts the episodes of a vector of environments, and their means over a bounded window.
///
/// It reads the vector's own rewards: call [`EpisodeStats::record`] before a
/// [`NormalizeReward`](crate::normalize::NormalizeReward) changes them. Success is [`Env::is_success`](crate::Env::is_success) as
/// [`StepBuffers::success`] has it, after each step of the vector; the first state of an episode does not count.
///
/// ```
/// use advect_envs::{EpisodeStats, VecEnv, make};
/// let mut envs = VecEnv::new(|_| make("Pendulum-v1@max_episode_steps=5"), 3, 1, 0)?;
/// let mut out = envs.buffers();
/// let mut stats = EpisodeStats::new(envs.spec(), envs.len(), 100)?;
/// envs.reset(&mut out)?;
/// for _ in 0..7 {
///     envs.step(&[0.0; 3], &mut out)?;
///     for episode in stats.record(&out)? {
///         assert_eq!((episode.length, episode.success), (5, None));
///     }
/// }
/// assert_eq!(stats.means().map(|means| means.episodes), Some(3));
/// # Ok::<(), advect_envs::EnvError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeStats {
    id: String,
    running: Vec<Running>,
    recent: VecDeque<Episode>,
    window: usize,
    finished: u64,
}

impl EpisodeStats {
    /// For `len` environments of this spec, with means over the last `window` episodes.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] if `window` is 0.
    pub fn new(spec: &EnvSpec, len: usize, window: usize) -> Result<Self, EnvError> {
        if window == 0 {
            return Err(EnvError::BadSetting {
                id: spec.id.clone(),
                what: "episode window",
                problem: "is 0; give at least 1".to_owned(),
            });
        }
        Ok(Self {
            id: spec.id.clone(),
            running: vec![Running::default(); len],
            recent: VecDeque::new(),
            window,
            finished: 0,
        })
    }

    /// Counts one step of the vector and returns the episodes that it ended, by index of their environment.
    ///
    /// # Errors
    /// [`EnvError::BadLength`] for buffers of another number of environments.
    pub fn record(&mut self, out: &StepBuffers) -> Result<Vec<Episode>, EnvError> {
        let (wanted, found) = (self.running.len(), out.reward.len());
        if wanted != found {
            return Err(EnvError::BadLength {
                id: self.id.clone(),
                what: "rewards",
                wanted,
                found,
            });
        }
        let mut ended = Vec::new();
        let steps = out.reward.iter().zip(&out.success).zip(out.ended());
        for (env, ((reward, success), is_last)) in steps.enumerate() {
            let running = &mut self.running[env];
            running.total += f64::from(*reward);
            running.length += 1;
            running.once |= success.unwrap_or(false);
            if is_last {
                ended.push(std::mem::take(running).finish(env, *success));
            }
        }
        ended.iter().for_each(|episode| self.remember(*episode));
        self.finished += ended.len() as u64;
        Ok(ended)
    }

    fn remember(&mut self, episode: Episode) {
        if self.recent.len() == self.window {
            self.recent.pop_front();
        }
        self.recent.push_back(episode);
    }

    /// Episodes that ended.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// The last episodes, oldest first; at most the window.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &Episode> {
        self.recent.iter()
    }

    /// Means over [`EpisodeStats::recent`]; `None` before the first end of an episode.
    pub fn means(&self) -> Option<EpisodeMeans> {
        let success = |of: fn(Success) -> bool| {
            let known = self.recent.iter().filter_map(|episode| episode.success);
            mean(known.map(|success| f64::from(u8::from(of(success)))))
        };
        Some(EpisodeMeans {
            episodes: self.recent.len(),
            total: mean(self.recent.iter().map(|episode| episode.total))?,
            length: mean(self.recent.iter().map(|episode| episode.length as f64))?,
            success_at_end: success(|success| success.at_end),
            success_once: success(|success| success.once),
        })
    }

    /// Begins all running episodes anew: after a reset of the vector in the middle of them.
    pub fn reset(&mut self) {
        self.running.fill(Running::default());
    }

    /// Forgets the episodes of the window, those of a warm-up say; the number of finished ones stays.
    pub fn forget_recent(&mut self) {
        self.recent.clear();
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

impl Running {
    fn finish(self, env: usize, success: Option<bool>) -> Episode {
        Episode {
            env,
            total: self.total,
            length: self.length,
            success: success.map(|at_end| Success {
                at_end,
                once: self.once,
            }),
        }
    }
}
