//! Pretraining on recorded transitions, and fine-tuning from it.

use crate::harness::{PRETRAINING, Training, advect, data, fail, hash, result, succeed, tiny};
use std::path::{Path, PathBuf};

const ENV: &str = "MultiGoal-v0";
/// The algorithms that fine-tune a pretrained policy.
const TUNERS: [&str; 2] = ["reinflow", "rldt"];

/// A small pretrained policy that takes chunks of so many actions.
fn pretrained(out: &Path, chunk: &str) -> PathBuf {
    let file = out.join("demonstrations.hdf5");
    data(PRETRAINING, ENV, out);
    let mut command = advect(&["pretrain", "flow", "--quiet", "--steps", "20"]);
    command.args(["--chunk", chunk, "--set", "eval_episodes=3"]);
    command.arg("--data").arg(&file).arg("--out").arg(out);
    for setting in tiny(PRETRAINING) {
        command.args(["--set", &setting]);
    }
    succeed(command.output());
    out.join(format!("{PRETRAINING}-{ENV}@action_chunk={chunk}-s0"))
}

fn fine_tuning(algo: &'static str, run: &Path, out: &Path, env: &'static str) -> Training {
    let from = format!("pretrained='{}'", run.display());
    Training::new(algo, env, 64, out).with(&["--set", &from])
}

/// Settings with which fine-tuning leaves the policy as it was, evaluated like its pretraining; and how far the evaluations may lie
/// apart: ReinFlow takes its steps in another order of operations.
fn resting(algo: &str) -> (&'static [&'static str], f64) {
    match algo {
        "rldt" => (&["critic_warmup=1000"], 0.0),
        _ => (
            &[
                "policy_lr=0.0",
                "policy_lr_min=0.0",
                "zero_noise_eval=true",
                "clip_intermediate=false",
            ],
            1e-4,
        ),
    }
}

#[test]
fn a_pretrained_policy_is_evaluated_and_fine_tuned() {
    let out = tempfile::tempdir().unwrap();
    let run = pretrained(out.path(), "2");
    succeed(advect(&["eval", run.to_str().unwrap(), "--episodes", "2"]).output());
    let env = "MultiGoal-v0@action_chunk=2";
    let mean = |result: &serde_json::Value| result["evaluation"]["mean"].as_f64().unwrap();
    for algo in TUNERS {
        let trained = fine_tuning(algo, &run, out.path(), env).finish();
        assert_eq!(trained["env_steps"], 64, "{algo}");
        let still = tempfile::tempdir().unwrap();
        let (settings, within) = resting(algo);
        let mut rest = fine_tuning(algo, &run, still.path(), env);
        for setting in settings {
            rest = rest.with(&["--set", setting]);
        }
        let (rest, before) = (mean(&rest.finish()), mean(&result(&run)));
        assert!((rest - before).abs() <= within, "{algo}: {rest} {before}");
        assert_ne!(rest, mean(&trained), "{algo}");
    }
}

#[test]
fn fine_tuning_that_stops_inside_an_iteration_goes_on_to_the_same_bits() {
    let out = tempfile::tempdir().unwrap();
    let env = "MultiGoal-v0@action_chunk=2";
    for algo in TUNERS {
        let run = pretrained(out.path(), "2");
        let [straight, stopped] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let expected = fine_tuning(algo, &run, straight.path(), env).finish();
        let mut training = fine_tuning(algo, &run, stopped.path(), env);
        training.steps = 40;
        training.finish();
        // the pretrained run is not needed any more
        std::fs::remove_dir_all(&run).unwrap();
        let mut resume = advect(&["train", "--quiet", "--steps", "64", "--resume"]);
        succeed(resume.arg(training.run_dir()).output());
        assert_eq!(
            hash(&expected),
            hash(&result(&training.run_dir())),
            "{algo}"
        );
    }
}

