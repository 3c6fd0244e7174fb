//! `cargo xtask doctor`: what is present, what is missing, and the command that mends it.

use std::path::Path;
use std::process::Command;

use advect_envs::mujoco;

use crate::{Result, cuda, workspace};

/// One line of the report.
struct Finding {
    what: &'static str,
    state: State,
    detail: String,
}

enum State {
    Present,
    /// Something works less well or not at all without it; the command that mends it.
    Missing(String),
    /// Nothing works without it.
    Broken(String),
}

/// Prints the report; fails if a thing is missing without which nothing works.
pub fn run(args: &[String]) -> Result {
    if !args.is_empty() {
        return Err("doctor takes no argument".into());
    }
    let root = workspace::root();
    let findings = [
        toolchain(&root),
        compiler(),
        cores(),
        features(),
        disk(&root),
        python(),
        mujoco(),
        opengl(),
        ffmpeg(),
        cargo_deny(),
        nvcc(),
        gpu(),
    ];
    findings.iter().for_each(print);
    match findings
        .iter()
        .filter(|finding| matches!(finding.state, State::Broken(_)))
        .count()
    {
        0 => Ok(()),
        n => Err(format!("{n} of these must be mended first").into()),
    }
}

fn print(finding: &Finding) {
    let (mark, mend) = match &finding.state {
        State::Present => ("ok", None),
        State::Missing(mend) => ("missing", Some(mend)),
        State::Broken(mend) => ("BROKEN", Some(mend)),
    };
    println!("{mark:<8} {:<12} {}", finding.what, finding.detail);
    if let Some(mend) = mend {
        println!("{:<21} mend: {mend}", "");
    }
}

/// First line of what a command says, if it succeeds.
fn says(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .ok()
        .filter(|o| o.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(|line| line.trim().to_owned())
}

/// A program that one part of the workspace needs.
fn program(what: &'static str, program: &str, args: &[&str], mend: &str) -> Finding {
    match says(program, args) {
        Some(detail) => Finding {
            what,
            state: State::Present,
            detail,
        },
        None => Finding {
            what,
            state: State::Missing(mend.to_owned()),
            detail: format!("`{program} {}` does not run", args.join(" ")),
        },
    }
}

fn toolchain(root: &Path) -> Finding {
    let pinned = std::fs::read_to_string(root.join("rust-toolchain.toml")).unwrap_or_default();
    let pinned = pinned.split('"').nth(1).unwrap_or("?").to_owned();
    let detail = says("rustc", &["--version"]).unwrap_or_else(|| "rustc does not run".into());
    let state = match detail.split(' ').nth(1) == Some(pinned.as_str()) {
        true => State::Present,
        false => State::Broken(format!("rustup toolchain install {pinned}")),
    };
    Finding {
        what: "toolchain",
        state,
        detail,
    }
}

fn compiler() -> Finding {
    program(
        "C compiler",
        "cc",
        &["--version"],
        "apt-get install gcc libc6-dev (the linker needs it)",
    )
}

fn cores() -> Finding {
    let (state, detail) = match std::thread::available_parallelism() {
        Ok(cores) => (State::Present, format!("{cores} available to this process")),
        Err(error) => (State::Missing("pass --threads N".into()), error.to_string()),
    };
    Finding {
        what: "cores",
        state,
        detail,
    }
}

#[cfg(target_arch = "x86_64")]
fn features() -> Finding {
    let present: Vec<&str> = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ]
    .into_iter()
    .filter_map(|(name, present)| present.then_some(name))
    .collect();
    let state = match present.contains(&"avx2") && present.contains(&"fma") {
        true => State::Present,
        false => State::Missing("the portable kernels run instead, several times slower".into()),
    };
    Finding {
        what: "CPU",
        state,
        detail: format!("x86-64 with {}", present.join(", ")),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Finding {
    let detail = std::env::consts::ARCH.to_owned();
    Finding {
        what: "CPU",
        state: State::Present,
        detail,
    }
}

const BUILD_GIB: u64 = 6;

fn disk(root: &Path) -> Finding {
    let what = "disk";
    match free_gib(root) {
        Some(gib) if gib >= BUILD_GIB => Finding {
            what,
            state: State::Present,
            detail: format!("{gib} GiB free"),
        },
        Some(gib) => Finding {
            what,
            state: State::Missing(format!(
                "free {} GiB, or set CARGO_TARGET_DIR",
                BUILD_GIB - gib
            )),
            detail: format!("{gib} GiB free, a build takes up to {BUILD_GIB}"),
        },
        None => Finding {
            what,
            state: State::Present,
            detail: "free space unknown".into(),
        },
    }
}

fn free_gib(root: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(root).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let kib: u64 = text
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kib >> 20)
}

fn python() -> Finding {
    let mend = "apt-get install python3 python3-pip (`setup mujoco` downloads with it)";
    program("python", "python3", &["-m", "pip", "--version"], mend)
}

fn mujoco() -> Finding {
    let what = "MuJoCo";
    match mujoco::Installation::locate() {
        Ok(found) if mujoco::is_provisioned() => Finding {
            what,
            state: State::Present,
            detail: format!("{} in {}", mujoco::VERSION, found.library.display()),
        },
        Ok(_) => Finding {
            what,
            state: State::Missing("cargo xtask setup mujoco".into()),
            detail: format!(
                "{}, but without the models of Gymnasium-Robotics; Gymnasium's tasks work",
                mujoco::VERSION
            ),
        },
        Err(_) => Finding {
            what,
            state: State::Missing("cargo xtask setup mujoco".into()),
            detail: format!(
                "{} not found; embedded environments work without it",
                mujoco::VERSION
            ),
        },
    }
}

/// MuJoCo draws through it.
fn opengl() -> Finding {
    let found = says(
        "sh",
        &["-c", "PATH=$PATH:/sbin ldconfig -p | grep libEGL.so"],
    );
    let mend = "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri (frames of MuJoCo tasks)";
    Finding {
        what: "EGL",
        state: match &found {
            Some(_) => State::Present,
            None => State::Missing(mend.into()),
        },
        detail: found.unwrap_or_else(|| "libEGL is not known to the loader".into()),
    }
}

fn ffmpeg() -> Finding {
    let mend = "apt-get install ffmpeg (`render` writes .mp4 with it; .gif and .png need nothing)";
    program("FFmpeg", "ffmpeg", &["-version"], mend)
}

fn cargo_deny() -> Finding {
    let mend = "cargo install --locked cargo-deny (`test` skips the licence check without it)";
    program("cargo-deny", "cargo", &["deny", "--version"], mend)
}

/// What compiles kernels for GPUs; programs need it to be built, not to run.
fn nvcc() -> Finding {
    let found = cuda::Toolchain::find().ok().flatten();
    Finding {
        what: "CUDA",
        state: match &found {
            Some(_) => State::Present,
            None => State::Missing("cargo xtask setup cuda".into()),
        },
        detail: found.map_or_else(
            || "no compiler of NVIDIA's that fits; it is installed when a build asks for it".into(),
            |toolchain| toolchain.describe(),
        ),
    }
}

fn gpu() -> Finding {
    let driver = std::fs::read_to_string("/proc/driver/nvidia/version");
    let detail = match driver {
        Ok(text) => text.lines().next().unwrap_or("NVIDIA driver").to_owned(),
        Err(_) => "no NVIDIA driver; everything runs on the CPU".to_owned(),
    };
    Finding {
        what: "GPU driver",
        state: State::Present,
        detail,
    }
}
