//! The `advect` command.

mod command;

use clap::Parser;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Training frees and allocates tensors all the time; the system allocator returns them to the kernel each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = command::args::Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match command::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", command::explain(&error));
            command::exit_code(&error)
        }
    }
}
