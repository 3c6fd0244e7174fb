//! `advect-golden DIR`: runs every reference case of a directory.

use std::path::Path;
use std::process::ExitCode;

use advect_golden::{GoldenError, Summary};
use advect_kernels::threads;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(dir), None) = (args.next(), args.next()) else {
        eprintln!("usage: advect-golden DIR   (DIR holds `<case>__<tag>.safetensors` files)");
        return ExitCode::from(2);
    };
    match run(Path::new(&dir)) {
        Ok(summary) if summary.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(dir: &Path) -> Result<Summary, GoldenError> {
    threads::init(None).map_err(GoldenError::other)?;
    advect_golden::run_dir(dir, &mut std::io::stdout().lock())
}
