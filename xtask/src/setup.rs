//! `cargo xtask setup WHAT`: provisions what a job needs.

use advect_envs::mujoco;

use crate::{Result, unknown};

const PARTS: [&str; 3] = ["mujoco", "cuda", "peers"];

/// Provisions MuJoCo; the CUDA compiler and the peer libraries are not available yet.
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
        "cuda" | "peers" => Err(format!(
            "`setup {part}` is not available yet: it comes with the part of advect that needs it; \
             nothing that works today does"
        )
        .into()),
        _ => Err(unknown("part", part, PARTS.into_iter()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_not_there_yet_are_errors() {
        for part in ["cuda", "peers"] {
            let error = run(&[part.to_owned()]).unwrap_err().to_string();
            assert!(error.contains("not available yet"), "{error}");
        }
        let error = run(&["mujocco".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("the nearest are `mujoco`"), "{error}");
    }
}
