//! FM-IRL and the discriminators beside it.

mod baselines;
mod fm_irl;
mod replayed;
mod ring;
mod rollouts;

type TestResult = Result<(), Box<dyn std::error::Error>>;
