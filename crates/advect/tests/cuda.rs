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
    let runs = [
        "hidden=[16, 16]",
        "batch_size=8",
        "warmup_transitions=20",
        "replay_capacity=1000",
        "eval_episodes=1",
    ];
    let runs = runs.iter().flat_map(|setting| ["--run-set", *setting]);
    let report = [
        "device-report",
        "--algo",
        "sac",
        "--algo",
        "fpmd-m",
        "--updates",
        "3",
        "--env",
        "Pendulum-v1",
        "--steps",
        "60",
    ];
    let args: Vec<&str> = report.into_iter().chain(small).chain(runs).collect();
    let mut command = advect(&args, Some(&libraries));
    let output = command.arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(found["device"], "stand-in");
    let rows = found["algorithms"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let rounded = |row: &Value| row["graph_bf16"]["median_seconds"].is_f64();
    assert!(!rounded(&rows[0]) && rounded(&rows[1]));
    for row in rows {
        let difference = row["difference"][0].as_f64().unwrap();
        assert!(difference < 1e-3, "{row}");
        for way in ["cuda", "graph"] {
            assert!(row[way]["median_seconds"].as_f64().unwrap() > 0.0);
        }
    }
    let peers = found["peers"].as_array().unwrap();
    let told = |peer: &Value| peer["value"].is_f64() || peer["missing"].is_string();
    assert!(peers.len() == 4 && peers.iter().all(told), "{peers:?}");
    let hashes = found["runs"]["hashes"].as_array().unwrap();
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(found["runs"]["full"]["env_steps"], 60);
    for (seeds, scoring) in found["runs"]["seeds"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["f32", "bf16"])
    {
        assert_eq!(
            (&seeds["same_hash"], &seeds["scoring"]),
            (&true.into(), &scoring.into())
        );
    }
    assert_eq!(found["runs"]["seeds"].as_array().unwrap().len(), 2);
}

/// The log of a short run, and the hash of its parameters.
fn run(algo: &str, device: &str, settings: &[&str], libraries: &Path) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let train = ["train", algo, "--env", "Pendulum-v1", "--steps", "220"];
    let small = [
        "hidden=[16, 16]",
        "batch_size=16",
        "warmup_transitions=40",
        "replay_capacity=150",
        "log_every=90",
        "eval_episodes=1",
    ];
    let settings = small.iter().chain(settings);
    let settings = settings.flat_map(|setting| ["--set", *setting]);
    let args: Vec<&str> = train.into_iter().chain(settings).collect();
    let mut command = advect(&args, Some(libraries));
    command
        .args(["--device", device, "--out"])
        .arg(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let run = folder.path().join(format!("{algo}-Pendulum-v1-s0"));
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let hash = said.split("parameter hash ").nth(1).unwrap();
    (log, hash[..16].to_owned())
}

fn lines(log: &str) -> Vec<serde_json::Map<String, Value>> {
    let line = |line| serde_json::from_str(line).unwrap();
    log.lines().map(line).collect()
}

/// More updates than metrics wait for, at intervals that are no multiple of it, and a replay that is full in the end; with graphs, and
/// kernel by kernel, with and without the transitions' numbers.
#[test]
fn a_run_logs_what_it_logs_on_the_cpu() {
    let Some(libraries) = standin() else { return };
    let runs: [(&str, &[&str]); 3] = [
        ("sac", &[]),
        ("dipo", &["n_diffusion=3", "action_steps=2", "steps=130"]),
        ("fmer", &["steps=130"]),
    ];
    for (algo, settings) in runs {
        let logged = |device| lines(&run(algo, device, settings, &libraries).0);
        let (found, expected) = (logged("cuda"), logged("cpu"));
        assert_eq!(found.len(), expected.len(), "{algo}");
        let mut compared = 0;
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.keys().eq(expected.keys()), "{found:?} {expected:?}");
            // evaluations of generative policies draw by the bits of what they see
            let comparable = |name: &str| algo == "sac" || !name.starts_with("eval/");
            for (name, value) in expected.iter().filter(|(name, _)| comparable(name)) {
                let (found, value) = (found[name].as_f64().unwrap(), value.as_f64().unwrap());
                let error = (found - value).abs();
                assert!(
                    error < 1e-2 * value.abs().max(1.0),
                    "{algo}, {name}: {found} and {value}"
                );
                compared += 1;
            }
        }
        assert!(compared > 20, "{algo}: {compared}");
    }
}

