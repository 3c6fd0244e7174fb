//! CUDA: the compiler, builds with it, and a check that needs no GPU.

mod check;
mod standin;
mod toolchain;

pub use check::{on_standin as check_on_standin, run as check};
pub use toolchain::{Toolchain, provision};

use std::process::Command;

use crate::Result;

/// Whether the arguments of a verb ask for a CUDA device.
pub fn asked_for(args: &[String]) -> bool {
    let pairs = args.windows(2);
    let spaced = pairs
        .into_iter()
        .any(|w| w[0] == "--device" && w[1] == "cuda");
    spaced || args.iter().any(|arg| arg == "--device=cuda")
}

/// Lets a cargo command compile CUDA kernels; installs the compiler where there is none.
pub fn equip(command: &mut Command) -> Result {
    let toolchain = match Toolchain::find()? {
        Some(found) => found,
        None => provision()?,
    };
    command.envs(toolchain.variables()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_among_arguments() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(asked_for(&args("sac --device cuda --steps 3")));
        assert!(asked_for(&args("sac --device=cuda")));
        assert!(!asked_for(&args("sac --device auto --out cuda")));
    }
}
