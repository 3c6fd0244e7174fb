//! `cargo xtask test`: all that CI runs, cheapest first, all in the release profile so that
//! candle compiles once. Stops at the first step that fails.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::report::{self, Count};
use crate::{Result, cuda, tidy, workspace};

/// Runs the steps; `--advisories` also checks the dependencies against the advisory database,
/// which needs the network.
pub fn run(args: &[String]) -> Result {
    let advisories = match args {
        [] => false,
        [flag] if flag == "--advisories" => true,
        _ => return Err("test takes no argument but --advisories".into()),
    };
    let root = workspace::root();
    let mut steps = Steps::new(&root);
    steps.cargo("fmt", &["fmt", "--all", "--check"])?;
    steps.run("tidy", |_| tidy::run(&[]).map(|()| Count::default()))?;
    deny(&mut steps, advisories)?;
    steps.cargo(
        "clippy",
        &[
            "clippy",
            "--release",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    steps.command("doc", docs(&root))?;
    steps.command("test", tests(&root))?;
    golden(&mut steps)?;
    cuda_check(&mut steps)?;
    steps.command("readme", readme(&root)?)?;
    steps.finish();
    Ok(())
}

struct Steps<'a> {
    root: &'a Path,
    count: Count,
    timings: Vec<(String, f64)>,
}

impl<'a> Steps<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            count: Count::default(),
            timings: Vec::new(),
        }
    }

    fn run(&mut self, name: &str, step: impl FnOnce(&Path) -> Result<Count>) -> Result {
        println!("== {name}");
        let start = Instant::now();
        let count = step(self.root)?;
        self.count.passed += count.passed;
        self.count.ignored += count.ignored;
        self.timings
            .push((name.to_owned(), start.elapsed().as_secs_f64()));
        Ok(())
    }

    fn command(&mut self, name: &str, command: Command) -> Result {
        self.run(name, |_| match report::stream(command)? {
            (true, count) => Ok(count),
            (false, count) => Err(failure(name, count).into()),
        })
    }

    fn cargo(&mut self, name: &str, args: &[&str]) -> Result {
        self.command(name, cargo(self.root, args))
    }

    fn skip(&self, name: &str, why: &str) {
        println!("== {name}: skipped, {why}");
    }

    fn finish(&self) {
        let timings = self
            .timings
            .iter()
            .map(|(name, s)| format!("{name} {s:.0} s"));
        println!("{}", timings.collect::<Vec<_>>().join(", "));
        println!(
            "{} passed, 0 failed, {} ignored",
            self.count.passed, self.count.ignored
        );
    }
}

fn failure(name: &str, count: Count) -> String {
    match count.failed {
        0 => format!("step `{name}` failed"),
        n => format!("step `{name}` failed: {} passed, {n} failed", count.passed),
    }
}

fn cargo(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(root).args(args);
    command
}

fn docs(root: &Path) -> Command {
    let mut command = cargo(root, &["doc", "--release", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// The tests of the workspace; recorded MuJoCo references are used where they lie.
fn tests(root: &Path) -> Command {
    let mut command = cargo(
        root,
        &["test", "--release", "--workspace", "--no-fail-fast"],
    );
    let recorded = root.join("target/mujoco-reference");
    if std::env::var_os("ADVECT_MUJOCO_REFERENCE").is_none() && recorded.is_dir() {
        command.env("ADVECT_MUJOCO_REFERENCE", recorded);
    }
    command
}

/// The commands that the README marks with `sh test`.
fn readme(root: &Path) -> Result<Command> {
    let text = std::fs::read_to_string(root.join("README.md"))?;
    let mut command = Command::new("sh");
    command
        .current_dir(root)
        .args(["-euxc", &tidy::tested_commands(&text)]);
    Ok(command)
}

fn golden(steps: &mut Steps) -> Result {
    match workspace::golden_dir() {
        Some(dir) => steps.cargo(
            "golden",
            &[
                "run",
                "--release",
                "--quiet",
                "--package",
                "advect-golden",
                "--",
                &dir.to_string_lossy(),
            ],
        ),
        None => {
            steps.skip(
                "golden",
                "ADVECT_GOLDEN names no directory of reference cases",
            );
            Ok(())
        }
    }
}

/// CUDA's code paths on the stand-in, where the compiler is installed; `ADVECT_REQUIRE_CUDA=1` installs it.
fn cuda_check(steps: &mut Steps) -> Result {
    let required = std::env::var("ADVECT_REQUIRE_CUDA").is_ok_and(|value| value == "1");
    if required || cuda::Toolchain::find()?.is_some() {
        return steps.run("cuda", |_| cuda::check_on_standin());
    }
    steps.skip("cuda", "no compiler: cargo xtask setup cuda");
    Ok(())
}

/// Licences, sources and bans of the dependencies; `CI=true` makes a missing cargo-deny a failure.
fn deny(steps: &mut Steps, advisories: bool) -> Result {
    let installed = cargo(steps.root, &["deny", "--version"])
        .output()?
        .status
        .success();
    let mend = "cargo-deny is not installed: cargo install --locked cargo-deny";
    match (installed, std::env::var("CI").is_ok_and(|ci| ci == "true")) {
        (false, true) => Err(mend.into()),
        (false, false) => {
            steps.skip("deny", mend);
            Ok(())
        }
        (true, _) => {
            let mut checks = vec![
                "deny",
                "check",
                "--hide-inclusion-graph",
                "bans",
                "licenses",
                "sources",
            ];
            checks.extend(advisories.then_some("advisories"));
            steps.cargo("deny", &checks)
        }
    }
}