/// Algorithms whose updates are recorded, and settings with which they are small and each of their kinds is met more often than it is
/// rehearsed.
const GRAPHS: [(&str, &[&str]); 12] = [
    ("sac", &[]),
    ("sac", &["overlap=true"]),
    ("td3", &[]),
    ("flame-m", &["num_proposals=8", "delay_alpha_update=25"]),
    (
        "flame-r",
        &["num_proposals=8", "n_gen=3", "delay_alpha_update=25"],
    ),
    (
        "sdac",
        &["n_diffusion=3", "best_of=4", "delay_alpha_update=25"],
    ),
    (
        "dpmd",
        &["n_diffusion=3", "best_of=4", "delay_alpha_update=25"],
    ),
    ("fpmd-r", &["n_gen=3", "best_of=4", "delay_alpha_update=25"]),
    ("fpmd-m", &["best_of=4", "delay_alpha_update=25"]),
    (
        "qvpo",
        &[
            "n_diffusion=3",
            "num_candidates=4",
            "num_uniform=2",
            "td_best_of=2",
            "behaviour_best_of=2",
            "eval_best_of=4",
            "entropy_steps=150",
            "updates_per_vector_step=2",
        ],
    ),
    ("fmer", &["num_candidates=4", "n_steps=3", "eval_best_of=4"]),
    (
        "fmer",
        &[
            "num_candidates=4",
            "n_steps=3",
            "eval_best_of=4",
            "behaviour_best_of=2",
            "floor_kappa=1",
            "soft_backup=true",
            "entropy_mode='weights'",
            "wcfm_rows=2",
        ],
    ),
];

#[test]
fn graphs_change_no_bit_of_a_run() {
    let Some(libraries) = standin() else { return };
    for (algo, settings) in GRAPHS {
        let [with, without] = ["graphs=true", "graphs=false"].map(|graphs| {
            let settings = [settings, &[graphs]].concat();
            run(algo, "cuda", &settings, &libraries)
        });
        assert!(lines(&with.0).len() > 1, "{algo}");
        assert_eq!(with, without, "{algo}");
    }
}

/// Graphs are recorded anew where a run goes on.
#[test]
fn a_resumed_run_has_the_bits_of_one_that_went_straight_through() {
    let Some(libraries) = standin() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        "hidden=[16, 16]",
        "batch_size=16",
        "warmup_transitions=40",
        "replay_capacity=150",
        "eval_episodes=1",
    ];
    let train = |out: &Path, more: &[&str]| -> String {
        let begin = ["train", "sac", "--env", "Pendulum-v1", "--device", "cuda"];
        let settings = settings.iter().flat_map(|setting| ["--set", *setting]);
        let args: Vec<&str> = begin
            .into_iter()
            .chain(settings)
            .chain(more.iter().copied())
            .collect();
        let mut command = advect(&args, Some(&libraries));
        let output = command.arg("--out").arg(out).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stdout);
        said.split("parameter hash ").nth(1).unwrap()[..16].to_owned()
    };
    let straight = train(&folder.path().join("straight"), &["--steps", "200"]);
    let stopped = folder.path().join("stopped");
    let half = train(&stopped, &["--steps", "120"]);
    let run = stopped.join("sac-Pendulum-v1-s0");
    let resumed = train(
        &stopped,
        &["--steps", "200", "--resume", &run.to_string_lossy()],
    );
    assert_ne!(half, straight);
    assert_eq!(resumed, straight);
}

