//! The one error type of this crate.

use std::path::PathBuf;

/// What can go wrong in an environment; every message names what, where and the fix.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// No environment has this id.
    #[error("unknown environment id `{id}`; nearest ids: {}", nearest.join(", "))]
    UnknownId {
        /// The id that was asked for.
        id: String,
        /// The known ids nearest to it, best first.
        nearest: Vec<String>,
    },
    /// An observation, a reward or an action is NaN or infinite.
    #[error(
        "{what}[{index}] of {id} (environment {env}) is not finite at its step {step}; \
         check the actions sent to it and the scale of its rewards"
    )]
    NonFinite {
        /// Id of the environment.
        id: String,
        /// Index of the environment in its vector.
        env: usize,
        /// `observation`, `reward` or `action`.
        what: &'static str,
        /// Index of the first bad number within the observation or action.
        index: usize,
        /// Steps that this environment had taken, all episodes together.
        step: u64,
    },
    /// A buffer given by the caller has the wrong length.
    #[error(
        "{what} of {id} has {wanted} numbers, but the buffer given has {found}; size it from the EnvSpec"
    )]
    BadLength {
        /// Id of the environment.
        id: String,
        /// Which buffer: `action`, `observation`, ...
        what: &'static str,
        /// The right length.
        wanted: usize,
        /// The length given.
        found: usize,
    },
    /// `step` was called before `reset`, or after the end of an episode.
    #[error(
        "{id} has no running episode: call reset before step (an episode that ended stays ended)"
    )]
    NeedsReset {
        /// Id of the environment.
        id: String,
    },
    /// Saved bytes do not describe a state of this environment.
    #[error(
        "this is no saved state of {id}: {reason}; load bytes that save_state of the same environment made"
    )]
    BadState {
        /// Id of the environment, or what else was to be loaded.
        id: String,
        /// What does not fit.
        reason: String,
    },
    /// A setting of an environment makes no sense.
    #[error("{what} of {id} {problem}")]
    BadSetting {
        /// Id of the environment.
        id: String,
        /// Which setting.
        what: &'static str,
        /// What is wrong with it and what would do.
        problem: String,
    },
    /// The environments cannot be made into a vector.
    #[error("cannot build a vector of environments: {reason}")]
    BadVector {
        /// What does not fit and what would.
        reason: String,
    },
    /// A worker thread panicked inside an environment.
    #[error(
        "the thread of environments {first}..{end} of {id} stopped: one of them panicked (message above); build the vector again"
    )]
    WorkerLost {
        /// Id of the environments.
        id: String,
        /// First environment of the thread's shard.
        first: usize,
        /// One past the last environment of the shard.
        end: usize,
    },
    /// The environment has no picture.
    #[error(
        "{id} draws no frames; the embedded tasks and those on MuJoCo do, all others are learnt from observations"
    )]
    NotRendered {
        /// Id of the environment.
        id: String,
    },
    /// No frame has this size.
    #[error(
        "a frame of {width} x {height} pixels cannot be drawn; ask for 1 to {most} in each direction"
    )]
    BadFrame {
        /// Columns asked for.
        width: usize,
        /// Rows asked for.
        height: usize,
        /// The most of either.
        most: usize,
    },
    /// An image file cannot be read or written.
    #[error("cannot {verb} the image {}: {reason}", path.display())]
    ImageFile {
        /// `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// There is no OpenGL to draw MuJoCo's frames with.
    #[error(
        "MuJoCo's frames need OpenGL through EGL: {reason}; install Mesa's or the graphics driver's \
         (Debian, Ubuntu: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri)"
    )]
    EglUnavailable {
        /// What is missing.
        reason: String,
    },
    /// OpenGL is there, but a frame could not be drawn.
    #[error("cannot draw a frame: {reason}")]
    EglFailed {
        /// The call that failed and what it said.
        reason: String,
    },
    /// No MuJoCo library or no model files were found.
    #[error("MuJoCo is not here; searched: {}; {hint}", shown(searched))]
    MujocoUnavailable {
        /// The paths that were tried, in order.
        searched: Vec<PathBuf>,
        /// The command that mends it.
        hint: String,
    },
    /// The library is a MuJoCo, but of another version.
    #[error(
        "{} is MuJoCo {found}, but only version {wanted} is supported (struct layouts differ between versions); \
         point ADVECT_MUJOCO or MUJOCO_LIB elsewhere, or unset them and run: cargo xtask setup mujoco",
        path.display()
    )]
    MujocoVersion {
        /// The library file.
        path: PathBuf,
        /// What its `mj_version()` returned.
        found: i32,
        /// What is supported.
        wanted: i32,
    },
    /// The file is no usable MuJoCo library.
    #[error("cannot use {} as MuJoCo: {reason}; run: cargo xtask setup mujoco", path.display())]
    MujocoLoad {
        /// The library file.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// A model file cannot be compiled or does not fit its environment.
    #[error("cannot use the MuJoCo model {model}: {reason}")]
    MujocoModel {
        /// The model file or name.
        model: String,
        /// What MuJoCo said.
        reason: String,
    },
    /// MuJoCo raised an error while simulating; the simulation that raised it is unusable.
    #[error("MuJoCo stopped a simulation: {message}; build the environment again")]
    MujocoFailed {
        /// MuJoCo's message.
        message: String,
    },
    /// The process of a bridged environment failed, or cannot make it.
    #[cfg(unix)]
    #[error("the bridge to {id} failed: {fault}")]
    Bridge {
        /// Id of the environment.
        id: String,
        /// What failed.
        fault: crate::bridge::BridgeError,
    },
    /// MuJoCo could not be provisioned.
    #[error("cannot provision MuJoCo: {step}: {reason}")]
    Provision {
        /// The step that failed.
        step: String,
        /// Why, with the output of the tool that failed.
        reason: String,
    },
}

impl EnvError {
    /// [`EnvError::UnknownId`] of a family of environments, with all of its ids.
    #[cfg(feature = "mujoco")]
    pub(crate) fn not_one_of<'a>(id: &str, known: impl Iterator<Item = &'a str>) -> Self {
        Self::UnknownId {
            id: id.to_owned(),
            nearest: known.map(str::to_owned).collect(),
        }
    }
}

fn shown(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    shown.join(", ")
}
