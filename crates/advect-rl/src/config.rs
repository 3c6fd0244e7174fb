//! Run configurations: TOML in and out, overrides, errors that name the key.

use std::fmt;

use documented::DocumentedFields;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key does not exist.
    #[error("unknown key `{key}`; {}", suggestion(nearest))]
    UnknownKey {
        /// The whole path of the key.
        key: String,
        /// The valid keys nearest to it, best first.
        nearest: Vec<String>,
    },
    /// A value has the wrong type.
    #[error("`{key}` is {found}, expected {expected}")]
    WrongType {
        /// The whole path of the key.
        key: String,
        /// What was given.
        found: String,
        /// The type wanted.
        expected: String,
    },
    /// A value is not accepted.
    #[error("{key}: {problem}")]
    Value {
        /// The key or table.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The text is not TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// An override is not of the form `key=value`.
    #[error("override `{text}` has no `=`: write key=value, for example gamma=0.99")]
    NoEquals {
        /// The override.
        text: String,
    },
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return "there are no keys here".into();
    }
    format!("nearest keys: {}", nearest.join(", "))
}

/// The (at most) three names nearest to `name`, best first.
pub fn nearest_names<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let score = |known: &str| (strsim::jaro_winkler(name, known) * 1e6) as i64;
    let mut scored: Vec<_> = known
        .into_iter()
        .map(|known| (-score(known), known))
        .collect();
    scored.sort_unstable();
    scored
        .into_iter()
        .take(3)
        .map(|(_, known)| known.to_owned())
        .collect()
}

/// What the products of a CUDA device round their operands to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Products {
    /// Nothing.
    #[default]
    F32,
    /// TF32: ten bits of fraction.
    Tf32,
    /// bf16: seven bits of fraction.
    Bf16,
}

/// Everything that fixes a training run; `config.toml` of the run directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Name of the algorithm.
    pub algo: String,
    /// Id of the environment.
    pub env: String,
    /// Seed of all random streams.
    pub seed: u64,
    /// Environment steps to train for.
    pub steps: u64,
    /// `auto`, `cpu` or `cuda`.
    pub device: String,
    /// Whether updates on a CUDA device are recorded as graphs and launched by one call; the results are the same. Yes.
    pub graphs: bool,
    /// What products on a CUDA device round their operands to, for speed: `f32`, `tf32` (ten bits of fraction) or `bf16` (seven). f32.
    pub products: Products,
    /// Whether updates from a replay are made before the environments take their step, so that a CUDA device computes meanwhile: they
    /// then learn from all transitions but the newest. No.
    pub overlap: bool,
    /// Python that runs `gym:` environments; empty takes `$ADVECT_PYTHON`, else `python3`.
    pub python: String,
    /// Threads; 0 takes all cores available. Results do not depend on it.
    pub threads: usize,
    /// Environment steps between lines of metrics.
    pub log_every: u64,
    /// Environment steps between evaluations; 0 evaluates at the end only.
    pub eval_every: u64,
    /// Episodes of an evaluation.
    pub eval_episodes: usize,
    /// Environment steps between checkpoints; 0 saves at the end only.
    pub checkpoint_every: u64,
    /// Checkpoints that are kept.
    pub keep_checkpoints: usize,
    /// The algorithm's own configuration.
    pub agent: Table,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            algo: "flame-m".into(),
            env: "MultiGoal-v0".into(),
            seed: 0,
            steps: 1_000_000,
            device: "auto".into(),
            graphs: true,
            products: Products::F32,
            overlap: false,
            python: String::new(),
            threads: 0,
            log_every: 1_000,
            eval_every: 25_000,
            eval_episodes: 20,
            checkpoint_every: 25_000,
            keep_checkpoints: 2,
            agent: Table::new(),
        }
    }
}