#[test]
fn a_pretrained_policy_that_does_not_fit_is_refused_by_the_field() {
    let out = tempfile::tempdir().unwrap();
    let run = pretrained(out.path(), "2");
    TUNERS.iter().for_each(|algo| refuses_misfits(algo, &run));
}

fn refuses_misfits(algo: &'static str, run: &Path) {
    let refused = |env: &'static str, more: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let training = fine_tuning(algo, run, folder.path(), env).with(more);
        let message = fail(&mut training.command());
        assert!(message.contains("pretrained = "), "{message}");
        message
    };
    let same = "MultiGoal-v0@action_chunk=2";
    let chunk = refused("MultiGoal-v0@action_chunk=4", &[]);
    assert!(
        chunk.contains("its chunk's width is 4, this run's 8"),
        "{chunk}"
    );
    let env = refused("Pendulum-v1@action_chunk=4", &[]);
    assert!(
        env.contains("its environment is MultiGoal-v0, this run's Pendulum-v1"),
        "{env}"
    );
    let obs = refused("MultiGoal-v0@action_chunk=2,frame_stack=2", &[]);
    assert!(
        obs.contains("its observation width is 2, this run's 4"),
        "{obs}"
    );
    let width = refused(same, &["--set", "width=32"]);
    assert!(width.contains("its width is 16, this run's 32"), "{width}");
    let activation = refused(same, &["--set", "activation=mish"]);
    assert!(
        activation.contains("its activation is \"relu\""),
        "{activation}"
    );
}

/// Frames are recorded, imitated and fine-tuned from; what was pretrained on other frames, or on none, is refused by the field.
#[test]
fn a_policy_is_pretrained_and_fine_tuned_from_frames() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("frames.hdf5");
    let env = "MultiGoal-v0@pixels=16";
    let mut collect = advect(&["collect", "scripted", "--env", env, "--episodes", "2"]);
    succeed(collect.arg("--out").arg(&file).output());
    let small = ["image_embed=8", "image_heads=2", "image_features=6"];
    let mut command = advect(&[
        "pretrain", "flow", "--quiet", "--steps", "4", "--chunk", "2",
    ]);
    command.args(["--set", "eval_episodes=1"]);
    command
        .arg("--data")
        .arg(&file)
        .arg("--out")
        .arg(out.path());
    for setting in tiny(PRETRAINING)
        .into_iter()
        .chain(small.map(str::to_owned))
    {
        command.args(["--set", &setting]);
    }
    succeed(command.output());
    let run = out
        .path()
        .join(format!("{PRETRAINING}-{env},action_chunk=2-s0"));
    let settings = small.map(|setting| ["--set", setting]).concat();
    let tuned = |env: &'static str| fine_tuning("rldt", &run, out.path(), env).with(&settings);
    let trained = tuned("MultiGoal-v0@pixels=16,action_chunk=2").finish();
    assert_eq!(trained["env_steps"], 64);
    let other = fail(&mut tuned("MultiGoal-v0@pixels=20,action_chunk=2").command());
    assert!(
        other.contains("its image size is [3, 16, 16], this run's [3, 20, 20]"),
        "{other}"
    );
    let none = fail(&mut tuned("MultiGoal-v0@action_chunk=2").command());
    assert!(
        none.contains("its image size is [3, 16, 16], this run's none"),
        "{none}"
    );
    let folder = tempfile::tempdir().unwrap();
    let env = "MultiGoal-v0@pixels=16,action_chunk=2";
    let wide = fine_tuning("rldt", &run, folder.path(), env);
    let wide = fail(&mut wide.with(&["--set", "image_heads=2"]).command());
    assert!(
        wide.contains("its image_embed is 8, this run's 128"),
        "{wide}"
    );
}

