//! Which server to start, and what to do when it is slow, crashes or is resumed.

use std::ffi::OsString;
use std::time::Duration;

/// The script that serves Gymnasium's environments.
const SERVER: &str = include_str!("server.py");

/// Environment variable with the Python to start.
pub const PYTHON_VARIABLE: &str = "ADVECT_PYTHON";

/// What happens when the process crashes, hangs or raises an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCrash {
    /// The failure is returned, by every later call too.
    #[default]
    End,
    /// The process is started again and each of its running episodes is truncated: the next step returns the last
    /// observation once more with reward 0 and `truncated`. At most [`BridgeConfig::max_restarts`] times.
    Restart,
}

/// How `load_state` continues an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnResume {
    /// Plays the episode's actions again from its seed; every observation and reward must have the saved bits.
    #[default]
    Replay,
    /// Cuts the episode off: the next step returns the saved observation with reward 0 and `truncated`.
    Truncate,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Starting the process, and making an environment in it.
    pub start: Duration,
    /// Starting an episode.
    pub reset: Duration,
    /// One message of steps.
    pub step: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(120),
            reset: Duration::from_secs(60),
            step: Duration::from_secs(60),
        }
    }
}

/// A server, the environment that it is to make, and the policies.
#[derive(Debug, Clone, PartialEq)]
pub struct BridgeConfig {
    /// The id that [`EnvSpec::id`](crate::EnvSpec::id) and errors show (`gym:Pendulum-v1`).
    pub name: String,
    /// The id that the server is given (`Pendulum-v1`).
    pub env_id: String,
    /// Keyword arguments of the environment as a JSON object; empty for none.
    pub arguments: String,
    /// The program of the server.
    pub program: OsString,
    /// The program's arguments.
    pub program_arguments: Vec<OsString>,
    /// How long an answer may take.
    pub timeouts: Timeouts,
    /// What happens when the process fails.
    pub on_crash: OnCrash,
    /// Restarts before a failure is returned after all.
    pub max_restarts: u32,
    /// How a saved episode continues.
    pub on_resume: OnResume,
}

impl BridgeConfig {
    /// Gymnasium's environment `id`, run by `python`; without one by `$ADVECT_PYTHON`, else by `python3`.
    pub fn gym(id: &str, python: Option<OsString>) -> Self {
        let program = python
            .or_else(|| std::env::var_os(PYTHON_VARIABLE))
            .filter(|python| !python.is_empty())
            .unwrap_or_else(|| "python3".into());
        Self {
            name: format!("gym:{id}"),
            ..Self::server(id, program, ["-c".into(), SERVER.into()])
        }
    }

    /// The environment `id` of another server of the same protocol.
    pub fn server(
        id: &str,
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Self {
        Self {
            name: id.to_owned(),
            env_id: id.to_owned(),
            arguments: String::new(),
            program: program.into(),
            program_arguments: arguments.into_iter().collect(),
            timeouts: Timeouts::default(),
            on_crash: OnCrash::default(),
            max_restarts: 10,
            on_resume: OnResume::default(),
        }
    }
}
