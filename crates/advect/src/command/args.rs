//! What can be typed.

use super::data::CollectArgs;
use super::demos::DemosArgs;
use super::modes::ModesArgs;
use super::render::RenderArgs;
use super::train::Seeds;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Flow-policy reinforcement learning.
#[derive(Debug, Parser)]
#[command(name = "advect", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs of the command.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train an agent; without arguments FLAME-M learns to reach four goals in a few minutes
    Train(TrainArgs),
    /// Train a policy on recorded transitions, to be evaluated or fine-tuned
    Pretrain(PretrainArgs),
    /// Evaluate a checkpoint of a run: mean, standard deviation, IQM and its bootstrap interval
    Eval(EvalArgs),
    /// Draw the learning curves of runs into one picture and print a table over their seeds
    Report(ReportArgs),
    /// Time one update of an agent on synthetic data
    BenchUpdate(BenchArgs),
    /// List the algorithms
    Algos,
    /// List the presets: algorithm, name, environment, what it is for
    Presets,
    /// List the environments
    Envs,
    /// Record episodes of a trained agent, of an expert written by hand or of random actions as a file of transitions
    Collect(CollectArgs),
    /// Show episodes as a GIF, an MP4 or a PNG of many frames
    Render(RenderArgs),
    /// Make a set of demonstrations with one command, or list the sets
    Demos(DemosArgs),
    /// Train algorithms on two toy tasks with several good ways to act, and draw which of them each policy keeps
    Modes(ModesArgs),
    /// Files of transitions
    Data(DataArgs),
    /// Check an environment: bounds, determinism, resets, saved states, time limit, lengths, speed
    CheckEnv(CheckEnvArgs),
    /// Look at this machine's GPU: libraries, updates of every algorithm beside the CPU, their differences; a table and a JSON file
    #[cfg(feature = "cuda")]
    DeviceReport(DeviceReportArgs),
    /// Print the complete configuration of an algorithm as TOML
    Config(ConfigArgs),
}

/// Arguments of `device-report`.
#[cfg(feature = "cuda")]
#[derive(Debug, Args)]
pub struct DeviceReportArgs {
    /// Algorithm; may be repeated [default: all]
    #[arg(long = "algo", value_name = "A")]
    pub algos: Vec<String>,
    /// Updates of each on either device
    #[arg(long, default_value_t = 100, value_name = "U", value_parser = clap::value_parser!(u32).range(2..))]
    pub updates: u32,
    /// A setting of these algorithms, `key=value`; may be repeated [default: their preset `fast`, else their defaults]
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Directory of reference cases, which are computed on the GPU too
    #[arg(long, value_name = "DIR")]
    pub golden: Option<PathBuf>,
    /// Environment steps of a whole run of FLAME-M; 0 leaves it out
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub steps: u64,
    /// Environment of the runs [default: HalfCheetah-v5]
    #[arg(long, value_name = "ID")]
    pub env: Option<String>,
    /// A setting of the runs, `key=value`; may be repeated
    #[arg(long = "run-set", value_name = "KEY=VALUE", value_parser = setting)]
    pub run_settings: Vec<(String, String)>,
    /// JSON file to write; runs lie beside it
    #[arg(long, default_value = "device-report.json", value_name = "FILE")]
    pub out: PathBuf,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Algorithm, see `advect algos`
    pub algo: Option<String>,
    /// Environment, see `advect envs`, or `gym:ID` for one of Gymnasium in Python [default: MultiGoal-v0]
    #[arg(long, value_name = "ID")]
    pub env: Option<String>,
    /// Named settings of the algorithm, see `advect presets`; of several, separated by commas, a later one wins; `paper` is its
    /// defaults [default: `tuned` where there is one for the environment, else `paper`]
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub preset: Option<String>,
    /// Python that runs `gym:ID` environments [default: $ADVECT_PYTHON, else python3]
    #[arg(long, value_name = "PATH")]
    pub python: Option<String>,
    /// Environment steps to take
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Master seed of every random stream
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Seeds of several runs that train at the same time, both ends included; each is the run that --seed would make
    #[arg(long, value_name = "A..B", conflicts_with_all = ["seed", "checkpoint"])]
    pub seeds: Option<Seeds>,
    /// A setting of the run or the algorithm, `key=value` or `section.key=value`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Folder in which the run directory <algo>-<env>-s<seed> is made
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Continue a run from its last checkpoint; without RUN, the one that the other arguments name, or start it
    /// where there is none
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Environment step of the checkpoint to continue from [default: the last one]
    #[arg(long, value_name = "STEP", requires = "resume")]
    pub checkpoint: Option<u64>,
    /// Configuration file, such as `advect config ALGO` prints or a run keeps
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the last line only
    #[arg(long)]
    pub quiet: bool,
    /// Where to compute.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// What `pretrain` trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pretraining {
    /// A flow policy by flow matching (the algorithm `flow-bc`), which `train rldt` and `train reinflow` fine-tune
    Flow,
}

