//! `cargo xtask setup WHAT`: provisions what a job needs.

use std::process::Command;

use advect_envs::mujoco;

use crate::{Result, cuda, unknown, workspace};

const PARTS: [&str; 3] = ["mujoco", "cuda", "peers"];

/// Provisions MuJoCo, NVIDIA's compiler or the peer libraries.
pub fn run(args: &[String]) -> Result {
    let [part] = args else {
        return Err(format!("setup takes one of {}", PARTS.join(", ")).into());
    };
    match part.as_str() {
        "mujoco" => {
            let root = mujoco::provision(&mut |step| eprintln!("setup mujoco: {step}"))?;
            println!("{}", root.display());
            Ok(())
        }
        "peers" => peers(),
        "cuda" => {
            let found = match cuda::Toolchain::find()? {
                Some(found) => found,
                None => cuda::provision()?,
            };
            println!("{}", found.describe());
            Ok(())
        }
        _ => Err(unknown("part", part, PARTS.into_iter()).into()),
    }
}

/// Installs the packages that `bench peers` measures, in a private Python environment.
fn peers() -> Result {
    let script = workspace::root().join("scripts/update_peers.py");
    let status = Command::new("python3").arg(&script).arg("--setup").status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("setup peers: {} ended with {status}", script.display()).into()),
        Err(e) => Err(format!("setup peers needs python3 (3.11 or newer) on the path: {e}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_parts_are_errors() {
        let error = run(&["mujocco".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("the nearest are `mujoco`"), "{error}");
    }
}
