//! The command with CUDA kernels: what it says without a GPU, and what an update calls on the stand-in for the driver (`cargo xtask cuda-check`).
#![cfg(feature = "cuda")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Where the stand-in lies; without it these tests have nothing to say about a machine's GPU.
fn standin() -> Option<PathBuf> {
    std::env::var_os("ADVECT_CUDA_STANDIN").map(PathBuf::from)
}

fn advect(args: &[&str], libraries: Option<&Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_advect"));
    command.args(args).env_remove("LD_LIBRARY_PATH");
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_driver_cuda_is_an_error_and_auto_the_cpu() {
    if standin().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", "sac", "--env", "Pendulum-v1", "--steps", "8"];
    let on = |device: &str| {
        let args = [
            &train[..],
            &["--device", device, "--set", "eval_episodes=1"],
        ]
        .concat();
        advect(&args, None)
            .arg("--out")
            .arg(folder.path())
            .output()
            .unwrap()
    };
    let refused = on("cuda");
    assert!(!refused.status.success());
    let message = text(&refused);
    assert!(message.contains("libcuda is not found"), "{message}");
    assert!(message.contains("--device cpu"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let fallback = on("auto");
    let message = text(&fallback);
    assert!(fallback.status.success(), "{message}");
    assert_eq!(
        message.matches("computing on the CPU").count(),
        1,
        "{message}"
    );
}

#[test]
fn a_report_compares_algorithms_with_the_cpu() {
    let Some(libraries) = standin() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.json");
    let small = ["--set", "hidden=[16, 16]", "--set", "batch_size=8"];
    let report = [
        "device-report",
        "--algo",
        "sac",
        "--algo",
        "td3",
        "--updates",
        "3",
    ];
    let mut command = advect(&[&report[..], &small].concat(), Some(&libraries));
    let output = command.arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(found["device"], "stand-in");
    let rows = found["algorithms"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let difference = row["difference"][0].as_f64().unwrap();
        assert!(difference < 1e-3, "{row}");
        assert!(row["cuda"]["median_seconds"].as_f64().unwrap() > 0.0);
    }
}

/// The lines of a run's log.
fn logged(device: &str, libraries: &Path) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", "sac", "--env", "Pendulum-v1", "--steps", "220"];
    let small = [
        "hidden=[16, 16]",
        "batch_size=16",
        "warmup_transitions=40",
        "log_every=90",
        "eval_episodes=1",
    ];
    let settings = small.iter().flat_map(|setting| ["--set", setting]);
    let args: Vec<&str> = train.into_iter().chain(settings).collect();
    let mut command = advect(&args, Some(libraries));
    command
        .args(["--device", device, "--out"])
        .arg(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let path = folder.path().join("sac-Pendulum-v1-s0/metrics.jsonl");
    let log = std::fs::read_to_string(path).unwrap();
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// More updates than metrics wait for, at intervals that are no multiple of it.
#[test]
fn a_run_logs_what_it_logs_on_the_cpu() {
    let Some(libraries) = standin() else { return };
    let (found, expected) = (logged("cuda", &libraries), logged("cpu", &libraries));
    assert_eq!(found.len(), expected.len());
    let mut compared = 0;
    for (found, expected) in found.iter().zip(&expected) {
        let (found, expected) = (found.as_object().unwrap(), expected.as_object().unwrap());
        assert!(found.keys().eq(expected.keys()), "{found:?} {expected:?}");
        for (name, value) in expected {
            let (found, value) = (found[name].as_f64().unwrap(), value.as_f64().unwrap());
            let error = (found - value).abs();
            assert!(
                error < 1e-2 * value.abs().max(1.0),
                "{name}: {found} and {value}"
            );
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
}

/// Calls of `updates` updates.
fn calls(algo: &str, updates: &str, libraries: &Path) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("calls.json");
    let small = ["--set", "hidden=[32, 32]", "--set", "batch_size=32"];
    let sizes = ["--obs-dim", "17", "--act-dim", "6", "--updates", updates];
    let bench = ["bench-update", "--device", "cuda", "--algo", algo];
    let args = [&bench[..], &sizes, &small].concat();
    let mut command = advect(&args, Some(libraries));
    let output = command.env("STANDIN_REPORT", &report).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let text = std::fs::read_to_string(&report).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What the driver and cuBLAS are called for; each at most this often in an update. The goal is 80 launches and products together, and
/// none of the others.
const CALLS: [&str; 7] = [
    "cuLaunchKernel",
    "cublasSgemmStridedBatched",
    "cuMemAllocAsync",
    "cuMemsetD8Async",
    "cuMemcpyDtoDAsync",
    "cuMemcpyHtoDAsync",
    "cuMemcpyDtoHAsync",
];
const AT_MOST: [(&str, [f64; 7]); 2] = [
    ("sac", [93.0, 28.0, 131.0, 20.0, 9.0, 8.0, 0.0]),
    ("flame-m", [121.0, 39.0, 169.0, 17.5, 10.0, 20.0, 0.0]),
];

#[test]
fn an_update_calls_no_more_than_it_did() {
    let Some(libraries) = standin() else { return };
    for (algo, at_most) in AT_MOST {
        let (few, many) = (calls(algo, "2", &libraries), calls(algo, "6", &libraries));
        let count = |report: &Value, name: &str| report["calls"][name]["calls"].as_f64();
        for (name, most) in CALLS.into_iter().zip(at_most) {
            let between = count(&many, name).unwrap_or(0.0) - count(&few, name).unwrap_or(0.0);
            println!("{algo}: {:.1} {name} in an update", between / 4.0);
            assert!(
                between / 4.0 <= most,
                "{algo}: {between} {name} in 4 updates"
            );
        }
    }
}