/// Seeds at once have a stream of their own each, and their own graphs.
#[test]
fn seeds_at_once_are_the_runs_that_they_would_be_alone() {
    let Some(libraries) = standin() else { return };
    let folder = tempfile::tempdir().unwrap();
    let train = |out: &Path, seeds: &[&str]| {
        let begin = ["train", "flame-m", "--env", "Pendulum-v1", "--steps", "90"];
        let settings = [
            "hidden=[16, 16]",
            "batch_size=16",
            "num_proposals=8",
            "warmup_transitions=40",
            "replay_capacity=150",
            "eval_episodes=1",
        ];
        let settings = settings.iter().flat_map(|setting| ["--set", *setting]);
        let device = ["--device", "cuda"];
        let args: Vec<&str> = begin.into_iter().chain(device).chain(settings).collect();
        let mut command = advect(&args, Some(&libraries));
        let output = command.args(seeds).arg("--out").arg(out).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    };
    let result = |out: &Path, seed: u64| -> (Value, String) {
        let run = out.join(format!("flame-m-Pendulum-v1-s{seed}"));
        let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
        let result: Value = serde_json::from_str(&read("result.json")).unwrap();
        (result["parameter_hash"].clone(), read("metrics.jsonl"))
    };
    let [all, alone] = ["all", "alone"].map(|name| folder.path().join(name));
    train(&all, &["--seeds", "1..4"]);
    for seed in 1..=4 {
        train(&alone, &["--seed", &seed.to_string()]);
        assert_eq!(result(&all, seed), result(&alone, seed), "seed {seed}");
    }
    assert_ne!(result(&all, 1), result(&all, 2));
}

/// Another run, and nearly the same log in its first lines.
#[test]
fn tf32_and_bf16_round_products() {
    let Some(libraries) = standin() else { return };
    let [exact, tf32, bf16] = ["f32", "tf32", "bf16"].map(|products| {
        let products = format!("products='{products}'");
        run("sac", "cuda", &[&products, "steps=60"], &libraries)
    });
    let q = |log: &str| lines(log)[0]["critic/q"].as_f64().unwrap();
    let expected = q(&exact.0);
    for rounded in [&tf32, &bf16] {
        assert_ne!(rounded.1, exact.1);
        let found = q(&rounded.0);
        assert!(
            (found - expected).abs() < 2e-2 * expected.abs().max(1.0),
            "{found} and {expected}"
        );
    }
    assert_ne!(tf32.1, bf16.1);
}

/// Algorithms whose calls are held, with networks as deep as their defaults, but wider only than layers that take a kernel of their own.
const HELD: [(&str, &str); 4] = [
    ("sac", "hidden=[64, 64]"),
    ("flame-m", "hidden=[64, 64, 64]"),
    ("flame-r", "hidden=[64, 64, 64]"),
    ("fmer", "hidden=[64, 64, 64]"),
];

/// Calls of updates of HalfCheetah's size, per update.
struct Calls {
    few: Value,
    many: Value,
}

const FEW: u32 = 2;
const MANY: u32 = 6;

impl Calls {
    fn of((algo, hidden): (&str, &str), flags: &[&str], libraries: &Path) -> Self {
        let [few, many] = [FEW, MANY].map(|updates| {
            let folder = tempfile::tempdir().unwrap();
            let report = folder.path().join("calls.json");
            let updates = updates.to_string();
            let small = ["--set", hidden, "--set", "batch_size=16"];
            let sizes = ["--obs-dim", "17", "--act-dim", "6", "--updates", &updates];
            let bench = ["bench-update", "--device", "cuda", "--algo", algo];
            let args = [&bench[..], &sizes, &small, flags].concat();
            let mut command = advect(&args, Some(libraries));
            let output = command.env("STANDIN_REPORT", &report).output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
            let text = std::fs::read_to_string(&report).unwrap();
            serde_json::from_str(&text).unwrap()
        });
        Self { few, many }
    }

