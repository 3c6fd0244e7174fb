//! `advect bench-update`.

use super::args::BenchArgs;
use super::{print, settings, start_threads};
use advect::algos::{Dims, registry};
use advect::compose;
use advect::device;
use advect::machine::Machine;
use advect::presets;
use advect::rl::Products;
use advect::timing::{
    TimingPlan, UpdateTiming, synthetic_demonstrations, time_graphs, time_updates,
};
use serde::Serialize;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    algo: &'a str,
    #[serde(flatten)]
    timing: UpdateTiming,
    parameter_hash: String,
    threads: usize,
    device: &'static str,
    graphs: bool,
    products: Products,
    plan: TimingPlan,
    batch_size: usize,
    settings: &'a toml::Table,
    machine: Machine,
    version: &'static str,
}

/// `advect bench-update`: times updates of a new agent on random transitions.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let threads = start_threads(args.compute.thread_count())?;
    let name = args.compute.device_name().unwrap_or_else(|| "auto".into());
    let device = device::open(&name)?;
    let products = Products::from(args.products);
    device::set_products(&device, products)?;
    let preset = presets::configured(&args.algo, "", args.preset.as_deref())?;
    let config = compose::configure_agent(&args.algo, &preset.agent, &settings(&args.settings))?;
    let dims = Dims {
        obs: args.obs_dim,
        act: args.act_dim,
    };
    let mut agent = registry::make(&args.algo, &config, dims, args.seed, &device)?;
    let plan = plan(args);
    agent.demonstrate(synthetic_demonstrations(&agent.loop_settings(), &plan))?;
    let graphs = match args.no_graphs {
        true => None,
        false => time_graphs(agent.as_mut(), &plan, &device)?,
    };
    let as_graphs = graphs.is_some();
    let timing = match graphs {
        Some(timing) => timing,
        None => time_updates(agent.as_mut(), &plan, &device)?,
    };
    let report = Report {
        algo: &args.algo,
        timing,
        parameter_hash: format!("{:016x}", agent.parameter_hash()?),
        threads,
        device: if device.is_cpu() { "cpu" } else { "cuda" },
        graphs: as_graphs,
        products: if device.is_cpu() {
            Products::F32
        } else {
            products
        },
        plan,
        batch_size: agent.loop_settings().batch_rows(),
        settings: &agent.config_toml(),
        machine: Machine::detect(),
        version: env!("CARGO_PKG_VERSION"),
    };
    print(&if args.json {
        serde_json::to_string(&report)?
    } else {
        text(&report)
    })
}

fn plan(args: &BenchArgs) -> TimingPlan {
    TimingPlan {
        obs_dim: args.obs_dim,
        act_dim: args.act_dim,
        block: args.block,
        warmup_blocks: args.warmup_blocks,
        blocks: args.updates.div_ceil(args.block),
        seed: args.seed,
    }
}

fn text(report: &Report) -> String {
    let Report {
        algo,
        timing,
        plan,
        threads,
        batch_size,
        ..
    } = report;
    let UpdateTiming {
        median_seconds,
        mean_seconds,
        min_seconds,
        max_seconds,
        updates,
    } = timing;
    format!(
        "{algo}, {} observations, {} actions, batch {batch_size}, {threads} threads: {median_seconds:.5} s per update \
         (mean {mean_seconds:.5}, min {min_seconds:.5}, max {max_seconds:.5}; {updates} updates in blocks of {})",
        plan.obs_dim, plan.act_dim, plan.block
    )
}
