//! Results do not depend on the number of threads.

use crate::harness::{advect, hash, succeed, tiny};
use advect::algos::registry;
use serde_json::Value;

#[test]
fn an_update_of_the_default_size_is_the_same_and_its_timing_is_reported() {
    let bench = |threads: &str| -> Value {
        let args = [
            "bench-update",
            "--algo",
            "flame-m",
            "--obs-dim",
            "17",
            "--act-dim",
            "6",
            "--updates",
            "2",
        ];
        let more = ["--warmup-blocks", "0", "--json", "--threads", threads];
        serde_json::from_str(&succeed(advect(&args).args(more).output())).unwrap()
    };
    let [one, two] = ["1", "2"].map(bench);
    assert_eq!(hash(&one), hash(&two));
    let [min, median, max] =
        ["min_seconds", "median_seconds", "max_seconds"].map(|key| one[key].as_f64().unwrap());
    assert!(
        0.0 < min && min <= median && median <= max,
        "{min} {median} {max}"
    );
    assert_eq!(
        (
            one["settings"]["num_proposals"].as_u64(),
            one["batch_size"].as_u64()
        ),
        (Some(100), Some(256))
    );
    assert!(one["machine"]["cores"].as_u64().unwrap() >= 1);
}

/// Parameter hash after some updates of networks that are large enough to be spread over threads.
fn hash_after_updates(algo: &str, threads: &str) -> String {
    let sizes = ["--obs-dim", "17", "--act-dim", "6", "--updates", "20"];
    let mut command = advect(&[
        "bench-update",
        "--algo",
        algo,
        "--json",
        "--threads",
        threads,
    ]);
    command.args(sizes);
    for setting in tiny(algo) {
        command.args(["--set", &setting]);
    }
    let width = match algo {
        "drail" | "flow-bc" | "fm-irl" | "fm-irl-sac" | "reinflow" | "rldt" => "width=96",
        "airl" | "gail" | "vail" | "wail" => "disc_hidden=[96,96]",
        _ => "hidden=[96,96]",
    };
    command.args(["--set", width]);
    let rows = match algo {
        "airl" | "drail" | "fm-irl" | "gail" | "ppo" | "reinflow" | "rldt" | "vail" | "wail" => {
            "rollout_steps=128"
        }
        _ => "batch_size=128",
    };
    let result: Value =
        serde_json::from_str(&succeed(command.args(["--set", rows]).output())).unwrap();
    hash(&result)
}

#[test]
fn every_algorithm_is_the_same_on_one_and_two_threads() {
    for algo in registry::names() {
        let [one, two] = ["1", "2"].map(|threads| hash_after_updates(algo, threads));
        assert_eq!(one, two, "{algo}");
    }
}
