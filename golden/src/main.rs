//! `advect-golden DIR [--device NAME]`: runs every reference case of a directory on `cpu` or `cuda`.

use std::path::Path;
use std::process::ExitCode;

use advect_golden::{GoldenError, Summary};
use advect_kernels::threads;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (dir, device) = match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [dir] => (*dir, "cpu"),
        [dir, "--device", device] => (*dir, *device),
        _ => {
            eprintln!(
                "usage: advect-golden DIR [--device cpu|cuda]   (DIR holds `<case>__<tag>.safetensors` files)"
            );
            return ExitCode::from(2);
        }
    };
    match run(Path::new(dir), device) {
        Ok(summary) if summary.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(dir: &Path, device: &str) -> Result<Summary, GoldenError> {
    threads::init(None).map_err(GoldenError::other)?;
    let device = advect::device::open(device).map_err(GoldenError::other)?;
    advect_golden::run_dir(dir, &device, &mut std::io::stdout().lock())
}
