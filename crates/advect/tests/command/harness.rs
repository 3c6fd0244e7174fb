//! Runs the built command.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The algorithm that learns from demonstrations alone.
pub const PRETRAINING: &str = "flow-bc";

/// The algorithms that learn from demonstrations.
pub const IMITATION: [&str; 9] = [
    "airl",
    "bc",
    "drail",
    PRETRAINING,
    "fm-irl",
    "fm-irl-sac",
    "gail",
    "vail",
    "wail",
];

/// Settings `key=value` with which an update of an algorithm takes milliseconds.
pub fn tiny(algo: &str) -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../advect-algos/tests/small");
    let path = format!("{folder}/{algo}.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.lines().map(|line| line.replace(' ', "")).collect()
}

/// Settings beside the small ones: demonstrations in `folder` for an algorithm that learns from them.
pub fn data(algo: &str, env: &str, folder: &Path) -> Vec<String> {
    if !IMITATION.contains(&algo) {
        return Vec::new();
    }
    let file = folder.join("demonstrations.hdf5");
    if !file.is_file() {
        let mut collect = advect(&["collect", "random", "--env", env, "--episodes", "3"]);
        succeed(collect.arg("--out").arg(&file).output());
    }
    vec![format!("data='{}'", file.display())]
}

/// The command with its arguments, its output kept.
pub fn advect(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_advect"));
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Arguments of a training run with small settings.
pub struct Training {
    pub algo: &'static str,
    pub env: &'static str,
    pub steps: u64,
    pub out: PathBuf,
    pub extra: Vec<String>,
}

impl Training {
    pub fn new(algo: &'static str, env: &'static str, steps: u64, out: &Path) -> Self {
        let extra = vec!["--set".into(), "eval_episodes=3".into()];
        Self {
            algo,
            env,
            steps,
            out: out.into(),
            extra,
        }
    }

    pub fn with(mut self, extra: &[&str]) -> Self {
        self.extra.extend(extra.iter().map(ToString::to_string));
        self
    }

    pub fn command(&self) -> Command {
        let mut command = advect(&["train", self.algo, "--env", self.env, "--quiet"]);
        command
            .args(["--steps", &self.steps.to_string()])
            .arg("--out")
            .arg(&self.out);
        command
            .args(
                tiny(self.algo)
                    .into_iter()
                    .chain(data(self.algo, self.env, &self.out))
                    .flat_map(|setting| ["--set".into(), setting]),
            )
            .args(&self.extra);
        command
    }

    pub fn run_dir(&self) -> PathBuf {
        self.out.join(format!("{}-{}-s0", self.algo, self.env))
    }

    /// Trains to the end and returns `result.json`.
    pub fn finish(&self) -> Value {
        succeed(self.command().output());
        result(&self.run_dir())
    }
}

/// The output of a command that succeeded.
pub fn succeed(output: std::io::Result<Output>) -> String {
    let output = output.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a command that failed with exit code 1.
pub fn fail(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "stderr: {stderr}");
    stderr
}

/// `result.json` of a run.
pub fn result(run: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(run.join("result.json")).unwrap()).unwrap()
}

/// The parameter hash of a finished run.
pub fn hash(result: &Value) -> String {
    let hash = result["parameter_hash"].as_str().unwrap();
    assert_eq!(hash.len(), 16);
    hash.to_owned()
}