    fn count(&self, section: &str, name: &str) -> f64 {
        let count = |report: &Value| report[section][name]["calls"].as_f64().unwrap_or(0.0);
        (count(&self.many) - count(&self.few)) / f64::from(MANY - FEW)
    }

    /// What there is of anything, in the order of names.
    fn all(&self, section: &str) -> Vec<(String, f64)> {
        let names = self.many[section].as_object().unwrap().keys().cloned();
        let counted = names.map(|name| (name.clone(), self.count(section, &name)));
        counted.filter(|(_, calls)| *calls > 0.0).collect()
    }
}

/// What the driver and cuBLAS are called for; each at most this often in an update that is no graph, or in a graph.
const CALLS: [&str; 7] = [
    "cuLaunchKernel",
    "cublasSgemmStridedBatched",
    "cuMemAllocAsync",
    "cuMemsetD8Async",
    "cuMemcpyDtoDAsync",
    "cuMemcpyHtoDAsync",
    "cuMemcpyDtoHAsync",
];
/// Of the algorithms in [`HELD`].
const AT_MOST: [[f64; 7]; 4] = [
    [49.0, 18.0, 59.0, 0.0, 4.0, 2.0, 0.0],
    [54.5, 23.0, 68.0, 1.5, 6.0, 2.0, 0.0],
    [149.5, 80.0, 162.0, 1.5, 6.0, 1.0, 0.0],
    [301.0, 93.0, 378.0, 37.0, 8.0, 41.0, 0.0],
];
/// In a graph two kernels more: the one that collects metrics, and the one that moves the positions of streams.
const NODES_AT_MOST: [[f64; 7]; 4] = [
    [51.0, 18.0, 57.0, 0.0, 4.0, 0.0, 0.0],
    [56.5, 23.0, 68.0, 1.5, 8.0, 0.0, 0.0],
    [151.5, 80.0, 162.0, 1.5, 7.0, 0.0, 0.0],
    [303.0, 93.0, 341.0, 37.0, 12.0, 0.0, 0.0],
];
/// The goal for kernels and products of an update of the first two.
const GOAL: f64 = 80.0;

fn check(section: &str, calls: &Calls, algo: &str, at_most: [f64; 7]) {
    for (name, most) in CALLS.into_iter().zip(at_most) {
        let found = calls.count(section, name);
        println!("{algo}, {section}: {found:.1} {name} in an update");
        assert!(found <= most, "{algo}, {section}: {found} {name}");
    }
}

#[test]
fn an_update_calls_no_more_than_it_did() {
    let Some(libraries) = standin() else { return };
    for (held, at_most) in HELD.into_iter().zip(AT_MOST) {
        let calls = Calls::of(held, &["--no-graphs"], &libraries);
        check("calls", &calls, held.0, at_most);
    }
}

/// One call, and nothing else: no copy, no allocation, nothing to wait for but the end of a timed block of two updates.
#[test]
fn a_steady_update_is_one_call() {
    let Some(libraries) = standin() else { return };
    for ((held, at_most), i) in HELD.into_iter().zip(NODES_AT_MOST).zip(0..) {
        let (algo, calls) = (held.0, Calls::of(held, &[], &libraries));
        let launches = calls.count("nodes", CALLS[0]) + calls.count("nodes", CALLS[1]);
        assert!(
            i > 1 || launches <= GOAL,
            "{algo}: {launches} kernels and products"
        );
        let expected = [("cuGraphLaunch", 1.0), ("cuStreamSynchronize", 0.5)];
        let expected = expected.map(|(name, calls)| (name.to_owned(), calls));
        assert_eq!(calls.all("calls"), expected, "{algo}");
        check("nodes", &calls, algo, at_most);
    }
}