#[test]
fn what_is_no_pretrained_run_is_refused() {
    let out = tempfile::tempdir().unwrap();
    for algo in TUNERS {
        let training = fine_tuning(algo, &out.path().join("none"), out.path(), ENV);
        let missing = fail(&mut training.command());
        assert!(missing.contains("none"), "{missing}");
    }
    let other = Training::new("sac", ENV, 100, out.path());
    other.finish();
    let message = fail(&mut fine_tuning("rldt", &other.run_dir(), out.path(), ENV).command());
    assert!(
        message.contains("its algo is sac, this run's flow-bc"),
        "{message}"
    );
    assert!(!out.path().join(format!("rldt-{ENV}-s0")).exists());
    let nothing = fail(advect(&["train", PRETRAINING, "--env", ENV, "--out"]).arg(out.path()));
    assert!(
        nothing.contains("advect pretrain flow --data FILE"),
        "{nothing}"
    );
}

/// `pretrain` with these arguments behind the data of `out`.
fn pretraining(out: &Path, more: &[&str]) -> std::process::Command {
    let mut command = advect(&["pretrain", "flow", "--quiet", "--chunk", "2"]);
    command.arg("--data").arg(out.join("demonstrations.hdf5"));
    command.arg("--out").arg(out).args(more);
    command
}

#[test]
fn pretraining_goes_on_for_more_updates_with_its_own_schedule() {
    let out = tempfile::tempdir().unwrap();
    let run = pretrained(out.path(), "2");
    let before = result(&run);
    succeed(pretraining(out.path(), &["--steps", "30", "--resume"]).output());
    let after = result(&run);
    assert_eq!(
        (before["env_steps"].as_u64(), after["env_steps"].as_u64()),
        (Some(20), Some(30))
    );
    assert_ne!(hash(&before), hash(&after));
}

#[test]
fn pretraining_does_not_go_on_with_other_demonstrations() {
    let out = tempfile::tempdir().unwrap();
    pretrained(out.path(), "2");
    let file = out.path().join("demonstrations.hdf5");
    std::fs::remove_file(&file).unwrap();
    let mut collect = advect(&[
        "collect",
        "random",
        "--env",
        ENV,
        "--episodes",
        "4",
        "--out",
    ]);
    succeed(collect.arg(&file).output());
    let message = fail(&mut pretraining(out.path(), &["--steps", "30", "--resume"]));
    assert!(message.contains("other transitions"), "{message}");
}

#[test]
fn ppo_begins_from_a_cloned_policy() {
    let out = tempfile::tempdir().unwrap();
    let clone = Training::new("bc", ENV, 20, out.path());
    let cloned = clone.finish();
    let ppo = |folder: &Path| fine_tuning("ppo", &clone.run_dir(), folder, ENV);
    let trained = ppo(out.path()).finish();
    assert_eq!(trained["env_steps"], 64);
    // a rate of next to nothing leaves the policy where the clone left it, but for the moments of the observations
    let still = tempfile::tempdir().unwrap();
    let rest = ppo(still.path()).with(&["--set", "lr=1e-12"]).finish();
    let mean = |result: &serde_json::Value| result["evaluation"]["mean"].as_f64().unwrap();
    let apart = (mean(&rest) - mean(&cloned)).abs() / mean(&cloned).abs();
    assert!(apart < 0.2, "{rest} {cloned}");
    let empty = tempfile::tempdir().unwrap();
    let wide = fail(&mut ppo(empty.path()).with(&["--set", "hidden=[8,8]"]).command());
    assert!(
        wide.contains("its hidden is [16, 16], this run's [8, 8]"),
        "{wide}"
    );
    let raw = fail(
        &mut ppo(empty.path())
            .with(&["--set", "normalize_obs=false"])
            .command(),
    );
    assert!(raw.contains("`normalize_obs` is false"), "{raw}");
    let flow = pretrained(out.path(), "1");
    let other = fail(&mut fine_tuning("ppo", &flow, empty.path(), ENV).command());
    assert!(
        other.contains("its algo is flow-bc, this run's bc"),
        "{other}"
    );
}
