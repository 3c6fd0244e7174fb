//! Algorithms by name.

use advect_rl::config::{from_table, nearest_names};
use advect_rl::{Agent, ConfigError};
use candle_core::Device;
use documented::DocumentedFields;
use serde::Serialize;
use toml::Table;

use crate::dims::Dims;
use crate::error::AlgoError;
use crate::flame::{FlameAgent, FlameConfig, Variant};
use crate::sac::{SacAgent, SacConfig};

/// The names that [`make`] knows.
pub fn names() -> Vec<&'static str> {
    vec!["flame-m", "flame-r", "sac"]
}

/// The complete default configuration of an algorithm.
///
/// # Errors
/// [`AlgoError::UnknownAlgorithm`] with the nearest names.
pub fn default_config(name: &str) -> Result<Table, AlgoError> {
    match name {
        "flame-m" => to_table("flame-m", &FlameConfig::of(Variant::M)),
        "flame-r" => to_table("flame-r", &FlameConfig::of(Variant::R)),
        "sac" => to_table("sac", &SacConfig::default()),
        _ => Err(unknown(name)),
    }
}

/// What a key of an algorithm's configuration means, as its documentation says.
pub fn describe(algo: &str, key: &str) -> Option<&'static str> {
    match algo {
        "sac" => SacConfig::get_field_docs(key).ok(),
        _ => FlameConfig::get_field_docs(key).ok(),
    }
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
pub fn make(
    name: &str,
    config: &Table,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> Result<Box<dyn Agent>, AlgoError> {
    match name {
        "flame-m" => flame(Variant::M, config, dims, seed, device),
        "flame-r" => flame(Variant::R, config, dims, seed, device),
        "sac" => {
            let config: SacConfig = from_table(config).map_err(|source| AlgoError::Config {
                algo: "sac",
                source,
            })?;
            Ok(Box::new(SacAgent::new(config, dims, seed, device)?))
        }
        _ => Err(unknown(name)),
    }
}

fn flame(
    variant: Variant,
    config: &Table,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> Result<Box<dyn Agent>, AlgoError> {
    let config = flame_config(variant, config)?;
    Ok(Box::new(FlameAgent::new(
        variant, config, dims, seed, device,
    )?))
}

/// A variant's defaults changed by `config`.
///
/// # Errors
/// [`AlgoError::Config`] for an unknown key or a wrong type.
pub fn flame_config(variant: Variant, config: &Table) -> Result<FlameConfig, AlgoError> {
    let mut complete = default_config(variant.name())?;
    complete.extend(config.clone());
    from_table(&complete).map_err(|source| AlgoError::Config {
        algo: variant.name(),
        source,
    })
}

fn unknown(name: &str) -> AlgoError {
    AlgoError::UnknownAlgorithm {
        name: name.to_owned(),
        nearest: nearest_names(name, names()),
    }
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
