//! Algorithms by name.

use advect_rl::config::{from_table, nearest_names};
use advect_rl::{Agent, ConfigError};
use candle_core::Device;
use documented::DocumentedFields;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

use crate::bc::{BcAgent, BcConfig};
use crate::diffusion_policy::DiffusionConfig;
use crate::dims::Task;
use crate::dipo::DipoConfig;
use crate::dpmd::DpmdConfig;
use crate::encoder::ImageNetwork;
use crate::error::AlgoError;
use crate::flame::FlameConfig;
use crate::flow_bc::{FlowBcAgent, FlowBcConfig};
use crate::flow_network::FlowNetwork;
use crate::fm_irl::{FmIrlConfig, FmIrlSacConfig, TeacherConfig};
use crate::fmer::FmerConfig;
use crate::fpmd::FpmdConfig;
use crate::generator::Variant;
use crate::imitation::airl::AirlConfig;
use crate::imitation::drail::DrailConfig;
use crate::imitation::gail::GailConfig;
use crate::imitation::vail::VailConfig;
use crate::imitation::wail::WailConfig;
use crate::imitation::{ImitationAgent, ImitationConfig, PlainConfig, ReplayedConfig};
use crate::noisy_best_of::{ChainConfig, MirrorConfig, NoisyBestOfConfig};
use crate::off_policy::OffPolicyConfig;
use crate::ppo::{PpoAgent, PpoConfig};
use crate::qvpo::QvpoConfig;
use crate::reinflow::{ReinFlowAgent, ReinFlowConfig};
use crate::rldt::RldtConfig;
use crate::sac::{SacAgent, SacConfig};
use crate::sdac::SdacConfig;
use crate::td3::Td3Config;
use crate::{dipo, dpmd, flame, fm_irl, fmer, fpmd, qvpo, rldt, sdac, td3};

/// What the rest of the program has to know of an algorithm.
struct Algorithm {
    name: &'static str,
    defaults: fn() -> Result<Table, AlgoError>,
    describe: fn(&str) -> Option<&'static str>,
    make: fn(&Table, Task, u64, &Device) -> Made,
}

type Made = Result<Box<dyn Agent>, AlgoError>;

/// An entry of [`ALGORITHMS`]: name, configuration type, the types of the parts that are flattened into it beside
/// [`OffPolicyConfig`], its defaults, and how an agent is made of a configuration.
macro_rules! algorithm {
    ($name:literal, $config:ty $(| $part:ty)*, $defaults:expr, $new:expr) => {
        Algorithm {
            name: $name,
            defaults: || to_table($name, &$defaults),
            describe: |key| {
                let own = describe::<$config>(key);
                own$(.or_else(|| describe::<$part>(key)))*
                    .or_else(|| describe::<OffPolicyConfig>(key))
            },
            make: |table, task, seed, device| {
                let config: $config = read($name, &$defaults, table)?;
                Ok(Box::new(($new)(config, task.into(), seed, device)?))
            },
        }
    };
}

/// All algorithms, in the order of their names.
const ALGORITHMS: [Algorithm; 23] = [
    algorithm!(
        "airl",
        AirlConfig | PlainConfig | ImitationConfig | PpoConfig,
        AirlConfig::default(),
        ImitationAgent::new
    ),
    algorithm!("bc", BcConfig, BcConfig::default(), BcAgent::new),
    algorithm!(
        "dipo",
        DipoConfig | DiffusionConfig,
        DipoConfig::default(),
        dipo::agent
    ),
    algorithm!(
        "dpmd",
        DpmdConfig | NoisyBestOfConfig | MirrorConfig | ChainConfig,
        DpmdConfig::default(),
        dpmd::agent
    ),
    algorithm!(
        "drail",
        DrailConfig | ImitationConfig | PpoConfig,
        DrailConfig::default(),
        ImitationAgent::new
    ),
    algorithm!(
        "flame-m",
        FlameConfig | NoisyBestOfConfig,
        FlameConfig::of(Variant::M),
        |config, dims, seed, device| { flame::agent(Variant::M, config, dims, seed, device) }
    ),
    algorithm!(
        "flame-r",
        FlameConfig | NoisyBestOfConfig,
        FlameConfig::of(Variant::R),
        |config, dims, seed, device| { flame::agent(Variant::R, config, dims, seed, device) }
    ),
    algorithm!(
        "flow-bc",
        FlowBcConfig | FlowNetwork | ImageNetwork,
        FlowBcConfig::default(),
        FlowBcAgent::new
    ),
    algorithm!(
        "fm-irl",
        FmIrlConfig | TeacherConfig | ImitationConfig | PpoConfig,
        FmIrlConfig::default(),
        ImitationAgent::new
    ),
    algorithm!(
        "fm-irl-sac",
        FmIrlSacConfig | TeacherConfig | ReplayedConfig | ImitationConfig | SacConfig,
        FmIrlSacConfig::default(),
        fm_irl::replayed::agent
    ),
    algorithm!("fmer", FmerConfig, FmerConfig::default(), fmer::agent),
    algorithm!(
        "fpmd-m",
        FpmdConfig | NoisyBestOfConfig | MirrorConfig,
        FpmdConfig::of(Variant::M),
        |config, dims, seed, device| { fpmd::agent(Variant::M, config, dims, seed, device) }
    ),
    algorithm!(
        "fpmd-r",
        FpmdConfig | NoisyBestOfConfig | MirrorConfig,
        FpmdConfig::of(Variant::R),
        |config, dims, seed, device| { fpmd::agent(Variant::R, config, dims, seed, device) }
    ),
    algorithm!(
        "gail",
        GailConfig | PlainConfig | ImitationConfig | PpoConfig,
        GailConfig::default(),
        ImitationAgent::new
    ),
    algorithm!("ppo", PpoConfig, PpoConfig::default(), PpoAgent::new),
    algorithm!(
        "qvpo",
        QvpoConfig | DiffusionConfig,
        QvpoConfig::default(),
        qvpo::agent
    ),
    algorithm!(
        "reinflow",
        ReinFlowConfig | FlowNetwork,
        ReinFlowConfig::default(),
        ReinFlowAgent::new
    ),
    algorithm!(
        "rldt",
        RldtConfig | FlowNetwork | ImageNetwork,
        RldtConfig::default(),
        rldt::agent
    ),
    algorithm!("sac", SacConfig, SacConfig::default(), SacAgent::new),
    algorithm!(
        "sdac",
        SdacConfig | NoisyBestOfConfig | ChainConfig,
        SdacConfig::default(),
        sdac::agent
    ),
    algorithm!("td3", Td3Config, Td3Config::default(), td3::agent),
    algorithm!(
        "vail",
        VailConfig | PlainConfig | ImitationConfig | PpoConfig,
        VailConfig::default(),
        ImitationAgent::new
    ),
    algorithm!(
        "wail",
        WailConfig | PlainConfig | ImitationConfig | PpoConfig,
        WailConfig::default(),
        ImitationAgent::new
    ),
];

