//! Every algorithm's update on the GPU, as a graph and kernel by kernel, beside the CPU's.

use advect::algos::{Dims, registry};
use advect::compose;
use advect::presets;
use advect::rl::{Agent, RunConfig, StateDict};
use advect::timing::{
    TimingPlan, UpdateTiming, synthetic_demonstrations, time_graphs, time_updates,
};
use candle_core::Device;
use serde::Serialize;

use super::super::args::DeviceReportArgs;
use super::super::{print, settings};

/// HalfCheetah's.
pub(super) const DIMS: Dims = Dims { obs: 17, act: 6 };

/// One algorithm.
#[derive(Serialize)]
pub(super) struct Row {
    algo: String,
    preset: Option<&'static str>,
    /// The first update: kernels are translated for the GPU and loaded.
    first_update_seconds: f64,
    /// Kernel by kernel.
    cuda: UpdateTiming,
    /// As graphs, where the updates repeat.
    graph: Option<UpdateTiming>,
    /// The same with candidates in bf16, where there are some.
    graph_bf16: Option<UpdateTiming>,
    cpu: UpdateTiming,
    /// Largest relative difference of an array of the state after the updates, and its name.
    difference: (f64, String),
}

/// A line of the table for each algorithm.
pub(super) fn rows(args: &DeviceReportArgs, gpu: &Device) -> anyhow::Result<Vec<Row>> {
    print(
        "algorithm  preset  first update    CUDA ms   graph ms    bf16 ms     CPU ms  CPU/GPU  difference",
    )?;
    let all = || registry::names().into_iter().map(str::to_owned).collect();
    let algos: Vec<String> = if args.algos.is_empty() {
        all()
    } else {
        args.algos.clone()
    };
    let mut rows = Vec::with_capacity(algos.len());
    for algo in algos {
        let row = row(args, algo, gpu)?;
        print(&line(&row))?;
        rows.push(row);
    }
    Ok(rows)
}

fn line(row: &Row) -> String {
    let (eager, cpu) = (row.cuda.median_seconds, row.cpu.median_seconds);
    let median = |graph: &Option<UpdateTiming>| graph.as_ref().map(|graph| graph.median_seconds);
    let shown = |graph: &Option<UpdateTiming>| {
        median(graph).map_or_else(|| "-".into(), |seconds| format!("{:.3}", 1e3 * seconds))
    };
    format!(
        "{:<10} {:<7} {:>10.3} s {:>10.3} {:>10} {:>10} {:>10.3} {:>8.2}  {:.1e} in {}",
        row.algo,
        row.preset.unwrap_or("-"),
        row.first_update_seconds,
        1e3 * eager,
        shown(&row.graph),
        shown(&row.graph_bf16),
        1e3 * cpu,
        cpu / median(&row.graph).unwrap_or(eager),
        row.difference.0,
        row.difference.1
    )
}

fn row(args: &DeviceReportArgs, algo: String, gpu: &Device) -> anyhow::Result<Row> {
    let preset = (args.settings.is_empty() && presets::find(&algo, "", Some("fast")).is_ok())
        .then_some("fast");
    let config = match preset {
        Some(name) => presets::configured(&algo, "", Some(name))?,
        None => RunConfig::default(),
    };
    let mut table = compose::configure_agent(&algo, &config.agent, &settings(&args.settings))?;
    let start = |table: &toml::Table, device: &Device| -> anyhow::Result<Box<dyn Agent>> {
        let mut agent = registry::make(&algo, table, DIMS, 0, device)?;
        agent.demonstrate(synthetic_demonstrations(&agent.loop_settings(), &plan(1)))?;
        Ok(agent)
    };
    let (mut on_gpu, mut on_cpu) = (start(&table, gpu)?, start(&table, &Device::Cpu)?);
    let first = time_updates(on_gpu.as_mut(), &plan(1), gpu)?;
    time_updates(on_cpu.as_mut(), &plan(1), &Device::Cpu)?;
    let timed = plan(args.updates - 1);
    let cuda = time_updates(on_gpu.as_mut(), &timed, gpu)?;
    let cpu = time_updates(on_cpu.as_mut(), &timed, &Device::Cpu)?;
    let difference = difference(on_gpu.as_ref(), on_cpu.as_ref())?;
    let graph = time_graphs(on_gpu.as_mut(), &timed, gpu)?;
    let graph_bf16 = match table.get_mut("scoring") {
        Some(scoring) => {
            *scoring = "bf16".into();
            time_graphs(start(&table, gpu)?.as_mut(), &timed, gpu)?
        }
        None => None,
    };
    Ok(Row {
        first_update_seconds: first.median_seconds,
        algo,
        preset,
        cuda,
        graph,
        graph_bf16,
        cpu,
        difference,
    })
}

/// Single updates, so that the first one can be told from the others.
fn plan(updates: u32) -> TimingPlan {
    TimingPlan {
        obs_dim: DIMS.obs,
        act_dim: DIMS.act,
        block: 1,
        warmup_blocks: 0,
        blocks: updates,
        seed: 0,
    }
}

/// The array of two agents' states that differs most, relative to its size.
fn difference(found: &dyn Agent, expected: &dyn Agent) -> anyhow::Result<(f64, String)> {
    let state = |agent: &dyn Agent| -> anyhow::Result<StateDict> {
        let mut state = StateDict::new();
        agent.save(&mut state)?;
        Ok(state)
    };
    let (found, expected) = (state(found)?, state(expected)?);
    let mut worst = (0.0, "nothing".to_owned());
    for (name, _) in expected.iter() {
        if let (Ok(found), Ok(expected)) = (found.vec::<f32>(name), expected.vec::<f32>(name)) {
            let error = relative(found, expected);
            if error > worst.0 {
                worst = (error, name.to_owned());
            }
        }
    }
    Ok(worst)
}

fn relative(found: &[f32], expected: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let pairs = found.iter().zip(expected);
    let error: f64 = pairs
        .map(|(a, b)| square(f64::from(*a) - f64::from(*b)))
        .sum();
    let size: f64 = expected.iter().map(|b| square(f64::from(*b))).sum();
    (error / size.max(f64::MIN_POSITIVE)).sqrt()
}