impl RunConfig {
    /// What a key of the run means, as its documentation says.
    pub fn describe(key: &str) -> Option<&'static str> {
        Self::get_field_docs(key).ok()
    }

    /// Reads a configuration; keys that are left out take their defaults.
    ///
    /// # Errors
    /// [`ConfigError`] with the key, what was found and what is expected.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let mut given: Table = text
            .parse()
            .map_err(|e: toml::de::Error| ConfigError::Syntax(e.to_string()))?;
        // what it was called before there was more than one way to round
        if let Some(Value::Boolean(rounded)) = given.remove("tf32") {
            let products = if rounded { "tf32" } else { "f32" };
            given.entry("products").or_insert_with(|| products.into());
        }
        let agent = match given.remove("agent") {
            None => Table::new(),
            Some(Value::Table(agent)) => agent,
            Some(other) => return Err(wrong_type("agent", &other, "a table")),
        };
        Ok(Self {
            agent,
            ..from_table(&given)?
        })
    }

    /// The complete configuration as TOML.
    ///
    /// # Errors
    /// If TOML has no form for a value, such as an integer above `i64::MAX`.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string_pretty(self).map_err(|e| ConfigError::Value {
            key: "config".into(),
            problem: e.to_string(),
        })
    }

    /// Name of the run directory, `<algo>-<env>-s<seed>`.
    pub fn run_name(&self) -> String {
        format!("{}-s{}", self.series_name(), self.seed)
    }

    /// What the names of the runs of all seeds begin with, `<algo>-<env>`.
    pub fn series_name(&self) -> String {
        let env = self.env.replace(['/', '\\', ':'], "_");
        format!("{}-{env}", self.algo)
    }

    /// A hash of what makes a run the same run: algorithm, environment, seed and agent configuration, but not the length
    /// of the run, the device or the threads.
    pub fn identity(&self) -> u32 {
        let text = format!("{}\n{}\n{}\n{}", self.algo, self.env, self.seed, self.agent);
        crc32fast::hash(text.as_bytes())
    }
}

/// A configuration from a table in which keys may be left out.
///
/// `T::default()` gives the values and the types; integers are accepted for floats. A key that `T` does not have is
/// refused with the nearest names, a wrong type with the key's whole path.
///
/// # Errors
/// [`ConfigError`].
pub fn from_table<T: Serialize + DeserializeOwned + Default>(
    given: &Table,
) -> Result<T, ConfigError> {
    let mut complete = default_table::<T>()?;
    merge(&mut complete, given, &field_names::<T>(), "")?;
    T::deserialize(complete).map_err(|e| ConfigError::Value {
        key: "config".into(),
        problem: e.to_string(),
    })
}

/// `T::default()` as a table: every key that has a default value.
///
/// # Errors
/// If `T` has no TOML form.
pub fn default_table<T: Serialize + Default>() -> Result<Table, ConfigError> {
    Table::try_from(T::default()).map_err(|e| ConfigError::Value {
        key: "config".into(),
        problem: e.to_string(),
    })
}

fn merge(
    into: &mut Table,
    given: &Table,
    fields: &[&str],
    prefix: &str,
) -> Result<(), ConfigError> {
    for (key, value) in given {
        let path = format!("{prefix}{key}");
        match (into.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => {
                merge(inner, value, &[], &format!("{path}."))?
            }
            (Some(slot), value) => *slot = coerce(&path, slot, value)?,
            (None, value) if fields.contains(&key.as_str()) => {
                into.insert(key.clone(), value.clone());
            }
            (None, _) => return Err(unknown_key(into, fields, &path, key)),
        }
    }
    Ok(())
}

fn unknown_key(table: &Table, fields: &[&str], path: &str, key: &str) -> ConfigError {
    let mut known: Vec<&str> = table
        .keys()
        .map(String::as_str)
        .chain(fields.iter().copied())
        .collect();
    known.sort_unstable();
    known.dedup();
    ConfigError::UnknownKey {
        key: path.to_owned(),
        nearest: nearest_names(key, known),
    }
}

/// `value` in the type of `like`, or the error that names `path`.
fn coerce(path: &str, like: &Value, value: &Value) -> Result<Value, ConfigError> {
    match (like, value) {
        (Value::Float(_), Value::Integer(i)) => Ok(Value::Float(*i as f64)),
        (Value::Array(like), Value::Array(values)) => {
            let element = |v| {
                like.first()
                    .map_or(Ok(Value::clone(v)), |like| coerce(path, like, v))
            };
            Ok(Value::Array(
                values.iter().map(element).collect::<Result<_, _>>()?,
            ))
        }
        _ if like.same_type(value) => Ok(value.clone()),
        _ => Err(wrong_type(path, value, article(like))),
    }
}