fn describe<C: DocumentedFields>(key: &str) -> Option<&'static str> {
    C::get_field_docs(key).ok()
}

fn find(name: &str) -> Result<&'static Algorithm, AlgoError> {
    let unknown = || AlgoError::UnknownAlgorithm {
        name: name.to_owned(),
        nearest: nearest_names(name, names()),
    };
    ALGORITHMS
        .iter()
        .find(|algorithm| algorithm.name == name)
        .ok_or_else(unknown)
}

/// The names that [`make`] knows.
pub fn names() -> Vec<&'static str> {
    ALGORITHMS.iter().map(|algorithm| algorithm.name).collect()
}

/// The name as [`names`] has it.
///
/// # Errors
/// [`AlgoError::UnknownAlgorithm`] with the nearest names.
pub fn resolve(name: &str) -> Result<&'static str, AlgoError> {
    Ok(find(name)?.name)
}

/// The complete default configuration of an algorithm.
///
/// # Errors
/// [`AlgoError::UnknownAlgorithm`] with the nearest names.
pub fn default_config(name: &str) -> Result<Table, AlgoError> {
    (find(name)?.defaults)()
}

/// What a key of an algorithm's configuration means, as its documentation says.
pub fn describe_key(algo: &str, key: &str) -> Option<&'static str> {
    (find(algo).ok()?.describe)(key)
}

/// An agent of that name with its defaults changed by `config`, parameters drawn from `seed`.
///
/// # Errors
/// If the name or a key is unknown (with the nearest valid ones), or a value has the wrong type or makes no sense.
///
/// ```
/// use advect_algos::{Dims, registry};
/// use candle_core::Device;
/// let config: toml::Table = "hidden = [32, 32]\nnum_proposals = 8".parse()?;
/// let agent = registry::make("flame-m", &config, Dims { obs: 4, act: 2 }, 0, &Device::Cpu)?;
/// assert_eq!(agent.name(), "flame-m");
/// let error = registry::make("flame", &config, Dims { obs: 4, act: 2 }, 0, &Device::Cpu).err().unwrap();
/// assert!(error.to_string().starts_with("unknown algorithm `flame`; nearest names: flame-"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn make(name: &str, config: &Table, task: impl Into<Task>, seed: u64, device: &Device) -> Made {
    (find(name)?.make)(config, task.into(), seed, device)
}

/// `defaults` changed by `given`.
fn read<C: Serialize + DeserializeOwned + Default>(
    algo: &'static str,
    defaults: &C,
    given: &Table,
) -> Result<C, AlgoError> {
    let mut complete = to_table(algo, defaults)?;
    complete.extend(given.clone());
    from_table(&complete).map_err(|source| AlgoError::Config { algo, source })
}

/// A configuration as a complete table.
pub(crate) fn to_table(algo: &'static str, config: &impl Serialize) -> Result<Table, AlgoError> {
    let refused = |e: toml::ser::Error| ConfigError::Value {
        key: "config".into(),
        problem: e.to_string(),
    };
    Table::try_from(config).map_err(|e| AlgoError::Config {
        algo,
        source: refused(e),
    })
}