/// Arguments of `pretrain`.
#[derive(Debug, Args)]
pub struct PretrainArgs {
    /// What to train
    #[arg(value_enum)]
    pub what: Pretraining,
    /// File of transitions: D4RL, Minari, robomimic or OGBench, see `advect data info`
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Environment of evaluations, in chunks if the policy shall act in chunks, such as Hopper-v5@action_chunk=4 [default: that of the
    /// data, with --chunk]
    #[arg(long, value_name = "ID", conflicts_with = "chunk")]
    pub env: Option<String>,
    /// Actions that the policy takes at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub chunk: u16,
    /// Python that runs `gym:ID` environments [default: $ADVECT_PYTHON, else python3]
    #[arg(long, value_name = "PATH")]
    pub python: Option<String>,
    /// Named settings of the algorithm, see `advect presets` [default: `tuned` for this environment]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Updates to make; the learning rate has come down at the last one
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub steps: u64,
    /// Master seed of every random stream
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// A setting of the run or the algorithm, `key=value`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Folder in which the run directory flow-bc-<env>-s<seed> is made
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Continue the run that the other arguments name, or start it where there is none
    #[arg(long)]
    pub resume: bool,
    /// Print the last line only
    #[arg(long)]
    pub quiet: bool,
    /// Where to compute.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Where to compute.
#[derive(Debug, Clone, Args)]
pub struct ComputeArgs {
    /// Device of the learner [default: auto]
    #[arg(long, value_enum, value_name = "DEVICE")]
    pub device: Option<DeviceChoice>,
    /// Threads [default: the cores available]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

/// What products on a CUDA device round their operands to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProductsChoice {
    /// Nothing.
    #[default]
    F32,
    /// Ten bits of fraction.
    Tf32,
    /// Seven bits of fraction.
    Bf16,
}

/// Device of the learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
    /// CUDA where this build and machine have it, else the CPU.
    Auto,
    /// The processor.
    Cpu,
    /// The first CUDA device.
    Cuda,
}

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Run directory
    pub run: PathBuf,
    /// Evaluate in another environment with the same observations and actions, such as ID@noise=1.5 [default: that of the run]
    #[arg(long, value_name = "ID")]
    pub env: Option<String>,
    /// Episodes
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// Seed of the episodes
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub seed: u64,
    /// Environment step of the checkpoint [default: the last one]
    #[arg(long, value_name = "STEP")]
    pub checkpoint: Option<u64>,
    /// Take one sample of the policy for each action, where the algorithm lets its critics choose among several
    #[arg(long)]
    pub single_sample: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where to compute.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run directories
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Picture of all runs [default: curve.svg in the run for one, report.svg here for several]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `bench-update`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Algorithm, see `advect algos`
    #[arg(long, value_name = "A")]
    pub algo: String,
    /// Width of the observations
    #[arg(long, value_name = "N", value_parser = dimension)]
    pub obs_dim: usize,
    /// Width of the actions
    #[arg(long, value_name = "M", value_parser = dimension)]
    pub act_dim: usize,
    /// Named settings of the algorithm for any environment, see `advect presets` [default: `paper`, its defaults]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// A setting of the algorithm, `key=value`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Timed updates, rounded up to whole blocks
    #[arg(long, default_value_t = 20, value_name = "U", value_parser = clap::value_parser!(u32).range(1..))]
    pub updates: u32,
    /// Updates timed together: the median, min and max are over blocks, each divided by its updates. The default
    /// holds one update with and one without a policy step of agents that delay the policy
    #[arg(long, default_value_t = 2, value_name = "B", value_parser = clap::value_parser!(u32).range(1..))]
    pub block: u32,
    /// Untimed blocks before
    #[arg(long, default_value_t = 2, value_name = "W")]
    pub warmup_blocks: u32,
    /// Seed of the parameters and of the data
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub seed: u64,
    /// Launch updates kernel by kernel on a CUDA device, not as graphs
    #[arg(long)]
    pub no_graphs: bool,
    /// What products on a CUDA device round their operands to
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub products: ProductsChoice,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where to compute.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Arguments of `data`.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// What to do with the file.
    #[command(subcommand)]
    pub verb: DataVerb,
}

/// The verbs of `data`.
#[derive(Debug, Subcommand)]
pub enum DataVerb {
    /// Print environment, episodes, returns and the range of every coordinate of a D4RL, Minari, robomimic or OGBench file
    Info(InfoArgs),
    /// Write a file of any of these formats in D4RL's layout, with its environment
    Convert(ConvertArgs),
}

/// Arguments of `data info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// HDF5 or npz file
    pub file: PathBuf,
}

/// Arguments of `data convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// HDF5 or npz file
    pub file: PathBuf,
    /// HDF5 file to write, in D4RL's layout
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Environment of the data, see `advect envs` [default: the one that the file names]
    #[arg(long, value_name = "ID")]
    pub env: Option<String>,
    /// Observations of a robomimic file, one behind the other [default: all low-dimensional ones in alphabetical order]
    #[arg(long, value_name = "KEY,...", value_delimiter = ',')]
    pub keys: Vec<String>,
}

/// Arguments of `check-env`.
#[derive(Debug, Args)]
pub struct CheckEnvArgs {
    /// Environment, see `advect envs`
    pub id: String,
    /// Python that runs `gym:ID` environments [default: $ADVECT_PYTHON, else python3]
    #[arg(long, value_name = "PATH")]
    pub python: Option<String>,
    /// Random actions that each rule takes
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Seed of actions and first states
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub seed: u64,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Algorithm, see `advect algos`
    pub algo: String,
    /// Environment
    #[arg(long, value_name = "ID", default_value = "MultiGoal-v0")]
    pub env: String,
    /// Named settings of the algorithm, see `advect presets`; of several, separated by commas, a later one wins; `paper` is its
    /// defaults [default: `tuned` where there is one for the environment, else `paper`]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().into(), value.trim().into()))
        }
        _ => Err("expected KEY=VALUE, for instance `batch_size=64`".into()),
    }
}

fn dimension(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(width) if (1..=65_536).contains(&width) => Ok(width),
        _ => Err("expected a width from 1 to 65536".into()),
    }
}
