//! Configurations: complete, reloadable, strict.

use advect_rl::config::{apply_overrides, default_table, from_table, with_overrides};
use advect_rl::{ConfigError, Products, RunConfig};
use serde::{Deserialize, Serialize};
use toml::Table;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Consistent,
    RepoMixed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Nested {
    lr: f64,
    steps: u64,
}

impl Default for Nested {
    fn default() -> Self {
        Self {
            lr: 3e-4,
            steps: 10,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Algo {
    gamma: f64,
    batch_size: usize,
    hidden: Vec<usize>,
    mode: Mode,
    double_step: bool,
    clip_norm: Option<f64>,
    critic: Nested,
}

impl Default for Algo {
    fn default() -> Self {
        Self {
            gamma: 0.99,
            batch_size: 256,
            hidden: vec![256, 256],
            mode: Mode::Consistent,
            double_step: false,
            clip_norm: None,
            critic: Nested::default(),
        }
    }
}

fn overridden(overrides: &[&str]) -> Result<Algo, ConfigError> {
    with_overrides(&Table::new(), overrides)
}

#[test]
fn overrides_take_the_type_of_the_field() {
    let algo = overridden(&[
        "gamma=1",
        "hidden=[64, 32]",
        "mode=repo_mixed",
        "double_step = true",
        "clip_norm=0.5",
        "critic.lr=1e-3",
    ])
    .unwrap();
    let critic = Nested {
        lr: 1e-3,
        ..Nested::default()
    };
    let hidden = vec![64, 32];
    let expected = Algo {
        gamma: 1.0,
        hidden,
        mode: Mode::RepoMixed,
        double_step: true,
        clip_norm: Some(0.5),
        critic,
        ..Algo::default()
    };
    assert_eq!(algo, expected);
    let (table, mut changed) = (
        default_table::<Algo>().unwrap(),
        default_table::<Algo>().unwrap(),
    );
    apply_overrides(&mut changed, &["batch_size=32"]).unwrap();
    assert_eq!(from_table::<Algo>(&changed).unwrap().batch_size, 32);
    assert_eq!(from_table::<Algo>(&table).unwrap(), Algo::default());
}

#[test]
fn errors_name_the_key_what_was_found_and_what_is_expected() {
    let cases = [
        ("gama=0.9", "unknown key `gama`; nearest keys: gamma"),
        (
            "clip_nrm=0.9",
            "unknown key `clip_nrm`; nearest keys: clip_norm",
        ),
        ("critic.rl=0.9", "unknown key `critic.rl`; nearest keys: lr"),
        (
            "critc.lr=0.9",
            "unknown key `critc.lr`; nearest keys: critic",
        ),
        (
            "gamma=high",
            "`gamma` is a string (\"high\"), expected a number",
        ),
        (
            "batch_size=2.5",
            "`batch_size` is a number (2.5), expected an integer",
        ),
        (
            "double_step=1",
            "`double_step` is an integer (1), expected true or false",
        ),
        (
            "hidden=[64.5]",
            "`hidden` is a number (64.5), expected an integer",
        ),
        (
            "critic.steps=many",
            "`critic.steps` is a string (\"many\"), expected an integer",
        ),
        (
            "gamma",
            "override `gamma` has no `=`: write key=value, for example gamma=0.99",
        ),
    ];
    for (text, expected) in cases {
        let error = overridden(&[text]).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    let error = overridden(&["mode=repo"]).unwrap_err().to_string();
    assert!(
        error.contains("repo_mixed") && error.contains("mode"),
        "{error}"
    );
    let error = overridden(&["clip_norm=large"]).unwrap_err().to_string();
    assert!(
        error.contains("clip_norm") && error.contains("f64"),
        "{error}"
    );
    let error = overridden(&["batch_size=-3"]).unwrap_err().to_string();
    assert!(error.contains("batch_size"), "{error}");
}

#[test]
fn a_run_configuration_is_complete_and_reloadable() {
    let mut config = RunConfig {
        seed: 3,
        steps: 1234,
        ..RunConfig::default()
    };
    config.agent.insert("gamma".into(), 0.5.into());
    let text = config.to_toml().unwrap();
    assert_eq!(RunConfig::from_toml(&text).unwrap(), config);
    for key in [
        "algo",
        "env",
        "seed",
        "steps",
        "device",
        "threads",
        "log_every",
        "eval_every",
        "eval_episodes",
        "checkpoint_every",
    ] {
        assert!(
            text.contains(&format!("\n{key} =")) || text.starts_with(&format!("{key} =")),
            "{key} in {text}"
        );
    }
}

#[test]
fn a_malformed_run_configuration_is_refused() {
    let error = |text: &str| RunConfig::from_toml(text).unwrap_err();
    assert!(matches!(error("steps = "), ConfigError::Syntax(_)));
    assert!(
        matches!(error("step = 5"), ConfigError::UnknownKey { key, nearest } if key == "step" && nearest[0] == "steps")
    );
    assert!(matches!(error("steps = \"5\""), ConfigError::WrongType { key, .. } if key == "steps"));
    assert!(matches!(error("agent = 3"), ConfigError::WrongType { key, .. } if key == "agent"));
}

#[test]
fn the_switch_that_earlier_runs_had_is_read() {
    let products = |text: &str| RunConfig::from_toml(text).unwrap().products;
    assert_eq!(products("tf32 = true"), Products::Tf32);
    assert_eq!(products("tf32 = false"), Products::F32);
    assert_eq!(products("products = \"bf16\""), Products::Bf16);
    let error = RunConfig::from_toml("products = \"fp8\"").unwrap_err();
    assert!(error.to_string().contains("bf16"), "{error}");
}

#[test]
fn the_identity_is_that_of_the_training_not_of_its_length() {
    let config = RunConfig::default();
    let same = RunConfig {
        steps: 5,
        threads: 7,
        device: "cpu".into(),
        eval_every: 3,
        ..config.clone()
    };
    assert_eq!(config.identity(), same.identity());
    assert_ne!(
        config.identity(),
        RunConfig {
            seed: 1,
            ..config.clone()
        }
        .identity()
    );
    let mut agent = config.clone();
    agent.agent.insert("gamma".into(), 0.5.into());
    assert_ne!(config.identity(), agent.identity());
}
