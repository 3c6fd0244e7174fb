//! Mistyped names, bad values, bad files: one message that says what, where and the mend.

use crate::harness::{IMITATION, Training, advect, fail};

fn train_fails(args: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let message = fail(
        advect(&["train"])
            .args(args)
            .arg("--out")
            .arg(out.path().join("runs")),
    );
    assert!(
        !out.path().join("runs").exists(),
        "a refused command made a folder"
    );
    message
}

#[test]
fn an_unknown_algorithm_lists_the_nearest() {
    let message = train_fails(&["flamem"]);
    assert!(
        message.contains("unknown algorithm `flamem`") && message.contains("flame-m"),
        "{message}"
    );
}

#[test]
fn an_unknown_environment_lists_the_nearest() {
    let message = train_fails(&["sac", "--env", "HalfCheeta-v5"]);
    assert!(
        message.contains("`HalfCheeta-v5`") && message.contains("HalfCheetah-v5"),
        "{message}"
    );
}

#[test]
fn an_unknown_key_lists_the_nearest_of_run_and_algorithm() {
    let message = train_fails(&["sac", "--set", "batchsize=3"]);
    assert!(
        message.contains("unknown key `batchsize`") && message.contains("batch_size"),
        "{message}"
    );
    let message = train_fails(&["sac", "--set", "log_evry=3"]);
    assert!(
        message.contains("unknown key `log_evry`") && message.contains("log_every"),
        "{message}"
    );
}

#[test]
fn a_value_of_another_type_names_key_value_and_type() {
    let message = train_fails(&["sac", "--set", "gamma=high"]);
    for part in ["`gamma`", "\"high\"", "a number"] {
        assert!(message.contains(part), "no {part} in: {message}");
    }
    let message = train_fails(&["sac", "--set", "eval_every=[1]"]);
    assert!(
        message.contains("`eval_every`") && message.contains("an integer"),
        "{message}"
    );
}

#[test]
fn a_value_that_makes_no_sense_is_refused() {
    let message = train_fails(&["sac", "--set", "gamma=1.5"]);
    assert!(
        message.contains("gamma") && message.contains("1.5"),
        "{message}"
    );
}

#[test]
fn a_malformed_configuration_names_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.toml");
    let cases = [
        ("algo = \"sac\nseed = 1", "TOML"),
        ("seed = \"one\"", "`seed`"),
        ("sed = 1", "unknown key `sed`"),
    ];
    for (text, expected) in cases {
        std::fs::write(&file, text).unwrap();
        let message = train_fails(&["--config", file.to_str().unwrap()]);
        assert!(
            message.contains("bad.toml") && message.contains(expected),
            "{text}: {message}"
        );
    }
    let message = train_fails(&["--config", "/nonexistent/run.toml"]);
    assert!(message.contains("/nonexistent/run.toml"), "{message}");
}

#[test]
fn cuda_without_its_kernels_says_what_is_missing() {
    let message = train_fails(&["sac", "--env", "Pendulum-v1", "--device", "cuda"]);
    assert!(
        message.contains("no CUDA kernels") && message.contains("--device cpu"),
        "{message}"
    );
}

#[test]
fn usage_errors_exit_with_two() {
    for args in [
        &["train", "--steps", "many"][..],
        &["train", "--set", "nokey"],
        &["fly"],
        &["eval"],
        &["report"],
    ] {
        let output = advect(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("Usage") || args.len() > 1,
            "{args:?}"
        );
    }
}

#[test]
fn a_run_that_is_there_is_not_overwritten() {
    let out = tempfile::tempdir().unwrap();
    let training = Training::new("sac", "Pendulum-v1", 100, out.path());
    training.finish();
    let message = fail(&mut training.command());
    assert!(
        message.contains("holds a run already") && message.contains("resume"),
        "{message}"
    );
}

#[test]
fn what_is_no_run_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_str().unwrap();
    for args in [
        &["eval", path][..],
        &["report", path],
        &["train", "--resume", path],
    ] {
        let message = fail(&mut advect(args));
        assert!(
            message.contains("is not a run directory") && message.contains(path),
            "{args:?}: {message}"
        );
    }
}

#[test]
fn a_python_that_is_missing_is_named() {
    let message = train_fails(&[
        "sac",
        "--env",
        "gym:Pendulum-v1",
        "--python",
        "/no/such/python",
    ]);
    for part in ["gym:Pendulum-v1", "/no/such/python"] {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn an_environment_that_gives_nan_is_named_whatever_the_algorithm() {
    // whose demonstrations could not be made there
    let algos = advect::algos::registry::names().into_iter();
    for algo in algos.filter(|algo| !IMITATION.contains(algo)) {
        let out = tempfile::tempdir().unwrap();
        let training = Training::new(algo, "Probe-NonFinite-v0", 2000, out.path());
        let message = fail(&mut training.command());
        assert!(
            message.contains("Probe-NonFinite-v0") && message.contains("not finite"),
            "{algo}: {message}"
        );
    }
}
