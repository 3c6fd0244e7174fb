//! What the training loop holds beside agent, environments and replay.

use advect_envs::VecEnv;
use advect_rng::Stream;

use crate::eval::EvalReport;
use crate::state::{StateDict, StateError};
use crate::tracker::Tracker;

/// The entry with the bytes of the environments.
pub(crate) const ENVS_ENTRY: &str = "envs";
const SUCCESSES_ENTRY: &str = "eval/successes";

/// Positions in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Environment steps taken.
    pub(crate) env_steps: u64,
    /// Warm-up transitions collected.
    pub(crate) warmup: u64,
    /// Updates made.
    pub(crate) updates: u64,
    /// Environment steps at the last line of training metrics.
    pub(crate) logged_at: Option<u64>,
    /// Environment steps at the last evaluation.
    pub(crate) evaluated_at: Option<u64>,
}

/// Streams, counters, episodes and the last evaluation.
pub(crate) struct LoopState {
    /// Warm-up actions.
    pub(crate) explore: Stream,
    /// Minibatches.
    pub(crate) sample: Stream,
    pub(crate) counters: Counters,
    pub(crate) tracker: Tracker,
    pub(crate) last_eval: Option<EvalReport>,
}

impl LoopState {
    /// At the start of a run.
    pub(crate) fn new(seed: u64, tracker: Tracker) -> Self {
        Self {
            explore: Stream::new(seed, "loop warm-up actions"),
            sample: Stream::new(seed, "loop replay samples"),
            counters: Counters::default(),
            tracker,
            last_eval: None,
        }
    }

    /// The state of the loop and of its environments.
    pub(crate) fn save(&self, envs: &VecEnv) -> StateDict {
        let mut out = StateDict::new();
        out.put_vec(ENVS_ENTRY, envs.save_state());
        out.put_stream("streams/explore", &self.explore);
        out.put_stream("streams/sample", &self.sample);
        let Counters {
            env_steps,
            warmup,
            updates,
            logged_at,
            evaluated_at,
        } = self.counters;
        out.put_vec("counters", vec![env_steps, warmup, updates]);
        out.put_vec("logged_at", Vec::from_iter(logged_at));
        out.put_vec("evaluated_at", Vec::from_iter(evaluated_at));
        self.tracker.save(&mut out);
        if let Some(report) = &self.last_eval {
            out.put_vec("eval/returns", report.returns.clone());
            out.put_vec("eval/lengths", report.lengths.clone());
            if !report.successes.is_empty() {
                let successes = report.successes.iter().map(|s| u8::from(*s)).collect();
                out.put_vec::<u8>(SUCCESSES_ENTRY, successes);
            }
        }
        out
    }

    /// Continues from what [`LoopState::save`] wrote; the environments are restored by the caller.
    pub(crate) fn load(mut tracker: Tracker, from: &StateDict) -> Result<Self, StateError> {
        let counters = from.array::<u64>("counters", &[3])?;
        let counters = Counters {
            env_steps: counters[0],
            warmup: counters[1],
            updates: counters[2],
            logged_at: from.vec("logged_at")?.first().copied(),
            evaluated_at: from.vec("evaluated_at")?.first().copied(),
        };
        let last_eval = match counters.evaluated_at {
            None => None,
            Some(_) => {
                let (returns, lengths) = (from.vec("eval/returns")?, from.vec("eval/lengths")?);
                // not there for tasks without such a notion
                let successes: &[u8] = from.vec(SUCCESSES_ENTRY).unwrap_or_default();
                let successes = successes.iter().map(|s| *s == 1).collect();
                Some(EvalReport::new(
                    returns.to_vec(),
                    lengths.to_vec(),
                    successes,
                ))
            }
        };
        tracker.load(from)?;
        let (explore, sample) = (
            from.stream("streams/explore")?,
            from.stream("streams/sample")?,
        );
        Ok(Self {
            explore,
            sample,
            counters,
            tracker,
            last_eval,
        })
    }
}
