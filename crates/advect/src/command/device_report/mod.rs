//! `advect device-report`: what this machine's GPU does with every algorithm, beside the CPU.

mod golden;
mod peers;
mod runs;
mod updates;

use std::time::Instant;

use advect::device;
use advect::kernels::cuda;
use advect::machine::Machine;
use anyhow::Context;
use serde::Serialize;

use super::args::DeviceReportArgs;
use super::{print, start_threads};

/// What the JSON file holds.
#[derive(Serialize)]
struct Report {
    device: String,
    /// Free before the first tensor and after the last update, and in all.
    memory_bytes: Memory,
    /// Seconds until the device was open.
    open_seconds: f64,
    machine: Machine,
    version: &'static str,
    /// The last line of the reference cases, or why there is none.
    golden: String,
    algorithms: Vec<updates::Row>,
    peers: Vec<peers::Peer>,
    runs: Option<runs::Runs>,
}

#[derive(Serialize)]
struct Memory {
    free_before: usize,
    free_after: usize,
    all: usize,
}

/// Prints a table as it grows and writes the JSON file.
pub fn run(args: &DeviceReportArgs) -> anyhow::Result<()> {
    start_threads(None)?;
    for library in cuda::libraries() {
        let (name, fix) = (library.name, library.fix);
        print(&match library.found {
            true => format!("found    {name}"),
            false => format!("MISSING  {name}; {fix}"),
        })?;
    }
    let start = Instant::now();
    let gpu = device::open("cuda")?;
    let open_seconds = start.elapsed().as_secs_f64();
    let (name, memory_bytes) = cuda::describe()?;
    let [free, all] = memory_bytes.map(|bytes| bytes >> 20);
    print(&format!(
        "{name}, {free} of {all} MiB free, opened in {open_seconds:.2} s"
    ))?;
    let golden = golden::run(args.golden.as_deref())?;
    let algorithms = updates::rows(args, &gpu)?;
    let (_, [free_after, _]) = cuda::describe()?;
    let peers = peers::run(args.updates)?;
    let runs = runs::run(args)?;
    let [free_before, all] = memory_bytes;
    let report = Report {
        device: name,
        memory_bytes: Memory {
            free_before,
            free_after,
            all,
        },
        golden,
        open_seconds,
        machine: Machine::detect(),
        version: env!("CARGO_PKG_VERSION"),
        algorithms,
        peers,
        runs,
    };
    let text = serde_json::to_string_pretty(&report)?;
    let out = args.out.display();
    std::fs::write(&args.out, text + "\n").with_context(|| format!("cannot write {out}"))?;
    print(&format!("report: {out}"))
}
