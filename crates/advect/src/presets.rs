//! Named settings of an algorithm, on top of its defaults.

use advect_rl::RunConfig;
use advect_rl::config::{ConfigError, nearest_names};
use toml::{Table, Value};

/// The algorithm that is trained when none is named.
pub const DEMO_ALGO: &str = "flame-m";
/// The environment that is trained on when none is named.
pub const DEMO_ENV: &str = "MultiGoal-v0";

/// The preset that every algorithm has: its defaults, which are the paper's settings.
pub const PAPER: &str = "paper";
/// The preset that is taken on its environment when none is named.
pub const TUNED: &str = "tuned";

/// A partial `config.toml`. Its first comment says what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Algorithm.
    pub algo: &'static str,
    /// What `--preset` takes.
    pub name: &'static str,
    /// The only environment that it is for; empty for any.
    pub env: &'static str,
    /// The settings.
    pub text: &'static str,
}

/// A [`TUNED`] preset, from the file `presets/<algo>-<env>.toml`.
macro_rules! tuned {
    ($algo:literal, $env:literal) => {
        Preset {
            algo: $algo,
            name: TUNED,
            env: $env,
            text: include_str!(concat!("../presets/", $algo, "-", $env, ".toml")),
        }
    };
}

/// A preset for any environment, from the file `presets/<algo>-<name>.toml`.
macro_rules! named {
    ($algo:literal, $name:literal) => {
        Preset {
            algo: $algo,
            name: $name,
            env: "",
            text: include_str!(concat!("../presets/", $algo, "-", $name, ".toml")),
        }
    };
}

/// All presets that change something.
pub const PRESETS: &[Preset] = &[
    named!("dpmd", "fast"),
    named!("flame-r", "fast"),
    named!("flow-bc", "pixels"),
    named!("fm-irl", "authors"),
    named!("fm-irl", "fast"),
    named!("fm-irl-sac", "fast"),
    named!("fmer", "fast"),
    named!("fmer", "sparse"),
    named!("fmer", "v1"),
    named!("qvpo", "fast"),
    named!("reinflow", "fast"),
    named!("rldt", "fast"),
    named!("rldt", "pixels"),
    named!("rldt", "sparse"),
    named!("sdac", "fast"),
    tuned!("bc", "MultiGoal-v0"),
    tuned!("bc", "TwoModeBandit-v0"),
    tuned!("flame-m", "MultiGoal-v0"),
    tuned!("flame-m", "TwoModeBandit-v0"),
    tuned!("flow-bc", "MultiGoal-v0"),
    tuned!("flow-bc", "TwoModeBandit-v0"),
    tuned!("fm-irl", "AntGoal-v0"),
    tuned!("fm-irl", "CustomHandManipulateBlockRotateZ-v0"),
    tuned!("fm-irl", "FetchPickAndPlaceDiffHoldout-v0"),
    tuned!("fm-irl", "Hopper-v5"),
    tuned!("fm-irl", "Walker2d-v5"),
    tuned!("fmer", "MultiGoal-v0"),
    tuned!("fmer", "TwoModeBandit-v0"),
    tuned!("ppo", "MultiGoal-v0"),
    tuned!("ppo", "TwoModeBandit-v0"),
    tuned!("qvpo", "MultiGoal-v0"),
    tuned!("qvpo", "TwoModeBandit-v0"),
    tuned!("rldt", "MultiGoal-v0"),
    tuned!("rldt", "TwoModeBandit-v0"),
    tuned!("sac", "MultiGoal-v0"),
    tuned!("sac", "TwoModeBandit-v0"),
];

impl Preset {
    /// What it is for: its comment above the first setting, on one line.
    pub fn about(&self) -> String {
        let comments = self.text.lines().map_while(|line| line.strip_prefix("# "));
        comments.collect::<Vec<_>>().join(" ")
    }

    fn fits(&self, algo: &str, env: &str) -> bool {
        self.algo == algo && (self.env.is_empty() || self.env == env)
    }
}

