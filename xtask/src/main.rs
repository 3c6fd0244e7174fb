//! `cargo xtask TASK`: drives cargo. One file per task; `cargo xtask help` lists them.

mod cuda;
mod doctor;
mod forward;
mod report;
mod setup;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

type Error = Box<dyn std::error::Error>;
type Result<T = ()> = std::result::Result<T, Error>;

/// A task: name, what it does, the function that takes the arguments after the name.
struct Task {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result,
}

const TASKS: &[Task] = &[
    Task {
        name: "build",
        about: "build everything in the release profile; --cuda with kernels for NVIDIA GPUs",
        run: forward::build,
    },
    Task {
        name: "test",
        about: "all that CI runs, cheapest first",
        run: test::run,
    },
    Task {
        name: "bench",
        about: "criterion benches; `bench update --algo A ... --json` times one update, `bench peers` compares updates with other packages, `bench envs [--peers]` environments",
        run: forward::bench,
    },
    Task {
        name: "golden",
        about: "DIR [--device cuda]: compare every reference case of a directory",
        run: forward::golden,
    },
    Task {
        name: "train",
        about: "[ALGO] [--env ID] [--steps N] [--seed S] [--set k=v] ...: train an agent",
        run: |args| forward::advect("train", args),
    },
    Task {
        name: "pretrain",
        about: "flow --data FILE [--chunk N] [--steps N] ...: train a policy on recorded transitions",
        run: |args| forward::advect("pretrain", args),
    },
    Task {
        name: "eval",
        about: "RUN: evaluate the checkpoint of a run",
        run: |args| forward::advect("eval", args),
    },
    Task {
        name: "report",
        about: "RUN...: curves and table of finished runs",
        run: |args| forward::advect("report", args),
    },
    Task {
        name: "algos",
        about: "list the algorithms",
        run: |args| forward::advect("algos", args),
    },
    Task {
        name: "modes",
        about: "[ALGO...]: train on two toy tasks and draw which modes each policy keeps",
        run: |args| forward::advect("modes", args),
    },
    Task {
        name: "presets",
        about: "list the presets of the algorithms",
        run: |args| forward::advect("presets", args),
    },
    Task {
        name: "envs",
        about: "list the environments",
        run: |args| forward::advect("envs", args),
    },
    Task {
        name: "collect",
        about: "RUN|scripted|random --episodes N --out FILE: record episodes as a file of transitions",
        run: |args| forward::advect("collect", args),
    },
    Task {
        name: "demos",
        about: "[SET]: make a set of demonstrations, or list the sets",
        run: |args| forward::advect("demos", args),
    },
    Task {
        name: "render",
        about: "RUN|scripted|random --out FILE.gif|.png|.mp4: show a policy",
        run: |args| forward::advect("render", args),
    },
    Task {
        name: "data",
        about: "info FILE: what a file of transitions holds",
        run: |args| forward::advect("data", args),
    },
    Task {
        name: "check-env",
        about: "ID: check an environment against what a learner relies on",
        run: |args| forward::advect("check-env", args),
    },
    Task {
        name: "config",
        about: "ALGO: print the complete configuration of an algorithm",
        run: |args| forward::advect("config", args),
    },
    Task {
        name: "setup",
        about: "mujoco|cuda|peers: provision what a job needs",
        run: setup::run,
    },
    Task {
        name: "device-report",
        about: "[--golden DIR] [--algo A] [--updates U] [--steps N] [--out FILE]: this machine's GPU beside its CPU, a table and a JSON file",
        run: forward::device_report,
    },
    Task {
        name: "cuda-check",
        about: "kernels and algorithms on CUDA's paths, without a GPU on a stand-in for the driver; --device on the machine's",
        run: cuda::check,
    },
    Task {
        name: "tidy",
        about: "layers, docs, banned code, file sizes, commands in the docs",
        run: tidy::run,
    },
    Task {
        name: "doctor",
        about: "what is present, what is missing, the command that mends it",
        run: doctor::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result {
    match args.split_first() {
        None => Err(format!("no task given\n{}", help()).into()),
        Some((name, _)) if matches!(name.as_str(), "help" | "--help" | "-h") => {
            println!("{}", help());
            Ok(())
        }
        Some((name, rest)) => match TASKS.iter().find(|task| task.name == name) {
            Some(task) => (task.run)(rest),
            None => Err(unknown("task", name, TASKS.iter().map(|task| task.name)).into()),
        },
    }
}

fn help() -> String {
    let rows = TASKS
        .iter()
        .map(|task| format!("  {:<13} {}\n", task.name, task.about));
    format!(
        "usage: cargo xtask TASK [ARGS]\n\n{}",
        rows.collect::<String>()
    )
}

/// The message for a name that is not among `known`: names the nearest ones.
fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<_> = known
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .collect();
    known.sort();
    let nearest = known
        .iter()
        .take(3)
        .map(|(_, k)| format!("`{k}`"))
        .collect::<Vec<_>>();
    format!(
        "unknown {what} `{name}`; the nearest are {}",
        nearest.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_task_names_the_nearest() {
        let error = dispatch(&["tets".to_owned()]).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown task `tets`; the nearest are `test`"),
            "{error}"
        );
    }

    #[test]
    fn no_task_lists_all() {
        let error = dispatch(&[]).unwrap_err().to_string();
        assert!(
            TASKS.iter().all(|task| error.contains(task.name)),
            "{error}"
        );
    }
}