fn wrong_type(key: &str, found: &Value, expected: &str) -> ConfigError {
    let found = format!("{} ({found})", article(found));
    ConfigError::WrongType {
        key: key.to_owned(),
        found,
        expected: expected.to_owned(),
    }
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::Table(_) => "a table",
    }
}

/// Applies overrides `key=value` (`a.b=value` inside a table) to a complete table, whose values give the types.
///
/// # Errors
/// [`ConfigError`] for a missing `=`, an unknown key (with the nearest names) or a value of another type.
///
/// ```
/// use advect_rl::config::apply_overrides;
/// let mut table: toml::Table = "gamma = 0.99\nhidden = [256, 256]\n".parse().unwrap();
/// apply_overrides(&mut table, &["gamma=0.9", "hidden=[64]"])?;
/// assert_eq!(table["gamma"].as_float(), Some(0.9));
/// let error = apply_overrides(&mut table, &["gama=1"]).unwrap_err();
/// assert_eq!(error.to_string(), "unknown key `gama`; nearest keys: gamma, hidden");
/// # Ok::<(), advect_rl::ConfigError>(())
/// ```
pub fn apply_overrides(
    table: &mut Table,
    overrides: &[impl AsRef<str>],
) -> Result<(), ConfigError> {
    overrides
        .iter()
        .try_for_each(|text| apply_override(table, text.as_ref(), &[]))
}

/// The configuration `T` with its defaults changed by `table` and then by `overrides` (`key=value`).
///
/// # Errors
/// [`ConfigError`].
pub fn with_overrides<T: Serialize + DeserializeOwned + Default>(
    table: &Table,
    overrides: &[impl AsRef<str>],
) -> Result<T, ConfigError> {
    let fields = field_names::<T>();
    let mut complete = default_table::<T>()?;
    merge(&mut complete, table, &fields, "")?;
    overrides
        .iter()
        .try_for_each(|text| apply_override(&mut complete, text.as_ref(), &fields))?;
    from_table(&complete)
}

fn apply_override(table: &mut Table, text: &str, fields: &[&str]) -> Result<(), ConfigError> {
    let (path, value) = text.split_once('=').ok_or_else(|| ConfigError::NoEquals {
        text: text.to_owned(),
    })?;
    let (path, value) = (path.trim(), value.trim());
    let mut parts: Vec<&str> = path.split('.').collect();
    let key = parts.pop().unwrap_or_default();
    let nested = !parts.is_empty();
    let mut inner = table;
    for part in parts {
        let unknown = unknown_key(inner, &[], path, part);
        inner = inner
            .get_mut(part)
            .and_then(Value::as_table_mut)
            .ok_or(unknown)?;
    }
    let fields = if nested { &[] } else { fields };
    let parsed = parse_value(value, inner.get(key));
    merge(
        inner,
        &Table::from_iter([(key.to_owned(), parsed)]),
        fields,
        path.strip_suffix(key).unwrap_or_default(),
    )
}

/// A value as typed on a command line: TOML, or the bare text where a string is wanted or nothing else fits.
fn parse_value(text: &str, like: Option<&Value>) -> Value {
    let bare = || Value::String(text.to_owned());
    let quoted = text.starts_with(['"', '\'']);
    if matches!(like, Some(Value::String(_))) && !quoted {
        return bare();
    }
    let parsed = format!("value = {text}").parse::<Table>().ok();
    parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(bare)
}

/// The field names of a struct, those without a TOML default (`Option`) included.
fn field_names<T: DeserializeOwned>() -> Vec<&'static str> {
    let mut fields = Vec::new();
    // the probe always ends in an error: it only looks at the fields that the struct asks for
    let _ = T::deserialize(FieldProbe {
        fields: &mut fields,
    });
    fields
}

struct FieldProbe<'a> {
    fields: &'a mut Vec<&'static str>,
}

#[derive(Debug)]
struct Probed;

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields probed")
    }
}

impl std::error::Error for Probed {}

impl de::Error for Probed {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for FieldProbe<'_> {
    type Error = Probed;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Probed> {
        Err(Probed)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Probed> {
        self.fields.extend_from_slice(fields);
        Err(Probed)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
