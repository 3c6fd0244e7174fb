//! What can go wrong between this process and the one that runs the environments.

use std::time::Duration;

/// A failure of a bridged environment; [`EnvError::Bridge`](crate::EnvError::Bridge) names the environment.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The program of the server does not start.
    #[error(
        "`{program}` does not start: {reason}; set ADVECT_PYTHON to a Python that has gymnasium"
    )]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// The process does not greet as a server of this protocol and version does.
    #[error(
        "the process is no bridge server: {reason}; docs/guides/bridge.md has the protocol{}",
        ending(stderr)
    )]
    Handshake {
        /// What is wrong with its greeting.
        reason: String,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The server cannot make the environment.
    #[error(
        "the environment cannot be made: {reason}\ncheck its id and arguments, and that ADVECT_PYTHON is a Python \
         that has gymnasium and the environment's packages"
    )]
    Refused {
        /// What the server said.
        reason: String,
    },
    /// A space has no form here.
    #[error(
        "its {space} has no form here; supported: observations Box of any shape, or a Dict of the Boxes observation, \
         achieved_goal and desired_goal; actions Box of a floating type; wrap the environment in Python"
    )]
    Space {
        /// Which space, as the server prints it.
        space: String,
    },
    /// The environment's code raised an exception.
    #[error("environment {env} of its process raised an exception at {doing}:\n{traceback}")]
    Exception {
        /// `reset`, `step`, ...
        doing: &'static str,
        /// Slot of the environment within its process.
        env: u32,
        /// The last lines of the traceback.
        traceback: String,
    },
    /// The server broke the protocol.
    #[error(
        "the server broke the protocol at {doing}: {reason}; docs/guides/bridge.md has the protocol{}",
        ending(stderr)
    )]
    Protocol {
        /// `reset`, `step`, ...
        doing: &'static str,
        /// What is wrong.
        reason: String,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The process ended, or closed its output.
    #[error("the process ended at {doing} ({status}){}", ending(stderr))]
    Exited {
        /// `start`, `reset`, `step`, ...
        doing: &'static str,
        /// Exit status or signal.
        status: String,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// No answer came in time; the process was killed.
    #[error(
        "no answer at {doing} within {after:?}, so the process was killed; allow more time in BridgeConfig::timeouts{}",
        ending(stderr)
    )]
    Timeout {
        /// `start`, `reset`, `step`, ...
        doing: &'static str,
        /// The time allowed.
        after: Duration,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The environments crashed more often than the configuration allows.
    #[error("{count} restarts did not help; the last failure: {last}")]
    Restarts {
        /// Restarts made.
        count: u32,
        /// The last failure.
        last: Box<BridgeError>,
    },
    /// A saved episode does not come out the same when it is played again.
    #[error(
        "the saved episode cannot be continued: {reason}; a run resumes exactly only where the environment depends on \
         nothing but seed and actions: choose OnResume::Truncate to begin a new episode instead"
    )]
    Replay {
        /// What differs.
        reason: String,
    },
    /// The action of a step is not the one that was announced.
    #[error("the action differs from the one announced; announce, then step with the same action")]
    Announced,
}

fn ending(stderr: &str) -> String {
    match stderr {
        "" => String::new(),
        lines => format!("; its standard error ends with:\n{lines}"),
    }
}
