//! Results do not depend on the number of threads.

use crate::harness::{Training, advect, hash, succeed};
use serde_json::Value;

/// Parameter hash after 200 updates of networks that are large enough to be spread over threads.
fn hash_after_200_updates(algo: &'static str, threads: &str, large: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let mut training =
        Training::new(algo, "MultiGoal-v0", 800, out.path()).with(&["--threads", threads]);
    let always = [
        "hidden=[96,96]",
        "batch_size=128",
        "num_envs=4",
        "warmup_transitions=200",
        "warmup_counts=false",
    ];
    training = training.with(
        &always
            .iter()
            .chain(large)
            .flat_map(|s| ["--set", s])
            .collect::<Vec<_>>(),
    );
    let result = training.finish();
    assert_eq!(result["updates"], 200);
    hash(&result)
}

#[test]
fn flame_m_is_the_same_on_one_and_two_threads() {
    let large = ["num_proposals=24", "best_of=8"];
    let [one, two] = ["1", "2"].map(|threads| hash_after_200_updates("flame-m", threads, &large));
    assert_eq!(one, two);
}

#[test]
fn sac_is_the_same_on_one_and_two_threads() {
    let [one, two] = ["1", "2"].map(|threads| hash_after_200_updates("sac", threads, &[]));
    assert_eq!(one, two);
}

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