/// The partial `config.toml` of the preset `name` for `algo` on `env`: one for this environment comes before one for any.
/// Without a name, [`TUNED`] if there is one for this environment.
///
/// # Errors
/// A name that the algorithm does not have for this environment, with those that it has.
///
/// ```
/// use advect::presets::{DEMO_ALGO, DEMO_ENV, PAPER, find};
/// assert!(!find(DEMO_ALGO, DEMO_ENV, None)?.is_empty());
/// assert_eq!(find(DEMO_ALGO, DEMO_ENV, Some(PAPER))?, "");
/// assert_eq!(find("sac", "Nowhere-v0", None)?, "");
/// assert!(find("sac", "Nowhere-v0", Some("quick")).is_err());
/// # Ok::<(), advect_rl::ConfigError>(())
/// ```
pub fn find(algo: &str, env: &str, name: Option<&str>) -> Result<&'static str, ConfigError> {
    let fitting = || PRESETS.iter().filter(|preset| preset.fits(algo, env));
    let wanted = name.unwrap_or(TUNED);
    let named = fitting().filter(|preset| preset.name == wanted);
    match named.max_by_key(|preset| preset.env.len()) {
        Some(preset) => Ok(preset.text),
        None if name.is_none() || name == Some(PAPER) => Ok(""),
        None => Err(unknown(algo, wanted, fitting().map(|preset| preset.name))),
    }
}

/// What the presets `names` (separated by commas, a later one wins) for `algo` on `env` set, see [`find`].
///
/// # Errors
/// As [`find`].
///
/// ```
/// use advect::presets::configured;
/// let config = configured("fm-irl", "Hopper-v5", Some("tuned,fast"))?;
/// assert_eq!(config.agent["label_dim"].as_integer(), Some(10)); // tuned
/// assert_eq!(config.agent["width"].as_integer(), Some(256)); // fast
/// # Ok::<(), advect_rl::ConfigError>(())
/// ```
pub fn configured(algo: &str, env: &str, names: Option<&str>) -> Result<RunConfig, ConfigError> {
    let Some(names) = names else {
        return RunConfig::from_toml(find(algo, env, None)?);
    };
    let mut merged = Table::new();
    for name in names.split(',') {
        let text = find(algo, env, Some(name.trim()))?;
        let preset: Table = text
            .parse()
            .map_err(|e: toml::de::Error| ConfigError::Syntax(e.to_string()))?;
        preset
            .into_iter()
            .for_each(|entry| take_in(&mut merged, entry));
    }
    RunConfig::from_toml(&merged.to_string())
}

/// Sets a key; of a table only the keys that it names.
fn take_in(table: &mut Table, (key, value): (String, Value)) {
    match (table.get_mut(&key), value) {
        (Some(Value::Table(known)), Value::Table(new)) => known.extend(new),
        (_, value) => drop(table.insert(key, value)),
    }
}

fn unknown(algo: &str, name: &str, others: impl Iterator<Item = &'static str>) -> ConfigError {
    let known: Vec<&str> = std::iter::once(PAPER).chain(others).collect();
    ConfigError::Value {
        key: "preset".into(),
        problem: format!(
            "`{algo}` has no `{name}` for this environment; nearest: {}",
            nearest_names(name, known).join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::{Request, configure};

    #[test]
    fn every_preset_is_a_configuration_and_says_what_it_is_for() {
        for preset in PRESETS {
            let env = [preset.env, DEMO_ENV][usize::from(preset.env.is_empty())];
            let request = Request {
                algo: Some(preset.algo.into()),
                env: Some(env.into()),
                preset: Some(preset.name.into()),
                ..Request::default()
            };
            let config = configure(&request).unwrap();
            let plain = configure(&Request {
                preset: Some(PAPER.into()),
                ..request
            });
            assert_ne!(config, plain.unwrap(), "{preset:?} changes nothing");
            assert!(preset.about().len() > 20, "{preset:?}");
        }
    }

    #[test]
    fn of_several_presets_the_later_wins() {
        let of = |names| configured("fm-irl", "Hopper-v5", Some(names)).unwrap();
        let [tuned, fast, both] = ["tuned", "fast", "tuned, fast"].map(of);
        for (key, value) in tuned.agent.iter().chain(&fast.agent) {
            let last = fast.agent.get(key).unwrap_or(value);
            assert_eq!(both.agent.get(key), Some(last), "{key}");
        }
        assert!(configured("fm-irl", "Hopper-v5", Some("tuned,quick")).is_err());
        let demo = |names| configured(DEMO_ALGO, DEMO_ENV, names).unwrap();
        assert_eq!(demo(Some("paper,tuned")), demo(None));
    }

    #[test]
    fn an_unknown_preset_is_refused_with_the_nearest() {
        let error = find(DEMO_ALGO, DEMO_ENV, Some("tune")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "preset: `flame-m` has no `tune` for this environment; nearest: tuned, paper"
        );
    }
}
