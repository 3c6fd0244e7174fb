//! Random streams of an agent.

use advect_rl::{StateDict, StateError};
use advect_rng::Stream;

/// One stream per part of an update, so that a switch that needs no noise does not move the other parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Streams {
    /// Candidates and noise of the behaviour.
    pub explore: Stream,
    /// Candidates and noise of the action in the critic's target.
    pub next_action: Stream,
    /// Source noise and probes of an entropy estimate, points and uniform actions of an entropy term.
    pub entropy: Stream,
    /// Noise and times of the policy's loss.
    pub policy: Stream,
}

impl Streams {
    /// The streams `{family}/explore`, ... of `seed`.
    pub(crate) fn new(family: &str, seed: u64) -> Self {
        let stream = |name: &str| Stream::new(seed, &format!("{family}/{name}"));
        Self {
            explore: stream("explore"),
            next_action: stream("next_action"),
            entropy: stream("entropy"),
            policy: stream("policy"),
        }
    }

    /// Those that an update draws from.
    pub(crate) fn of_updates(&mut self) -> Vec<&mut Stream> {
        vec![&mut self.next_action, &mut self.entropy, &mut self.policy]
    }

    pub(crate) fn save(&self, out: &mut StateDict) {
        out.put_stream("streams/explore", &self.explore);
        out.put_stream("streams/next_action", &self.next_action);
        out.put_stream("streams/entropy", &self.entropy);
        out.put_stream("streams/policy", &self.policy);
    }

    pub(crate) fn load(from: &StateDict) -> Result<Self, StateError> {
        Ok(Self {
            explore: from.stream("streams/explore")?,
            next_action: from.stream("streams/next_action")?,
            entropy: from.stream("streams/entropy")?,
            policy: from.stream("streams/policy")?,
        })
    }
}
