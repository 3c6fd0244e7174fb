//! Settings that were tried for an algorithm on an environment, on top of the defaults.

/// Algorithm, environment, and the settings as the text of a partial `config.toml`.
const PRESETS: [(&str, &str, &str); 1] = [(
    "flame-m",
    "MultiGoal-v0",
    include_str!("../presets/flame-m-MultiGoal-v0.toml"),
)];

/// The algorithm that is trained when none is named.
pub const DEMO_ALGO: &str = "flame-m";
/// The environment that is trained on when none is named.
pub const DEMO_ENV: &str = "MultiGoal-v0";

/// The partial `config.toml` for `algo` on `env`, if there is one.
///
/// ```
/// use advect::presets::{DEMO_ALGO, DEMO_ENV, find};
/// assert!(find(DEMO_ALGO, DEMO_ENV).is_some());
/// assert!(find("sac", "Nowhere-v0").is_none());
/// ```
pub fn find(algo: &str, env: &str) -> Option<&'static str> {
    PRESETS
        .iter()
        .find(|(a, e, _)| (*a, *e) == (algo, env))
        .map(|(_, _, text)| *text)
}
